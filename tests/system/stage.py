"""What the machine gets of this one: the checkout, and a virtual environment that is complete.

The machine has no network. Everything the tests import is Python source, so a copy of the packages
in .venv does; those that only linters need stay here.
"""

from __future__ import annotations

import compileall
import py_compile
import shutil
import sys
from pathlib import Path

from tests.support.repository import REPOSITORY, files

HOME = "/opt/creche"  # where the checkout is in the machine
PYTHON = (3, 11)  # Debian 12's, whose byte code can be made here

_NOT_NEEDED = ("mypy", "mypyc", "ruff", "librt", "ast_serialize", "pathspec", "pip", "setuptools")

_PROGRAM = """#!{home}/.venv/bin/python
import sys

from supervisor.{name} import main

if __name__ == "__main__":
    sys.exit(main())
"""


def make_stage(directory: Path) -> None:
    """Fill an empty directory with what is to lie in HOME."""
    for name in files():
        target = directory / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(REPOSITORY / name, target, follow_symlinks=False)
    _virtual_environment(directory / ".venv")
    if sys.version_info[:2] == PYTHON:
        _compile(directory)


def _virtual_environment(venv: Path) -> None:
    """Copy the packages; the interpreter is the machine's own."""
    version = ".".join(map(str, PYTHON))
    (ours,) = (REPOSITORY / ".venv/lib").glob("python3*/site-packages")
    theirs = venv / f"lib/python{version}/site-packages"

    def skip(directory: str, names: list[str]) -> list[str]:
        left_out = [name for name in names if name == "__pycache__"]
        if Path(directory) == ours:
            left_out += [
                name
                for name in names
                if name.partition("-")[0] in _NOT_NEEDED or name.endswith((".so", ".pth"))
            ]
        return left_out

    shutil.copytree(ours, theirs, symlinks=True, ignore=skip)
    (theirs / "creche.pth").write_text(HOME + "\n")
    (venv / "pyvenv.cfg").write_text("home = /usr/bin\ninclude-system-site-packages = false\n")
    programs = venv / "bin"
    programs.mkdir()
    for name in ("python", "python3", f"python{version}"):
        (programs / name).symlink_to("/usr/bin/python3")
    (programs / "creche").symlink_to("../../runtime/creche")
    for name in ("creched", "crechectl"):
        (programs / name).write_text(_PROGRAM.format(home=HOME, name=name))
        (programs / name).chmod(0o755)


def _compile(directory: Path) -> None:
    """Make the byte code here: there it would take minutes, and `creche` never writes any."""
    done = compileall.compile_dir(
        directory,
        quiet=2,
        stripdir=str(directory),
        prependdir=HOME,
        workers=1,
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )
    if not done:
        print("system: some files could not be compiled", file=sys.stderr)
