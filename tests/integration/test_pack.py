"""Modules in one file a package (runtime/pack.py): what is imported from there, and what is not."""

from __future__ import annotations

import compileall
import json
import marshal
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.repository import REPOSITORY

pytestmark = pytest.mark.root

# Imports modules by a pack, and says of each who has loaded it, its file and its line, and whether
# it was there beforehand; makes the files anew at the end, as runtime/start.py does.
PROGRAM = """
import importlib, json, sys
top, place, command, *names = sys.argv[1:]
sys.path.append(top)
from runtime.pack import Pack
from runtime.packing import note, renew
pack = Pack(top, place)
sys.meta_path.insert(0, pack)
pack.preload([top, command])
early = set(sys.modules)
said = {}
for name in names:
    module = importlib.import_module(name)
    functions = [value for value in vars(module).values() if hasattr(value, "__code__")]
    files = {f.__code__.co_filename for f in functions if f.__module__ == name}
    packed = module.__spec__.loader is pack
    changed = getattr(module, "CHANGED", None)
    said[name] = [packed, module.__file__, sorted(files), changed, name in early]
    assert getattr(sys.modules[module.__package__], name.rpartition(".")[2], module) is module
outdated = sorted(pack.outdated)
if outdated or len(pack.loaded) > pack.listed:
    renew(pack)
    note(pack, [command])
print(json.dumps([said, outdated]))
"""
NAMES = (
    "runtime.cli",
    "runtime.cli.main",
    "runtime.cli.options",
    "runtime.errors",
    "hooks.command",
)
COMMAND = ("runtime.commands.state", *NAMES)


class Copy:
    """A compiled copy of the packages, and the directory where their pack lies."""

    def __init__(self, base: Path, top: Path, place: Path) -> None:
        self.top = top
        self.place = place
        shutil.copytree(base, top)

    def compile(self) -> None:
        assert compileall.compile_dir(self.top, quiet=1)

    def call(self, *names: str, command: str = "") -> tuple[dict[str, Any], list[str]]:
        words: list[str | Path] = [
            sys.executable,
            "-I",
            "-S",
            "-B",
            "-c",
            PROGRAM,
            self.top,
            self.place,
            command,
            *names,
        ]
        said, outdated = json.loads(subprocess.check_output(words))
        return said, outdated

    def early(self, *names: str) -> list[str]:
        """Those of the modules that are there before the command `state` begins."""
        said, _ = self.call(*names, command="state")
        for packed, *_ in said.values():
            assert packed
        return [name for name, (*_, there) in said.items() if there]

    def list_of_state(self) -> Path:
        """The file with what the command `state` has imported so far."""
        (found,) = self.place.glob("*@state")
        return found

    def packed(self, *names: str) -> bool:
        """Whether these modules all come from the pack; they are the same in any case."""
        said, outdated = self.call(*names)
        for name, (_, file, files, *_) in said.items():
            path = f"{self.top}/{name.replace('.', '/')}"
            path = f"{path}/__init__.py" if os.path.isdir(path) else f"{path}.py"
            assert file == path
            assert set(files) <= {path}
        found = {packed for packed, *_ in said.values()}
        assert len(found) == 1
        assert found == {not outdated}
        return not outdated


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some modules and their byte code, as they are installed."""
    top = tmp_path_factory.mktemp("packages")
    for package in ("runtime", "hooks"):
        ignored = shutil.ignore_patterns("__pycache__", "criu", "init", "plan", "spec", "systemd")
        shutil.copytree(REPOSITORY / package, top / package, ignore=ignored)
    assert compileall.compile_dir(top, quiet=1)
    return top


@pytest.fixture
def copy(base: Path, tmp_path: Path) -> Copy:
    return Copy(base, tmp_path / "a|b", tmp_path / "packs")


def test_the_second_command_imports_from_the_pack(copy: Copy) -> None:
    assert not copy.packed(*NAMES)
    assert copy.place.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in copy.place.iterdir()} == {0o600}
    assert copy.packed(*NAMES)
    # The names of functions' files are those of the sources: an error tells where it was raised.
    said, _ = copy.call("runtime.cli.main")
    assert said["runtime.cli.main"][2] == [f"{copy.top}/runtime/cli/main.py"]


def test_a_changed_source_is_imported_as_it_is_now(copy: Copy) -> None:
    copy.call(*NAMES)
    source = copy.top / "runtime/errors.py"
    source.write_text(source.read_text() + "\nCHANGED = 1\n")
    said, outdated = copy.call(*NAMES)

    assert said["runtime.errors"][0:4:3] == [False, 1]
    assert outdated == ["runtime"]
    assert said["hooks.command"][0]

    # Without byte code beside it there is nothing to be had from a pack, nor is it made each time.
    said, outdated = copy.call(*NAMES)
    assert said["runtime.errors"][0:4:3] == [False, 1]
    assert outdated == []

    copy.compile()
    source.touch()
    copy.compile()
    copy.call(*NAMES)
    said, outdated = copy.call(*NAMES)
    assert said["runtime.errors"][0:4:3] == [True, 1]
    assert outdated == []


def test_new_and_removed_modules_are_seen(copy: Copy) -> None:
    copy.call(*NAMES)
    (copy.top / "runtime/cli/added.py").write_text("CHANGED = 2\n")
    assert copy.call("runtime.cli.added")[0]["runtime.cli.added"][3] == 2
    (copy.top / "runtime/cli/added.py").unlink()
    with pytest.raises(subprocess.CalledProcessError):
        copy.call("runtime.cli.added")


@pytest.mark.parametrize("damage", ["empty", "cut", "text", "version", "link", "fifo", "writable"])
def test_a_file_that_is_not_fit_for_use_is_made_anew(copy: Copy, damage: str) -> None:
    copy.call(*NAMES)
    (file,) = (path for path in copy.place.iterdir() if path.name.endswith("|a|b.runtime.cli"))
    data = file.read_bytes()
    if damage == "empty":
        file.write_bytes(b"")
    elif damage == "cut":
        file.write_bytes(data[:100])
    elif damage == "text":
        file.write_text("not byte code, but as long as some\n" * 10)
    elif damage == "version":
        file.write_bytes(data.replace(sys.version.encode(), b"4" + sys.version[1:].encode(), 1))
    elif damage == "writable":
        file.chmod(0o622)
    else:
        file.rename(copy.place / "other")
        os.mkfifo(file) if damage == "fifo" else file.symlink_to("other")

    said, outdated = copy.call(*NAMES)
    assert outdated == ["runtime.cli"]
    assert not said["runtime.cli.main"][0]
    assert copy.packed(*NAMES)


def test_another_copy_with_the_same_name_is_told_apart(
    base: Path, copy: Copy, tmp_path: Path
) -> None:
    """The name of a file is made from that of a directory, and not quite unique."""
    other = Copy(base, tmp_path / "a" / "b", copy.place)
    copy.call(*NAMES)

    assert not other.packed(*NAMES)
    assert other.packed(*NAMES)
    assert not copy.packed(*NAMES)


def test_a_directory_of_somebody_elses_is_not_used(copy: Copy) -> None:
    copy.call(*NAMES)
    before = {file: file.stat().st_ino for file in copy.place.iterdir()}
    os.chown(copy.place, 1000, 1000)

    assert not copy.packed(*NAMES)
    assert not copy.packed(*NAMES)
    assert {file: file.stat().st_ino for file in copy.place.iterdir()} == before


def test_a_command_begins_with_what_it_has_imported_before(copy: Copy) -> None:
    """As soon as all of it comes from packs; what it imports beyond that is added."""
    copy.call(*COMMAND)
    assert copy.early(*COMMAND[:3]) == []
    assert copy.early(*COMMAND[:3]) == list(COMMAND[:3])
    assert copy.early(*COMMAND) == [*COMMAND[:4], "runtime.errors"]  # options, by way of main
    assert copy.early(*COMMAND) == list(COMMAND)
    said, _ = copy.call(*COMMAND, command="kill")
    assert not any(there for *_, there in said.values())


def test_a_list_that_does_not_fit_is_undone_and_made_anew(copy: Copy) -> None:
    """Modules that changed, are gone, or refuse to be imported: all are as they are now."""
    for _ in range(2):
        copy.call(*COMMAND, command="state")
    source = copy.top / "runtime/errors.py"
    source.write_text(source.read_text() + "\nCHANGED = 1\n")
    said, outdated = copy.call(*COMMAND, command="state")
    assert said["runtime.errors"][3:] == [1, False]
    assert outdated == ["runtime"]
    copy.compile()
    copy.call(*COMMAND, command="state")  # has no byte code in the pack yet
    source.touch()
    copy.compile()
    copy.call(*COMMAND, command="state")
    assert copy.early(*COMMAND) == list(COMMAND)


@pytest.mark.parametrize("damage", ["missing", "twice", "reversed", "text", "other", "removed"])
def test_a_damaged_list_does_no_harm(copy: Copy, damage: str) -> None:
    for _ in range(2):
        copy.call(*COMMAND, command="state")
    file = copy.list_of_state()
    version, top, names = marshal.loads(file.read_bytes())
    if damage == "missing":
        names.insert(3, "runtime.cli.no_such_module")
    elif damage == "twice":
        names += names
    elif damage == "reversed":
        names.reverse()
    elif damage == "removed":
        names.append("runtime.linux.foreign")
        (copy.top / "runtime/linux/foreign.py").unlink()
    if damage == "text":
        file.write_text("not a list\n")
    else:
        file.write_bytes(marshal.dumps((version, "/other" if damage == "other" else top, names)))
    copy.early(*COMMAND)  # says that each is the one it should be
    assert copy.early(*COMMAND) == list(COMMAND)
