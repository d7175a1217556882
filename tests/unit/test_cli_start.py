"""The shell script that starts Python, and what the start imports."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

import runtime
from runtime import VERSION
from tests.support.repository import modules

PACKAGE = Path(runtime.__file__).parent
SCRIPT = PACKAGE / "creche"
TIMED = (sys.executable, "-I", "-S", "-B", "-X", "importtime", PACKAGE / "__main__.py")

# Each costs every container start milliseconds, or reaches out to the host's files.
EXPENSIVE = (
    "argparse",
    "collections",
    "contextlib",
    "ctypes",
    "dataclasses",
    "datetime",
    "enum",
    "functools",
    "grp",
    "hooks.blocking",
    "hooks.concurrent",
    "importlib",
    "inspect",
    "json",
    "logging",
    "pathlib",
    "pwd",
    "re",
    "shutil",
    "signal",
    "site",
    "socket",
    "subprocess",
    "tempfile",
    "threading",
    "traceback",
    "trio",
    "typing",
)


def call(
    words: Sequence[str | Path], env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words, env={} if env is None else env, cwd=cwd, capture_output=True, text=True
    )


def test_an_empty_environment_is_enough() -> None:
    done = call([SCRIPT, "--version"])

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"creche version {VERSION}\ncommit: ")


@pytest.mark.parametrize("name", ["runc", "crun", "my-runtime"])
def test_a_link_gives_its_name(tmp_path: Path, name: str) -> None:
    (tmp_path / "second").symlink_to(SCRIPT)
    (tmp_path / name).symlink_to("second")

    assert call([tmp_path / name, "--version"]).stdout.startswith(f"{name} version ")
    assert call([tmp_path / name, "run"]).stderr.endswith(
        f'level=error msg="{name}: \\"run\\" requires exactly 1 argument(s)"\n'
    )


def test_a_relative_path_works() -> None:
    for words, cwd in ((["./creche"], PACKAGE), (["runtime/creche"], PACKAGE.parent)):
        done = call([*words, "--version"], cwd=cwd)

        assert done.returncode == 0, done.stderr


def test_it_is_found_through_path(tmp_path: Path) -> None:
    (tmp_path / "creche").symlink_to(SCRIPT)
    done = call(["/bin/sh", "-c", "creche --version"], {"PATH": str(tmp_path)})

    assert done.returncode == 0, done.stderr


def test_hostile_variables_change_nothing(tmp_path: Path) -> None:
    (tmp_path / "os.py").write_text("raise SystemExit('loaded')")
    (tmp_path / "sitecustomize.py").write_text("raise SystemExit('loaded')")
    env = {
        "PYTHONPATH": str(tmp_path),
        "PYTHONHOME": str(tmp_path),
        "PYTHONSTARTUP": str(tmp_path / "os.py"),
        "IFS": "/",
        "CDPATH": str(tmp_path),
        "ENV": str(tmp_path / "os.py"),
    }
    done = call([SCRIPT, "--version"], env, cwd=tmp_path)

    assert done.returncode == 0, done.stderr


def test_arguments_arrive_as_they_are() -> None:
    done = call([SCRIPT, "a b\n'\"$HOME*\\"], {"HOME": "/x"})

    assert done.returncode == 3
    assert "No help topic for 'a b\\n'\\\"$HOME*\\\\'" in done.stderr


def install(prefix: Path) -> Path:
    """Lay files out as pip does: bin/creche, bin/python3, lib/python3.N/site-packages."""
    version = f"python3.{sys.version_info.minor}"
    packages = prefix / "lib" / version / "site-packages"
    packages.mkdir(parents=True)
    (prefix / "bin").mkdir()
    shutil.copy(SCRIPT, prefix / "bin/creche")
    (prefix / "bin/python3").symlink_to(Path(sys.executable).resolve())
    return packages


def test_an_installed_copy_finds_its_package(tmp_path: Path) -> None:
    packages = install(tmp_path)
    (packages / "runtime").symlink_to(PACKAGE)
    (packages / "hooks").symlink_to(PACKAGE.parent / "hooks")

    done = call([tmp_path / "bin/creche", "--version"])

    assert done.returncode == 0, done.stderr


def test_a_copy_in_a_checkouts_environment_finds_the_checkout(tmp_path: Path) -> None:
    install(tmp_path / ".venv")
    (tmp_path / "runtime").symlink_to(PACKAGE)

    done = call([tmp_path / ".venv/bin/creche", "--version"])

    assert done.returncode == 0, done.stderr


def test_an_editable_installation_elsewhere_asks_site(tmp_path: Path) -> None:
    packages = install(tmp_path)
    (packages / "creche.pth").write_text(f"{PACKAGE.parent}\n")
    (tmp_path / "pyvenv.cfg").write_text(f"home = {Path(sys.executable).resolve().parent}\n")

    done = call([tmp_path / "bin/creche", "--version"])

    assert done.returncode == 0, done.stderr


def test_what_lies_beside_the_package_never_shadows_the_standard_library(tmp_path: Path) -> None:
    packages = install(tmp_path)
    shutil.copytree(PACKAGE, packages / "runtime")
    (packages / "ctypes.py").write_text("raise SystemExit('loaded')")

    done = call([tmp_path / "bin/creche", "--version"])

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["state", "x"],
        ["list"],
        ["kill", "x", "9"],
        ["start", "x"],
        ["delete", "x"],
        ["create", "--bundle", "/nonexistent", "x"],
        ["run", "--bundle", "/nonexistent", "x"],
        ["exec", "x", "true"],
        ["--version"],
    ],
)
def test_a_start_imports_nothing_expensive(tmp_path: Path, words: list[str]) -> None:
    """The interpreter says what it imports (-X importtime), whatever the command's outcome."""
    done = call([*TIMED, "--root", tmp_path, *words])
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    imported = {line.rpartition("|")[2].strip() for line in lines}

    assert "runtime.cli.main" in imported, done.stderr
    found = sorted(name for name in imported if name.startswith(tuple(f"{x}." for x in EXPENSIVE)))
    found += sorted(imported & set(EXPENSIVE))
    assert not found, f"{' '.join(words)} imports {' '.join(found)}"


def test_what_a_launch_imports_is_nothing_expensive() -> None:
    """After sealing (which needs root), so the modules are imported as the commands would."""
    modules = "runtime.commands.run runtime.commands.create runtime.commands.exec runtime.execute"
    modules += " runtime.foreground runtime.launch runtime.lifecycle.blocking runtime.terminal"
    script = f"import sys\nsys.path.append({str(PACKAGE.parent)!r})\n"
    script += "".join(f"import {name}\n" for name in modules.split())
    script += "print(*sys.modules)"
    done = call([sys.executable, "-I", "-S", "-B", "-c", script])
    imported = set(done.stdout.split())

    assert "runtime.init.main" in imported, done.stderr
    found = sorted(name for name in imported if {name, name.partition(".")[0]} & {*EXPENSIVE})
    assert not found, " ".join(found)


@pytest.mark.parametrize("words", [["kill", "x", "9"], ["delete", "--force", "x"], ["start", "x"]])
def test_what_comes_after_create_imports_nothing_to_make_containers(
    tmp_path: Path, words: list[str]
) -> None:
    """Neither system calls by ctypes nor what configurations, plans and filters are made with."""
    done = call([*TIMED, "--root", tmp_path, *words])
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    imported = {line.rpartition("|")[2].strip() for line in lines}

    assert "runtime.lifecycle.blocking" in imported, done.stderr
    makers = ("ctypes", "runtime.spec", "runtime.plan", "runtime.seccomp", "runtime.init")
    found = [name for name in imported if name.startswith(makers)]
    found += [name for name in imported if name.startswith("hooks.") and name != "hooks.cgroup"]
    assert not found, f"{' '.join(words)} imports {' '.join(sorted(found))}"


def test_only_the_module_of_the_command_is_imported(tmp_path: Path) -> None:
    done = call([*TIMED, "--root", tmp_path, "state", "x"])

    assert "runtime.commands.state" in done.stderr
    assert done.stderr.count("runtime.commands.") == 1


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="needs Debian's shellcheck")
def test_the_script_passes_shellcheck() -> None:
    done = call([os.path.realpath(str(shutil.which("shellcheck"))), SCRIPT])

    assert done.returncode == 0, done.stdout


# What the launcher calls once its import system is closed (runtime/launcher.py).
IN_THE_LAUNCHER = ("enter", "idmap", "joining", "launch", "launcher", "launcher_exec", "lsm")
IN_THE_LAUNCHER_TOO = ("runtime/cgroups/", "runtime/init/", "runtime/linux/", "runtime/seccomp/")


def late_imports(tree: ast.AST) -> Iterator[str]:
    """Modules that functions import when they are called."""
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef):
            for node in ast.walk(function):
                if isinstance(node, ast.Import):
                    yield from (alias.name for alias in node.names)
                elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    yield node.module


def test_the_launcher_has_what_its_functions_import() -> None:
    script = f"import sys\nsys.path.append({str(PACKAGE.parent)!r})\n"
    script += "import runtime.launcher\nprint(*sys.modules)"
    done = call([sys.executable, "-I", "-S", "-B", "-c", script])
    imported = set(done.stdout.split())
    assert "runtime.init.main" in imported, done.stderr

    alone = {f"runtime/{name}.py" for name in IN_THE_LAUNCHER}
    for module in modules():
        path = str(module.path)
        if path in alone or path.startswith(IN_THE_LAUNCHER_TOO):
            name = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
            if name in imported:
                missing = set(late_imports(module.tree)) - imported
                assert not missing, f"{path}: {', '.join(sorted(missing))}"
