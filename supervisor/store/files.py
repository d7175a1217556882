"""Small documents that are whole or not there, whatever is killed or unplugged when.

A document is written to a new file which is renamed over the old one. What has to survive a power
cut (`durable`) is flushed before the rename, and the directory after it: file systems with delayed
allocation otherwise have the new name before the new content, which after a power cut is an empty
file. On tmpfs there is nothing to flush.

A file that cannot be used is set aside (NAME.damaged), reported, and no reason to stop.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

from runtime.errors import CrecheError
from runtime.jsonio import dumps, loads

SUFFIX = ".json"
DAMAGED = ".damaged"
_NEW = ".new"
_LIMIT = 8 << 20  # bytes; what is larger was not written here

Damage = Callable[[str, str, str], object]
"""Told of a damaged file: its path, where it is kept now, what is wrong with it."""


class Documents:
    """A directory of JSON objects, one a name. Names are workloads' names: safe as file names."""

    def __init__(self, directory: str, durable: bool, damage: Damage) -> None:
        self.directory = directory
        self._durable = durable
        self._damage = damage

    def save(self, name: str, document: dict[str, Any]) -> None:
        """Replace one in one step. Raises OSError; then the old one is still there."""
        text = dumps(document) + "\n"
        replace(self._path(name), text.encode("utf-8", "surrogateescape"), self._durable)

    def load(self, name: str) -> dict[str, Any] | None:
        """One of them; None if there is none that can be used (a damaged one is set aside)."""
        path = self._path(name)
        try:
            data = read(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            self.set_aside(name, os.strerror(error.errno or 0))
            return None
        try:
            if not data.endswith(b"\n"):
                raise CrecheError("it is empty or cut short")
            document = loads(data.decode("utf-8", "surrogateescape"), max_size=_LIMIT)
            if not isinstance(document, dict):
                raise CrecheError("it holds no object")
        except CrecheError as error:
            self.set_aside(name, str(error))
            return None
        return document

    def names(self) -> Iterator[str]:
        """Of all that are there, sorted; leftovers of writes that were cut short are removed."""
        try:
            entries = sorted(os.listdir(self.directory))
        except FileNotFoundError:
            return
        for entry in entries:
            if entry.endswith(_NEW):
                os.unlink(f"{self.directory}/{entry}")
            elif entry.endswith(SUFFIX):
                yield entry.removesuffix(SUFFIX)

    def set_aside(self, name: str, reason: str) -> None:
        """Move one out of the way, for somebody to look at, and tell. Only the last is kept."""
        path = self._path(name)
        kept = path + DAMAGED
        try:
            os.rename(path, kept)
        except OSError as error:
            reason = f"{reason}; and it cannot be moved: {error.strerror}"
            kept = path
        self._damage(path, kept, reason)

    def remove(self, name: str) -> None:
        """Forget one; fine if there is none. Raises OSError."""
        try:
            os.unlink(self._path(name))
        except FileNotFoundError:
            return
        if self._durable:
            _flush_directory(self.directory)

    def _path(self, name: str) -> str:
        return f"{self.directory}/{name}{SUFFIX}"


def replace(path: str, data: bytes, durable: bool) -> None:
    """Give a file new content, all of it or nothing. Raises OSError, which names the file."""
    new = path + _NEW
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        fd = os.open(new, flags, 0o600)
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(fd, rest) :]
            if durable:
                os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(new, path)
    except OSError as error:
        try:
            os.unlink(new)
        except OSError:
            pass
        raise OSError(error.errno, error.strerror, path) from None
    if durable:
        _flush_directory(os.path.dirname(path))


def read(path: str) -> bytes:
    """All of a file, which has to be one: no link is followed, no FIFO waited for."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        data = b""
        while len(data) <= _LIMIT and (chunk := os.read(fd, 1 << 20)):
            data += chunk
        return data
    finally:
        os.close(fd)


def _flush_directory(path: str) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
