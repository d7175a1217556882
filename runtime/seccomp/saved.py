"""Filters that were compiled before: most containers of a machine share one profile.

libseccomp takes 3 ms for Docker's. A filter is saved until the next boot, in a directory that only
root can enter, together with all that it was made from: the profile in full, the kernel, and the
library's file. It is used again only where all of that is the same to the letter.
"""

from __future__ import annotations

import binascii
import os
import stat

from runtime import KEPT
from runtime.errors import ConfigError
from runtime.jsonio import dumps, loads

from . import compile_filter
from .filter import Filter
from .load import Prepared, prepare

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

DIRECTORY = f"{KEPT}/filters"
_VERSION = 2
_ENTRIES = 64
"""More of them are not worth the memory: all go, and those in use come back."""
_LIMIT = 1 << 20
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW


def saved_filter(seccomp: Mapping[str, Any], place: str = DIRECTORY) -> Filter:
    """A profile compiled, now or earlier. place: where it is saved. Raises as compile_filter."""
    directory = _open_directory(place)
    if directory is None:
        return compile_filter(seccomp)
    try:
        made_from = dumps([_VERSION, *os.uname(), seccomp]).encode("utf-8", "surrogateescape")
        name = f"{binascii.crc32(made_from):08x}"
        found = _read(directory, name, made_from)
        if found is None:
            found = compile_filter(seccomp)
            _write(directory, name, made_from, found)
        return found
    finally:
        os.close(directory)


def prepared(seccomp: Mapping[str, Any], warn: Callable[[str], None]) -> Prepared:
    """As saved_filter, ready to be loaded; warn is told what was passed over."""
    found = saved_filter(seccomp)
    for text in found.warnings:
        warn(text)
    return prepare(found.program, found.flags)


def _open_directory(place: str) -> int | None:
    """A descriptor of the directory, made if need be; None if it is not, or not only root's."""
    if os.geteuid() != 0:
        return None
    above, _, name = place.rpartition("/")
    try:
        parent = os.open(above, _DIRECTORY)
    except OSError:
        return None
    try:
        if not _is_ours(parent, 0o022):
            return None
        try:
            os.mkdir(name, 0o700, dir_fd=parent)
        except FileExistsError:
            pass
        directory = os.open(name, _DIRECTORY, dir_fd=parent)
    except OSError:
        return None
    finally:
        os.close(parent)
    if _is_ours(directory, 0o077):
        return directory
    os.close(directory)
    return None


def _is_ours(fd: int, forbidden: int) -> bool:
    info = os.fstat(fd)
    return info.st_uid == 0 and not info.st_mode & forbidden


def _read(directory: int, name: str, made_from: bytes) -> Filter | None:
    """The filter of this name; None if there is none, or it was made from something else."""
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        fd = os.open(name, flags, dir_fd=directory)
    except OSError:
        return None
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode) or not _is_ours(fd, 0o077):
            return None
        data = os.read(fd, _LIMIT)
    except OSError:
        return None
    finally:
        os.close(fd)
    origin, _, rest = data.partition(b"\n")
    head, _, program = rest.partition(b"\n")
    if origin != made_from:
        return None
    try:
        described: Any = loads(head)
        library, bits, warnings, checksum = described
        fits = checksum == binascii.crc32(program) and library == _identity(library[0])
    except (ConfigError, TypeError, ValueError, LookupError):
        return None
    return Filter(program, bits, warnings) if fits else None


def _write(directory: int, name: str, made_from: bytes, compiled: Filter) -> None:
    """Save a filter; no harm is done if that fails."""
    from runtime.keepfile import keep

    from .libseccomp import path

    head = [_identity(path()), compiled.flags, compiled.warnings, binascii.crc32(compiled.program)]
    data = b"\n".join((made_from, dumps(head).encode(), compiled.program))
    if head[0] is None or len(data) >= _LIMIT:
        return
    try:
        keep(directory, name, data, _ENTRIES)
    except OSError:
        return


def _identity(path: str) -> list[object] | None:
    """What changes when a library is replaced."""
    try:
        info = os.stat(path)
    except OSError:
        return None
    return [path, info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns]
