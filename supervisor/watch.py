"""Waiting for the kernel: changes of cgroup files (inotify).

No polling, no thread. All watched files share one inotify descriptor: pyinotify keeps
the books, trio waits for the descriptor.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

import trio

with warnings.catch_warnings():
    # pyinotify imports asyncore, which Python 3.11 warns of.
    warnings.simplefilter("ignore", DeprecationWarning)
    import pyinotify


class Changes:
    """Change notices of some files; a change between two waits is not lost."""

    def __init__(self) -> None:
        self._event = trio.Event()

    def note(self, event: object = None) -> None:
        """A file has changed (called with pyinotify's event)."""
        self._event.set()

    async def wait(self) -> None:
        """Until something has changed since the last `wait`."""
        await self._event.wait()
        self._event = trio.Event()


class Watcher:
    """One inotify descriptor for all files of interest. Use with `async with`."""

    def __init__(self) -> None:
        self._manager: Any = pyinotify.WatchManager()
        self._all: set[Changes] = set()
        # What belongs to no watch is an overflow of the queue: anything may have changed.
        self._notifier: Any = pyinotify.Notifier(self._manager, self._overflow)
        self._scope = trio.CancelScope()
        self._tasks = trio.open_nursery()

    async def __aenter__(self) -> Self:
        nursery = await self._tasks.__aenter__()
        nursery.start_soon(self._read)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        self._scope.cancel()
        try:
            return await self._tasks.__aexit__(kind, error, trace)
        finally:
            trio.lowlevel.notify_closing(self._manager.get_fd())
            self._notifier.stop()

    @contextmanager
    def following(self, *paths: str) -> Iterator[Changes]:
        """Notices of changes of `paths`; files that are not there are passed over."""
        changes = Changes()
        self._all.add(changes)
        # The kernel gives one watch to one inode: two followers of one file would share it, and
        # the first to leave would take it from the second. Containers' files have one follower.
        watches = [
            watch
            for path in paths
            for watch in self._manager.add_watch(
                path, pyinotify.IN_MODIFY, proc_fun=changes.note, quiet=True
            ).values()
            if watch >= 0
        ]
        try:
            yield changes
        finally:
            self._all.discard(changes)
            # The cgroup may be gone, and its watches with it.
            gone = [watch for watch in watches if self._manager.get_path(watch) is not None]
            if gone:
                self._manager.rm_watch(gone, quiet=True)

    async def _read(self) -> None:
        with self._scope:
            while True:
                await trio.lowlevel.wait_readable(self._manager.get_fd())
                if self._notifier.check_events(0):
                    self._notifier.read_events()
                    self._notifier.process_events()

    def _overflow(self, event: object) -> None:
        for changes in self._all:
            changes.note(event)


def read_counters(path: str) -> dict[str, int]:
    """A file of `key number` lines (cgroup.events, memory.events, memory.oom_control)."""
    counters = {}
    try:
        with open(path, encoding="ascii") as file:
            for line in file:
                key, _, value = line.partition(" ")
                counters[key] = int(value)
    except (OSError, ValueError):
        pass
    return counters
