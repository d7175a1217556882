"""The sealed interpreter that is kept: attacked as in test_interpreter_file.py, and how it is made.

Each copy of creche here keeps its interpreter in a directory of the test's own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.attack.lab import Copy, Lab
from tests.attack.mutants import Change, Mutant, apply
from tests.attack.test_interpreter_file import WAYS, attack
from tests.support.mountinfo import mounts

pytestmark = pytest.mark.root

Maker = Callable[..., Copy]


@pytest.fixture
def keeping(lab: Lab) -> Iterator[Maker]:
    """A maker of copies, or mutants, that keep their interpreter in lab.directory/kept."""
    directory = lab.directory / "kept"

    def make(mutant: str | None = None) -> Copy:
        made = lab.creche(mutant)
        lines = {
            "runtime/__init__.py": ('KEPT = "/run/creche.sealed"\n', f'KEPT = "{directory}"\n'),
            "runtime/creche": ("kept=/run/creche.sealed\n", f"kept={directory}\n"),
        }
        apply(made.tree, Mutant("", tuple(Change(name, *pair) for name, pair in lines.items())))
        return made

    yield make
    for path in (directory / "python3", directory / "layers"):
        while mounted(path):
            subprocess.run(["umount", path], check=True)


def mounted(path: Path) -> bool:
    return any(mount.target == str(path) for mount in mounts())


def starts_from(lab: Lab, runtime: Copy) -> str:
    """Run a container; the file that the command was executed from, seen by a hook."""
    said = lab.directory / "said"
    made = lab.bundle(args=["/bin/true"])
    made.script("look", f"readlink /proc/$PPID/exe >{said}\n")
    made.patch({"hooks": {"createRuntime": [{"path": str(made.path / "look")}]}})
    runtime.run(["run", "-b", made, lab.name()]).ok()
    return said.read_text().strip()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("command", ["run", "exec"])
def test_the_kept_copy_cannot_be_overwritten(
    lab: Lab, keeping: Maker, command: str, way: str
) -> None:
    runtime = keeping()
    assert starts_from(lab, runtime) == str(lab.directory / "kept/python3")
    evidence, said = attack(lab, runtime, command, way)

    assert not evidence
    assert "Read-only file system" in said


@pytest.mark.parametrize("command", ["run", "exec"])
def test_a_copy_that_is_only_mounted_is_overwritten(lab: Lab, keeping: Maker, command: str) -> None:
    runtime = keeping("kept-bind")
    assert starts_from(lab, runtime) == str(lab.directory / "kept/python3")
    evidence, _ = attack(lab, runtime, command, "script")

    assert evidence


def test_it_is_made_once_and_anew_for_another_file(lab: Lab, keeping: Maker) -> None:
    """After an upgrade, for example, and whatever a command that was killed has left."""
    runtime = keeping()
    kept = lab.directory / "kept"
    first = starts_from(lab, runtime)
    number = os.stat(kept / "python3").st_ino

    assert first == str(kept / "python3")
    assert starts_from(lab, runtime) == first
    assert not mounted(kept / "layers")

    upgrade = runtime.interpreter.with_name("new")
    shutil.copy(runtime.interpreter, upgrade)
    upgrade.rename(runtime.interpreter)
    (kept / "layers").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "none", kept / "layers"], check=True)
    (kept / "pyvenv.cfg").unlink()

    assert starts_from(lab, runtime) == first
    assert os.stat(kept / "python3").st_mtime_ns == runtime.interpreter.stat().st_mtime_ns
    assert os.stat(kept / "python3").st_ino != number
    assert set(os.listdir(kept)) == {"modules", "pyvenv.cfg", "python3", "source"}


def test_a_second_interpreter_seals_itself(lab: Lab, keeping: Maker) -> None:
    first, second = keeping(), keeping()

    assert starts_from(lab, first) == str(lab.directory / "kept/python3")
    assert starts_from(lab, second) == "/python3"  # on a mount that no path leads to
    assert os.readlink(lab.directory / "kept/source") == str(first.interpreter)


@pytest.mark.parametrize("hostile", ["owner", "mode", "link", "file"])
def test_what_others_could_have_made_is_not_used(lab: Lab, keeping: Maker, hostile: str) -> None:
    kept, elsewhere = lab.directory / "kept", lab.directory / "elsewhere"
    ran = lab.directory / "ran"
    runtime = keeping()
    elsewhere.mkdir()
    (elsewhere / "source").symlink_to(runtime.interpreter)
    (elsewhere / "python3").write_text(f"#!/bin/sh\necho ran >{ran}\n")
    (elsewhere / "python3").chmod(0o755)
    info = runtime.interpreter.stat()
    os.utime(elsewhere / "python3", ns=(info.st_atime_ns, info.st_mtime_ns))
    if hostile == "link":
        kept.symlink_to(elsewhere)
    elif hostile == "file":
        kept.write_text("")
    else:
        elsewhere.rename(kept)
        os.chown(kept, 1000 if hostile == "owner" else 0, 0)
        kept.chmod(0o777 if hostile == "mode" else 0o755)
    if hostile == "mode":  # no use in root's hiding its own program from itself
        (kept / "python3").unlink()

    assert starts_from(lab, runtime) == "/python3"
    assert not ran.exists()
    assert not mounted(kept / "python3")
