"""Waiting for the kernel: changes of cgroup files and of workload directories (inotify).

No polling, no thread. All watched files share one inotify descriptor: pyinotify keeps
the books, trio waits for the descriptor.
"""

from __future__ import annotations

import errno
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

import trio

with warnings.catch_warnings():
    # pyinotify imports asyncore, which Python 3.11 warns of.
    warnings.simplefilter("ignore", DeprecationWarning)
    import pyinotify

# What it has to say (a watched directory was renamed) is no news here, and not in our format.
pyinotify.log.disabled = True

_DIRECTORY = (
    pyinotify.IN_ONLYDIR
    | pyinotify.IN_CREATE
    | pyinotify.IN_DELETE
    | pyinotify.IN_MOVED_FROM
    | pyinotify.IN_MOVED_TO
    | pyinotify.IN_MODIFY
    | pyinotify.IN_CLOSE_WRITE
    | pyinotify.IN_ATTRIB
    | pyinotify.IN_DELETE_SELF
    | pyinotify.IN_MOVE_SELF
)

Note = Callable[[str | None], None]
"""Told of a change in a directory: a name in it, "" for the directory itself, None for anything."""


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
        self._directories: dict[int, list[Note]] = {}
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

    def watch_directory(self, fd: int, note: Note) -> Callable[[], None]:
        """Notices of changes in an open directory, until the function that is returned is called.

        The descriptor is not needed afterwards. Raises OSError: the kernel's limits are reached.
        """
        # By its descriptor: a path could lead elsewhere by now.
        found = self._manager.add_watch(
            f"/proc/self/fd/{fd}", _DIRECTORY, proc_fun=self._changed, quiet=True
        )
        watch = next(iter(found.values()), -1)
        if watch < 0:
            raise OSError(
                errno.ENOSPC, "cannot be watched: see the sysctl fs.inotify.max_user_watches"
            )
        self._directories.setdefault(watch, []).append(note)

        def undo() -> None:
            notes = self._directories.get(watch, [])
            if note in notes:
                notes.remove(note)
            if watch in self._directories and not notes:
                del self._directories[watch]
                if self._manager.get_path(watch) is not None:
                    self._manager.rm_watch(watch, quiet=True)

        return undo

    def _changed(self, event: Any) -> None:
        for note in tuple(self._directories.get(event.wd, ())):
            note(event.name)
        if event.mask & pyinotify.IN_IGNORED:  # the directory is gone, and its watch with it
            self._directories.pop(event.wd, None)

    async def _read(self) -> None:
        with self._scope:
            while True:
                await trio.lowlevel.wait_readable(self._manager.get_fd())
                if self._notifier.check_events(0):
                    try:
                        self._notifier.read_events()
                    except UnicodeDecodeError:
                        # A name that is not UTF-8; what came with it is lost.
                        self._overflow(None)
                    self._notifier.process_events()

    def _overflow(self, event: object) -> None:
        for changes in self._all:
            changes.note(event)
        for notes in tuple(self._directories.values()):
            for note in tuple(notes):
                note(None)


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
