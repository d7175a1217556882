"""Handing descriptors to the engine that called: a terminal's master, a process' pidfd."""

from __future__ import annotations

import os
import struct

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
