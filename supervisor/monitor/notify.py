"""The socket a container says on how it is: sd_notify(3).

It lies in a directory of the container's state (0700 above it), which is mounted into the container
read-only, nosuid, nodev, noexec. The descriptor outlives creched in systemd's store, and what is
said meanwhile waits in it. A directory and not the socket itself is mounted, so that where nothing
keeps it a later creched can bind a socket of the same name while the container lives.

The container may be hostile. Whoever sends is looked up by the credentials the kernel vouches for,
translated into our namespaces. Descriptors are never received: there is no room for them in what is
asked for, and the kernel closes what does not fit; so FDSTORE keeps nothing, and BARRIER is
answered when its message has been read. A message is read once and no more than a few KiB of it;
the queue is the kernel's and short (net.unix.max_dgram_qlen), and a flood waits in its sender.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import AsyncIterator, Callable

import trio

from runtime.errors import KernelError
from runtime.notify import SOCKET
from supervisor.monitor.message import LARGEST, Message, parse
from supervisor.output.limit import Bucket

RATE = 100
"""Messages a second; what is more waits in its sender."""
_CREDENTIALS = struct.Struct("iII")  # struct ucred: pid, uid, gid
# Room for the credentials and nothing else.
_ANCILLARY = socket.CMSG_SPACE(_CREDENTIALS.size)


class NotifySocket:
    """directory: what is mounted into the container. member: whether a process is one of it.
    keep: told of the descriptor once it is bound. fd: one that was bound already, or -1.

    ready: whether it has said READY=1 before, for who asks later.
    """

    __slots__ = ("_directory", "_keep", "_member", "_socket", "ready")

    def __init__(
        self,
        directory: str,
        member: Callable[[int], bool],
        keep: Callable[[int], object] = lambda _fd: None,
        fd: int = -1,
    ) -> None:
        self._directory = directory
        self._member = member
        self._keep = keep
        self.ready = False
        self._socket: socket.socket | None = None if fd < 0 else socket.socket(fileno=fd)

    def listen(self) -> None:
        """Bind it, unless that was done. Raises KernelError."""
        if self._socket is not None:
            return
        try:
            self._socket = _listen(self._directory)
        except OSError as error:
            path = f"{self._directory}/{SOCKET}"
            raise KernelError("listen on", path, error.errno or 0) from None
        self._keep(self._socket.fileno())

    async def messages(self) -> AsyncIterator[Message]:
        """What the container says, from `listen` on; never ends. Not to be used twice at a time."""
        assert self._socket is not None
        bucket = Bucket(RATE, trio.current_time())
        while True:
            await trio.lowlevel.wait_readable(self._socket)
            wait = 0.0
            while not wait:
                received = self._receive()
                if received is None:
                    break
                bucket.take(1, trio.current_time())
                wait = bucket.wait(trio.current_time())
                if received:
                    yield parse(received)
            if wait:
                await trio.sleep(wait)

    def close(self) -> None:
        """Nobody listens from here on. The socket's file goes with the container's state."""
        if self._socket is not None:
            trio.lowlevel.notify_closing(self._socket)
            self._socket.close()
            self._socket = None

    def _receive(self) -> bytes | None:
        """One message; empty if it is not to be believed; None if there is none now."""
        assert self._socket is not None
        try:
            data, ancillary, flags, _ = self._socket.recvmsg(
                LARGEST, _ANCILLARY, socket.MSG_DONTWAIT | socket.MSG_CMSG_CLOEXEC
            )
        except BlockingIOError:
            return None
        if flags & socket.MSG_TRUNC or not self._from_container(ancillary):
            return b""
        return data

    def _from_container(self, ancillary: list[tuple[int, int, bytes]]) -> bool:
        """Whether the kernel vouches for a sender in the container.

        One that has ended meanwhile cannot be looked up any more and is let through, because
        systemd-notify(1) ends at once: nobody but the container's processes and the host's root can
        reach the socket.
        """
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS:
                pid = _CREDENTIALS.unpack_from(data)[0]
                # 0: in none of our pid namespaces
                return pid > 0 and (self._member(pid) or not os.path.exists(f"/proc/{pid}"))
        return False


def _listen(directory: str) -> socket.socket:
    flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW
    at = os.open(directory, flags)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        try:
            os.unlink(SOCKET, dir_fd=at)
        except FileNotFoundError:
            pass
        # A mode for every user of the container from the beginning: chmod(2) afterwards would
        # follow a link that a container which can make its mount writable might put there.
        mask = os.umask(0)
        try:
            listener.bind(f"/proc/self/fd/{at}/{SOCKET}")
        finally:
            os.umask(mask)
    except BaseException:
        listener.close()
        raise
    finally:
        os.close(at)
    return listener
