"""What the machine gets of this one: the checkout, and a virtual environment that is complete.

The machine has no network. Everything the tests import is Python source, so a copy of the packages
in .venv does; those that only linters need stay here.
"""

from __future__ import annotations

import compileall
import hashlib
import py_compile
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from tests.support.repository import REPOSITORY, files

HOME = "/opt/creche"  # where the checkout is in the machine
WHEELS = "wheels"  # directory in the checkout there

OWN = "{}.{}".format(*sys.version_info)

_NOT_NEEDED = ("mypy", "mypyc", "ruff", "librt", "ast_serialize", "pathspec", "pip", "setuptools")

_PROGRAM = """#!{home}/.venv/bin/python
import sys

from supervisor.{name} import main

if __name__ == "__main__":
    sys.exit(main())
"""


def make_stage(directory: Path, python: str) -> None:
    """Fill an empty directory with what is to lie in HOME; `python`: version there, like 3.11."""
    for name in files():
        target = directory / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(REPOSITORY / name, target, follow_symlinks=False)
    _virtual_environment(directory / ".venv", python)
    _wheels(directory / WHEELS)
    if python == OWN:
        _compile(directory)


def _wheels(target: Path) -> None:
    """creche and what it needs, as an administrator without a network would bring them along.

    pip is there as well, unpacked.
    """
    lock = (REPOSITORY / "requirements.lock").read_bytes()
    kept = REPOSITORY / ".cache/wheels" / hashlib.sha256(lock).hexdigest()[:16]
    pip = [sys.executable, "-m", "pip", "wheel", "-qq", "--disable-pip-version-check"]
    pip += ["--use-pep517", "--constraint", str(REPOSITORY / "requirements.lock")]
    if not kept.exists():
        new = kept.with_suffix(".new")
        shutil.rmtree(new, ignore_errors=True)
        # pyasyncore: for the newer Python of the other machine.
        subprocess.run([*pip, "-w", new, REPOSITORY, "pyasyncore", "pip"], check=True, stdout=2)
        for old in new.glob("creche-*"):
            old.unlink()
        new.rename(kept)
    shutil.copytree(kept, target)
    [packed] = target.glob("pip-*.whl")
    shutil.unpack_archive(packed, target / "pip", "zip")
    packed.unlink()
    with tempfile.TemporaryDirectory(prefix="creche-wheel.") as name:
        source = Path(name, "creche")
        for file in files():
            (source / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / file, source / file, follow_symlinks=False)
        subprocess.run([*pip, "--no-deps", "-w", target, source], check=True, stdout=2)


def _virtual_environment(venv: Path, python: str) -> None:
    """Copy the packages; the interpreter is the machine's own."""
    (ours,) = (REPOSITORY / ".venv/lib").glob("python3*/site-packages")
    theirs = venv / f"lib/python{python}/site-packages"

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
    if python != OWN:
        # Of what every test imports, this alone has a part that is compiled.
        pip = [sys.executable, "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
        pip += ["--no-deps", "--only-binary=:all:", "--upgrade", "--python-version", python]
        # And pyinotify needs a module that left the standard library.
        wanted = [f"hypothesis=={version('hypothesis')}", "pyasyncore"]
        subprocess.run([*pip, "--target", theirs, *wanted], check=True, stdout=2)
    (theirs / "creche.pth").write_text(HOME + "\n")
    (venv / "pyvenv.cfg").write_text("home = /usr/bin\ninclude-system-site-packages = false\n")
    programs = venv / "bin"
    programs.mkdir()
    for name in ("python", "python3", f"python{python}"):
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
