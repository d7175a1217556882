"""jeepney is found without site-packages on the path, and loaded for --systemd-cgroup alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from runtime.errors import CrecheError
from runtime.systemd import library
from tests.support.repository import REPOSITORY

# As `creche` starts: no site-packages, the checkout at the end of the path.
ISOLATED = [sys.executable, "-I", "-S", "-B", "-c"]


def run(program: str) -> str:
    prelude = "import sys; sys.path.append(sys.argv[1])\n"
    done = subprocess.run(
        [*ISOLATED, prelude + program, str(REPOSITORY)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_is_found_and_nothing_else_is() -> None:
    """The directories of packages are not on the path afterwards."""
    out = run(
        "before = sys.path[:]\n"
        "from runtime.systemd import library\n"
        "print(library.load().DBusConnection.__name__)\n"
        "assert sys.path == before, sys.path\n"
        "print([name for name in sys.modules if name in ('pytest', 'trio', 'structlog')])\n"
    )

    assert out.split() == ["DBusConnection", "[]"]


def test_no_other_start_loads_it() -> None:
    """Each command's module, and all that create and run import."""
    out = run(
        "import runtime.cli.main as m\n"
        "for name in m.COMMANDS: __import__('runtime.commands.' + name)\n"
        "import runtime.launch, runtime.execute, runtime.lifecycle.blocking\n"
        "print([n for n in sys.modules if n.startswith(('jeepney', 'runtime.systemd'))])\n"
    )

    assert out.strip() == "[]"


def test_where_it_is_missing_the_error_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [])
    for name in [name for name in sys.modules if name.partition(".")[0] == "jeepney"]:
        monkeypatch.delitem(sys.modules, name)

    with pytest.raises(CrecheError, match="apt-get install python3-jeepney") as caught:
        library.load([str(tmp_path)])
    assert str(tmp_path) in str(caught.value)
