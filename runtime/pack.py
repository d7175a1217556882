"""creche's modules in one file a package: importing one is a look-up, not a search.

A file holds the byte code that lies beside the sources (PEP 3147), as read by a command of root
(runtime/packing.py) that ran from the kept interpreter (runtime/kept.py). It is made by the first
one and stays until the next boot. A module whose source is another by now is imported as ever, and
the file made anew when the command has ended. What lies in it is believed as .pyc files are: it is
root's, in a directory of root's.
"""

from __future__ import annotations

import marshal
import os
import sys
from _frozen_importlib import ModuleSpec  # importlib.machinery's, without what it imports

from runtime import KEPT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

    # Path, time of change in ns and size of the source; where its code begins and ends in the file,
    # which is the same for a source without byte code.
    Entry = tuple[str, int, int, int, int]
    Part = tuple[dict[str, Entry], memoryview]

PACKAGES = frozenset(("runtime", "hooks"))
DIRECTORY = f"{KEPT}/modules"
_OPEN = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


class Pack:
    """A finder and loader of modules (importlib.abc).

    top: directory of the packages. directory: where the files are. outdated: packages of which a
    module was asked for that is not in their file as it is now.
    """

    def __init__(self, top: str, directory: str = DIRECTORY) -> None:
        self.top = top
        self.directory = directory
        self.outdated: set[str] = set()
        self._parts: dict[str, Part] = {}

    def find_spec(
        self, name: str, _path: Sequence[str] | None = None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """None for what is not in the file, or not as it is now: others look for that."""
        if name.partition(".")[0] not in PACKAGES:
            return None
        package = name.rpartition(".")[0]
        index, _ = self._part(package)
        entry = index.get(name)
        if entry is None:
            source = f"{self.top}/{name.replace('.', '/')}"
            if os.path.exists(source) or os.path.exists(f"{source}.py"):
                self.outdated.add(package)
            return None
        path, mtime, size, begin, end = entry
        try:
            info = os.stat(path)
        except OSError:
            info = None
        if info is None or (info.st_mtime_ns, info.st_size) != (mtime, size):
            self.outdated.add(package)
            return None
        if begin == end:
            return None
        directory, _, file = path.rpartition("/")
        spec = ModuleSpec(name, self, origin=path)  # type: ignore[arg-type]
        spec.has_location = True
        if file == "__init__.py":
            spec.submodule_search_locations = [directory]
        return spec

    def create_module(self, _spec: ModuleSpec) -> None:
        """A module like any other."""

    def exec_module(self, module: ModuleType) -> None:
        """Run the module's code."""
        name = module.__name__
        index, code = self._part(name.rpartition(".")[0])
        _, _, _, begin, end = index[name]
        exec(marshal.loads(code[begin:end]), module.__dict__)  # noqa: S102, S302

    def _part(self, package: str) -> Part:
        """A package's file; empty if there is none that is fit for use."""
        part = self._parts.get(package)
        if part is None:
            part = ({}, memoryview(b""))
            try:
                data = _read(self.directory, self.name_of(package))
                length = int.from_bytes(data[:8], "little")
                version, top, index = marshal.loads(data[8:length])  # noqa: S302
                if version == sys.version and top == self.top:
                    part = (index, memoryview(data)[length:])
            except (OSError, ValueError, TypeError, EOFError):
                pass
            self._parts[package] = part
        return part

    def name_of(self, package: str) -> str:
        """Of a package's file; where it would be too long there is none."""
        return self.top.replace("/", "|") + "." + package


def _read(place: str, name: str) -> bytes:
    """All of a file. Raises OSError, also if somebody else than root could have made it."""
    directory = os.open(place, _OPEN | os.O_DIRECTORY)
    try:
        fd = os.open(name, _OPEN, dir_fd=directory)
        try:
            info = os.fstat(fd)
            for found in (info, os.fstat(directory)):
                if found.st_uid != 0 or found.st_mode & 0o022:
                    raise PermissionError
            return os.read(fd, info.st_size)
        finally:
            os.close(fd)
    finally:
        os.close(directory)
