"""Reads what containers write: one task and one epoll descriptor for all of them.

A container's standard output is a FIFO in creched's directory that the container itself holds open
for reading too. So it outlives creched: while nobody reads, what is written waits in the pipe (and
the writer, once that is full), and the next creched opens it again by its name. It ends when the
last process of the container that has it is gone.
"""

from __future__ import annotations

import fcntl
import math
import os
import select
import stat
from collections.abc import Callable
from types import TracebackType
from typing import Self

import trio

from runtime.errors import KernelError

_CHUNK = 64 * 1024
_DRAIN = 1024 * 1024  # a pipe cannot hold more (fs.pipe-max-size)
_AT_ONCE = 64


class Pipe:
    """The reading end of one FIFO. take: is given what comes; pause: seconds to leave it alone
    then; fd: the descriptor, if it is open already."""

    __slots__ = ("_hub", "_pause", "_take", "fd", "path", "resume_at")

    def __init__(
        self,
        hub: Hub,
        path: str,
        take: Callable[[bytes], None],
        pause: Callable[[], float],
        fd: int = -1,
    ) -> None:
        self._hub = hub
        self._take = take
        self._pause = pause
        self.path = path
        self.resume_at = 0.0
        self.fd = fd if fd >= 0 else _open(path, os.O_RDONLY | os.O_NONBLOCK)
        hub.add(self)

    def writer(self) -> int:
        """A descriptor for the container: read and write, see above. Raises KernelError."""
        return _open(self.path, os.O_RDWR)

    def turn(self) -> None:
        """It is readable."""
        if self._read():
            wait = self._pause()
            if wait > 0:
                self._hub.pause(self, wait)
        else:
            self.close()

    def drain(self) -> None:
        """Take what is there now, without waiting."""
        left = _DRAIN
        while left > 0 and self.fd >= 0:
            count = self._read()
            if count <= 0:
                return
            left -= count

    def close(self) -> None:
        """Nobody reads any more."""
        if self.fd >= 0:
            self._hub.discard(self)
            os.close(self.fd)
            self.fd = -1

    def _read(self) -> int:
        """How many bytes came; -1: none now; 0: none ever."""
        try:
            chunk = os.read(self.fd, _CHUNK)
        except BlockingIOError:
            return -1
        if chunk:
            self._take(chunk)
        return len(chunk)


class Hub:
    """Use with `async with`."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._pipes: dict[int, Pipe] = {}
        self._paused: set[Pipe] = set()
        self._scope = trio.CancelScope()
        self._tasks = trio.open_nursery()

    async def __aenter__(self) -> Self:
        nursery = await self._tasks.__aenter__()
        nursery.start_soon(self._run)
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
            for pipe in list(self._pipes.values()):
                pipe.close()
            self._epoll.close()

    def add(self, pipe: Pipe) -> None:
        """Read it from now on."""
        self._pipes[pipe.fd] = pipe
        self._epoll.register(pipe.fd, select.EPOLLIN)

    def discard(self, pipe: Pipe) -> None:
        """Do not read it any more."""
        del self._pipes[pipe.fd]
        if pipe in self._paused:
            self._paused.discard(pipe)
        else:
            self._epoll.unregister(pipe.fd)

    def pause(self, pipe: Pipe, seconds: float) -> None:
        """Leave it alone for some time: its writer waits."""
        pipe.resume_at = trio.current_time() + seconds
        self._epoll.unregister(pipe.fd)  # or the end of its writers would wake us all the time
        self._paused.add(pipe)

    async def _run(self) -> None:
        with self._scope:
            while True:
                until = min((pipe.resume_at for pipe in self._paused), default=math.inf)
                with trio.move_on_at(until):
                    await trio.lowlevel.wait_readable(self._epoll.fileno())
                for fd, _ in self._epoll.poll(0, _AT_ONCE):
                    pipe = self._pipes.get(fd)
                    if pipe is not None and pipe not in self._paused:
                        pipe.turn()
                now = trio.current_time()
                for pipe in [pipe for pipe in self._paused if pipe.resume_at <= now]:
                    self._paused.discard(pipe)
                    self._epoll.register(pipe.fd, select.EPOLLIN)


def make_fifo(path: str) -> None:
    """A new one, whatever was there. Raises KernelError."""
    try:
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass
        os.mkfifo(path, 0o600)
    except OSError as error:
        raise KernelError("make fifo", path, error.errno or 0) from None


def _open(path: str, flags: int) -> int:
    try:
        fd = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise KernelError("open", path, error.errno or 0) from None
    if not stat.S_ISFIFO(os.fstat(fd).st_mode):
        os.close(fd)
        raise KernelError("open", path, 22, hint="it is no fifo")
    if not flags & os.O_NONBLOCK:
        fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) & ~os.O_NONBLOCK)
    return fd
