"""creche's modules in one file a package: importing one is a look-up, not a search.

A file holds the byte code that lies beside the sources (PEP 3147), as read by a command of root
(runtime/packing.py) that ran from the kept interpreter (runtime/kept.py). It is made by the first
one and stays until the next boot. A module whose source is another by now is imported as ever, and
the file made anew when the command has ended. What lies in it is believed as .pyc files are: it is
root's, in a directory of root's.

Beside them there is a list for each command of what it has imported so far, in order. Later ones
begin with that, without the import system, which takes longer than the modules do.
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
    module was asked for that is not in their file as it is now. loaded: modules that came from
    here, in the order in which they were complete. listed: so many of them were on a list.
    """

    def __init__(self, top: str, directory: str = DIRECTORY) -> None:
        self.top = top
        self.directory = directory
        self.outdated: set[str] = set()
        self.loaded: list[str] = []
        self.listed = 0
        self._waiting: set[str] = set()  # modules that have not run yet
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
        self.loaded.append(name)

    def preload(self, words: Sequence[str]) -> None:
        """Import what the command among these words has imported before.

        A list that does not fit the modules any more does no harm: what it cannot do is undone.
        """
        lists = (self._list(word) for word in words if word.isascii() and word.isalpha())
        names = next(filter(None, lists), [])
        before = set(sys.modules)
        try:
            fits = all(self._load(name) for name in names) and not self._waiting
        except Exception:  # noqa: BLE001 - whatever it is, the command is going to meet it itself
            fits = False
        if fits:
            self.listed = len(self.loaded)
            return
        for name in [name for name in sys.modules if name not in before]:
            parent, _, leaf = name.rpartition(".")
            if name.partition(".")[0] in PACKAGES:
                del sys.modules[name]
                if parent in before:
                    vars(sys.modules[parent]).pop(leaf, None)
        self.loaded.clear()

    def _load(self, name: str) -> bool:
        """Whether a module is there; it is made and run if it was not, after its dependencies."""
        if name not in sys.modules and self._register(name) is None:
            return False
        if name in self._waiting:
            self._waiting.remove(name)
            self.exec_module(sys.modules[name])
        return True

    def _register(self, name: str) -> ModuleType | None:
        """A module that has not run yet, below its package; None if it is not to be had."""
        parent, _, leaf = name.rpartition(".")
        above = sys.modules.get(parent) or self._register(parent) if parent else sys
        spec = self.find_spec(name)
        if spec is None or above is None:
            return None
        module = type(sys)(name)
        module.__spec__ = spec
        module.__loader__ = self  # type: ignore[assignment]
        module.__package__ = spec.parent
        module.__file__ = spec.origin
        if spec.submodule_search_locations is not None:
            module.__path__ = spec.submodule_search_locations
        sys.modules[name] = module
        self._waiting.add(name)
        if parent:
            setattr(above, leaf, module)
        return module

    def _list(self, command: str) -> list[str]:
        try:
            version, top, names = marshal.loads(_read(self.directory, self.list_of(command)))  # noqa: S302
        except (OSError, ValueError, TypeError, EOFError):
            return []
        return names if version == sys.version and top == self.top else []

    def list_of(self, command: str) -> str:
        """Name of the file with a command's list."""
        return self.top.replace("/", "|") + "@" + command

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
