"""Making the files of runtime/pack.py."""

from __future__ import annotations

import marshal
import os
import sys

from runtime.keepfile import keep
from runtime.pack import PACKAGES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from runtime.pack import Entry, Pack

_FILES = 200
"""So many packages and commands, of a few copies of creche; with one more all begin again."""
_OPEN = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
_HEADER = 16  # bytes of a .pyc before the code (PEP 552)


def renew(pack: Pack) -> None:
    """Make the files anew that are outdated; no harm is done if that fails."""
    for package in pack.outdated:
        index: dict[str, Entry] = {}
        code = b""
        for name, path in _sources(pack.top, package):
            try:
                info = os.stat(path)
            except OSError:
                continue
            begin, code = len(code), code + _byte_code(path, info)
            index[name] = (path, info.st_mtime_ns, info.st_size, begin, len(code))
        head = marshal.dumps((sys.version, pack.top, index))
        data = (len(head) + 8).to_bytes(8, "little") + head + code
        try:
            _write(pack.directory, pack.name_of(package), data)
        except OSError:
            return


def note(pack: Pack, words: Sequence[str]) -> None:
    """Make the list of the command among these words, if it is complete; nor harm if that fails."""
    command = next((word for word in words if f"runtime.commands.{word}" in pack.loaded), "")
    if command and not pack.outdated:
        data = marshal.dumps((sys.version, pack.top, pack.loaded))
        try:
            _write(pack.directory, pack.list_of(command), data)
        except OSError:
            return


def _sources(top: str, package: str) -> Iterator[tuple[str, str]]:
    """(name, path) of each module and package that lies in a package; "" has the first ones."""
    directory = f"{top}/{package.replace('.', '/')}" if package else top
    prefix = f"{package}." if package else ""
    for file in os.listdir(directory):
        if os.path.exists(f"{directory}/{file}/__init__.py"):
            if package or file in PACKAGES:
                yield prefix + file, f"{directory}/{file}/__init__.py"
        elif package and file.endswith(".py") and file != "__init__.py":
            yield prefix + file[:-3], f"{directory}/{file}"


def _byte_code(path: str, source: os.stat_result) -> bytes:
    """The marshalled code of a source that has valid byte code beside it, else b""."""
    import _imp
    from _frozen_importlib_external import MAGIC_NUMBER

    directory, _, file = path.rpartition("/")
    cached = f"{directory}/__pycache__/{file[:-3]}.{sys.implementation.cache_tag}.pyc"
    head = MAGIC_NUMBER + bytes(4)  # made from a source of this age and size
    head += int(source.st_mtime).to_bytes(8, "little")[:4]
    head += source.st_size.to_bytes(8, "little")[:4]
    try:
        fd = os.open(cached, _OPEN)
        try:
            data = os.read(fd, os.fstat(fd).st_size)
        finally:
            os.close(fd)
        if data[:_HEADER] != head:
            return b""
        code = marshal.loads(data[_HEADER:])  # noqa: S302
    except (OSError, ValueError, TypeError, EOFError):
        return b""
    # As the finder of files does: it may have been compiled before it was installed.
    _imp._fix_co_filename(code, path)  # type: ignore[attr-defined]
    return marshal.dumps(code)


def _write(place: str, name: str, data: bytes) -> None:
    try:
        os.mkdir(place, 0o700)
    except FileExistsError:
        pass
    directory = os.open(place, _OPEN | os.O_DIRECTORY)
    try:
        if os.fstat(directory).st_uid != 0:
            raise PermissionError
        keep(directory, name, data, _FILES)
    finally:
        os.close(directory)
