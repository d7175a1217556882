"""Handing over to the engine that called: a terminal's master, a process' pidfd, a pid file."""

from __future__ import annotations

import _struct as struct
import os

from runtime.errors import KernelError


def send_console(path: str, master: int, name: str) -> None:
    """Hand a terminal's master to the engine that listens at a --console-socket.

    name: the terminal's path, as payload. Raises KernelError.
    """
    send_descriptor(path, master, os.fsencode(name)[:4096] or b"/dev/ptmx", "--console-socket")


def send_pidfd(path: str, pidfd: int, kind: str = "standard") -> None:
    """Hand a process' pidfd to whoever listens at a --pidfd-socket.

    kind: "standard" for a container's init, "setns" for exec, as runc says. Raises KernelError.
    """
    send_descriptor(path, pidfd, kind.encode(), "--pidfd-socket")


def send_descriptor(path: str, fd: int, payload: bytes, option: str) -> None:
    """Connect to a Unix stream socket and send one descriptor with one payload."""
    import _socket

    directory = -1
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC, 0)
    try:
        address = path
        if len(os.fsencode(path)) >= 108:
            # sun_path has 108 bytes (unix(7)); a descriptor of the directory makes it short.
            parent, _, base = path.rpartition("/")
            directory = os.open(parent or "/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            address = f"/proc/self/fd/{directory}/{base}"
        connection.connect(address)
        rights = (_socket.SOL_SOCKET, _socket.SCM_RIGHTS, struct.pack("i", fd))
        connection.sendmsg([payload], [rights])
    except OSError as error:
        raise KernelError("send descriptor to", path, error.errno or 22, option) from None
    finally:
        connection.close()
        if directory >= 0:
            os.close(directory)


def write_pid_file(path: str, pid: int) -> None:
    """Decimal, no newline; in place at once, so that no reader sees half of it."""
    directory, _, name = path.rpartition("/")
    temporary = f"{directory}/.{name}.{os.getpid()}"
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        fd = os.open(temporary, flags, 0o666)
        try:
            os.write(fd, str(pid).encode())
        finally:
            os.close(fd)
        os.rename(temporary, path)
    except OSError as error:
        raise KernelError("write pid file", path, error.errno or 0, "--pid-file") from None
