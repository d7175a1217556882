"""Being told that a container ran out of memory, as a descriptor to poll.

Version 1 has an eventfd that is registered in `cgroup.event_control`
(Documentation/admin-guide/cgroup-v1/memory.rst, "OOM Control"); version 2 modifies `memory.events`,
which inotify(7) sees.
"""

from __future__ import annotations

import os

from runtime.errors import KernelError
from runtime.linux.libc import call, libc

from .layout import UNIFIED
from .setup import holder
from .watch import oom_kills

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_IN_MODIFY = 2
_EVENTFD_BYTES = 8
_INOTIFY_BYTES = 4096  # holds many events; their content does not matter, there is one watch


class OomWatch:
    """Readable when there may be something new: then take() tells. Use and close().

    With no memory controller, fileno() is -1 and nothing ever happens.
    """

    __slots__ = ("_control", "_fd", "_kills", "_paths")

    def __init__(self, paths: Mapping[str, str]) -> None:
        """paths: hierarchy -> directory. Raises KernelError."""
        self._paths = dict(paths)
        self._fd = -1
        self._control = ""
        self._kills = 0
        old = holder(self._paths, "memory")
        unified = self._paths.get(UNIFIED, "")
        try:
            if old:
                self._control = f"{old}/cgroup.event_control"
                self._fd = _register_v1(old, self._control)
            elif unified and os.path.exists(f"{unified}/memory.events"):
                # The watch before the first look: nothing in between is missed.
                self._fd = _watch_v2(f"{unified}/memory.events")
                self._kills = oom_kills(self._paths) or 0
        except OSError as error:
            self.close()
            place = old or unified
            raise KernelError("watch for OOM in", place, error.errno or 0) from None

    def fileno(self) -> int:
        return self._fd

    def take(self) -> bool:
        """Whether the container ran out of memory since the last call. Never waits."""
        if self._fd < 0:
            return False
        try:
            os.read(self._fd, _EVENTFD_BYTES if self._control else _INOTIFY_BYTES)
        except BlockingIOError:
            return False
        if self._control:
            # The end of the cgroup is announced in the same way.
            return os.path.exists(self._control)
        kills = oom_kills(self._paths)
        if kills is None or kills <= self._kills:
            return False
        self._kills = kills
        return True

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _register_v1(directory: str, control: str) -> int:
    flags = os.EFD_CLOEXEC | os.EFD_NONBLOCK
    event = os.eventfd(0, flags)
    file = -1
    try:
        file = os.open(f"{directory}/memory.oom_control", os.O_RDONLY | os.O_CLOEXEC)
        fd = os.open(control, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, f"{event} {file}".encode())
        finally:
            os.close(fd)
    except BaseException:
        os.close(event)
        raise
    finally:
        if file >= 0:
            os.close(file)
    return event


def _watch_v2(path: str) -> int:
    fd = call("inotify_init1", libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK))
    try:
        call("inotify_add_watch", libc.inotify_add_watch(fd, os.fsencode(path), _IN_MODIFY))
    except BaseException:
        os.close(fd)
        raise
    return fd
