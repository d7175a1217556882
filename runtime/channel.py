"""The conversation between a launching process and the container's init: JSON over SOCK_SEQPACKET.

    init                                  driver
      |  <------- {"type": "go"} ----------  id maps written, cgroups joined, state saved
      |  -------- {"type": "prepared"} --->  mounts and devices are there
      |                                      prestart and createRuntime hooks run
      |  <------- {"type": "hooks-done"} --
      |     createContainer hooks, pivot_root, credentials
      |  -------- {"type": "console"} + fd   only with a terminal
      |  -------- {"type": "created"} ---->  the driver saves the state
      |
      |  <------- {"type": "start"} -------  here, or after connecting to start.sock
      |     startContainer hooks, execve
      |  -------- end of file ------------>  the program runs
      |  -------- {"type": "error"} ------>  at any point: nothing more follows

Where none of these hooks are to be run, {"type": "go-through"} stands for go and hooks-done, and
prepared is not said.

The driver does not trust the other side: messages are bounded, have a known type, and surplus
descriptors are closed. Nothing here imports `socket`, which costs a millisecond more than
`_socket`.
"""

from __future__ import annotations

import _socket
import os

from runtime.errors import CrecheError
from runtime.jsonio import dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_MESSAGE = 64 * 1024
MAX_FDS = 16
_INT = 4


class ProtocolError(CrecheError):
    """The other side said something that the conversation has no place for."""


class Channel:
    """One end. Owns its socket; not for use by more than one thread."""

    __slots__ = ("sock",)

    def __init__(self, sock: _socket.socket) -> None:
        self.sock = sock

    @classmethod
    def from_fd(cls, fd: int) -> Channel:
        """Take over a SOCK_SEQPACKET descriptor."""
        return cls(_socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, fd))

    def fileno(self) -> int:
        return self.sock.fileno()

    def send(
        self,
        message: dict[str, object],
        fds: Sequence[int] = (),
        document: dict[str, object] | None = None,
    ) -> None:
        """Send one message, with descriptors. BrokenPipeError when nobody listens.

        document: sent as the last of the descriptors, since it may be longer than a message can be
        (annotations are as long as somebody likes); see read_document().
        """
        if document is not None:
            fd = _in_memory(dumps(document).encode("utf-8", "surrogateescape"))
            try:
                self.send(message, [*fds, fd])
            finally:
                os.close(fd)
            return
        data = dumps(message).encode("utf-8", "surrogateescape")
        ancillary = []
        if fds:
            packed = b"".join(fd.to_bytes(_INT, "little") for fd in fds)
            ancillary = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, packed)]
        self.sock.sendmsg([data], ancillary, _socket.MSG_NOSIGNAL)

    def receive(self) -> tuple[dict[str, object], list[int]] | None:
        """The next message and the descriptors with it, or None at end of file.

        Raises ProtocolError for anything malformed (its descriptors are closed first), and
        BlockingIOError on a non-blocking socket with nothing to read.
        """
        try:
            data, ancillary, flags, _ = self._take()
        except ConnectionResetError:
            return None
        fds: list[int] = []
        for level, kind, payload in ancillary:
            if level == _socket.SOL_SOCKET and kind == _socket.SCM_RIGHTS:
                for at in range(0, len(payload) - _INT + 1, _INT):
                    fds.append(int.from_bytes(payload[at : at + _INT], "little"))
        if not data and not fds:
            return None
        try:
            if flags & (_socket.MSG_TRUNC | _socket.MSG_CTRUNC):
                raise ProtocolError("a message from the other side was cut off")
            message = loads(data.decode("utf-8", "surrogateescape"))
            if not isinstance(message, dict) or not isinstance(message.get("type"), str):
                raise ProtocolError("a message from the other side has no type")
        except CrecheError:
            close_all(fds)
            raise
        return message, fds

    def _take(self) -> tuple[bytes, list[tuple[int, int, bytes]], int, object]:
        room = _socket.CMSG_SPACE(MAX_FDS * _INT)
        try:
            return self.sock.recvmsg(MAX_MESSAGE, room, _socket.MSG_CMSG_CLOEXEC)
        except ConnectionResetError:
            # Said once, and first, if the other side ended without having read what we sent. Its
            # last words, such as why it ended, are still there.
            return self.sock.recvmsg(MAX_MESSAGE, room, _socket.MSG_CMSG_CLOEXEC)

    def close(self) -> None:
        self.sock.close()


def pair() -> tuple[Channel, Channel]:
    """Two connected ends, close-on-exec."""
    kind = _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC
    one, other = _socket.socketpair(_socket.AF_UNIX, kind, 0)
    return Channel(one), Channel(other)


def _in_memory(data: bytes) -> int:
    """A file with these bytes that is nowhere but in memory, read from its start."""
    fd = os.memfd_create("creche:document", os.MFD_CLOEXEC)
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
    return fd


def read_document(fds: Sequence[int]) -> dict[str, object]:
    """The document that came with a message from a side that is trusted; closes them all."""
    try:
        if not fds:
            return {}
        size = os.fstat(fds[-1]).st_size
        value = loads(os.pread(fds[-1], size, 0).decode("utf-8", "surrogateescape"))
        return value if isinstance(value, dict) else {}
    finally:
        close_all(fds)


def close_all(fds: Sequence[int]) -> None:
    """Close descriptors that arrived and are not wanted."""
    for fd in fds:
        os.close(fd)
