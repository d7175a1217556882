"""Listeners outlive creched: who connects while the next one is not up yet waits for it.

Each is kept by a name (supervisor/systemd/descriptors.py) that says which socket it is: of one in
the file system where it lies and whose file that is, for another one might have taken its place.
"""

from __future__ import annotations

import os
import socket
from urllib.parse import quote, unquote_to_bytes

from supervisor.control import sockets
from supervisor.control.request import Access
from supervisor.control.server import Listener, mode_of, page_listener, unix_listener
from supervisor.systemd.descriptors import Descriptors

_LONGEST = 255
"""Characters of a name that systemd takes (FDNAME_MAX)."""
_UNIX, _PAGE = "control", "http"


class KeptListeners:
    """Makes listeners, or takes those that an earlier creched has left. Raises CrecheError."""

    def __init__(self, descriptors: Descriptors) -> None:
        self._descriptors = descriptors
        self._names: list[str] = []

    def unix(self, path: str, access: Access, group: int | None = None) -> Listener:
        """See `unix_listener`; mode and group of one that was left become these."""
        left = self._take(unix_name(path))
        if left is not None:
            sockets.permit(path, mode_of(access), group)
            return Listener(left, access, path)
        # Whoever has touched the file has made it another one; that of old would count as somebody
        # who listens there.
        self._descriptors.sweep(lambda name: path_of(name) == path)
        listener = unix_listener(path, access, group)
        self._keep(unix_name(path), listener)
        return listener

    def page(self, address: str) -> Listener:
        """See `page_listener`."""
        name = f"{_PAGE}-{address.replace(':', '_')}"
        left = self._take(name)
        if left is not None:
            return Listener(left, Access.PAGE)
        self._descriptors.sweep(lambda name: name.startswith(f"{_PAGE}-"))  # it may have the port
        listener = page_listener(address)
        self._keep(name, listener)
        return listener

    def drop(self) -> None:
        """Keep none of them any longer."""
        for name in self._names:
            self._descriptors.drop(name)
        self._names.clear()

    def _take(self, name: str) -> socket.socket | None:
        fd = self._descriptors.take(name)
        if fd < 0:
            return None
        self._names.append(name)
        left = socket.socket(fileno=fd)
        left.setblocking(False)
        return left

    def _keep(self, name: str, listener: Listener) -> None:
        if name:
            self._names.append(name)
            self._descriptors.keep(name, listener.socket.fileno())


def unix_name(path: str) -> str:
    """By which the listener at this path is kept; "" if none is there, or there is no name."""
    try:
        found = os.stat(path, follow_symlinks=False)
    except OSError:
        return ""
    # The time as well: a number may be given to another file. It stays if mode or group change.
    key = f"{found.st_dev:x}-{found.st_ino:x}-{found.st_mtime_ns:x}"
    name = f"{_UNIX}-{key}-{quote(os.fsencode(path), safe='/')}"
    return name if len(name) <= _LONGEST else ""


def path_of(name: str) -> str:
    """Where the listener is that is kept by this name; "" if that is the name of something else."""
    kind, *rest = name.split("-", 4)
    return os.fsdecode(unquote_to_bytes(rest[3])) if kind == _UNIX and len(rest) == 4 else ""


def forget(name: str) -> None:
    """Take the file away of a listener that was kept by this name, and that nobody wants any more:
    the settings have another path now. Other names mean nothing here."""
    path = path_of(name)
    if path and unix_name(path) == name:
        os.unlink(path)
