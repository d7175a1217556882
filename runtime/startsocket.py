"""The socket on which a created container's init waits for `start`: a file in its state directory.

It is removed when the program runs, so that its presence tells created from running. The directory
is 0700, and the socket is reached by the directory's descriptor: sun_path has 108 bytes, and a
state root may be longer.
"""

from __future__ import annotations

import os

from runtime.errors import KernelError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket
    from collections.abc import Callable

NAME = "start.sock"


def listen(directory: str) -> int:
    """A descriptor that init accepts on. Raises KernelError."""

    def bind(sock: _socket.socket, path: str) -> None:
        sock.bind(path)
        sock.listen(1)

    return _open(directory, "listen on", bind).detach()


def connect(directory: str) -> _socket.socket:
    """A connection to init. Raises KernelError."""
    return _open(directory, "connect to", lambda sock, path: sock.connect(path))


def _open(
    directory: str, operation: str, act: Callable[[_socket.socket, str], None]
) -> _socket.socket:
    import _socket  # whoever only asks whether init waits needs no sockets

    fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    kind = _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC
    sock = _socket.socket(_socket.AF_UNIX, kind, 0)
    try:
        act(sock, f"/proc/self/fd/{fd}/{NAME}")
    except OSError as error:
        sock.close()
        raise KernelError(operation, NAME, error.errno or 0) from None
    finally:
        os.close(fd)
    return sock


def waiting(directory: str) -> bool:
    """Whether init still waits for `start`."""
    return os.path.exists(f"{directory}/{NAME}")


def remove(directory: str) -> None:
    """The program runs. Fine if the file is gone already."""
    try:
        os.unlink(f"{directory}/{NAME}")
    except FileNotFoundError:
        pass
