"""The repository as data: its committed files, its modules, and what each imports."""

from __future__ import annotations

import ast
import functools
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGES = ("supervisor", "runtime", "hooks", "tests")
_NOT_OURS = {".git", ".venv", ".cache", "build", "dist", "__pycache__"}


@functools.cache
def files() -> tuple[Path, ...]:
    """Return the committed files and those about to be, relative to the top.

    Without git (a release archive) every file counts that is not in a directory made by tools.
    """
    command = ["git", "-c", f"safe.directory={REPOSITORY}", "ls-files", "-z", "--cached"]
    command += ["--others", "--exclude-standard"]
    try:
        done = subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        found = _walk()
    else:
        found = [Path(os.fsdecode(name)) for name in done.stdout.split(b"\0") if name]
    return tuple(sorted(path for path in set(found) if (REPOSITORY / path).is_file()))


def _walk() -> list[Path]:
    found = []
    for top, directories, names in os.walk(REPOSITORY):
        directories[:] = [
            name for name in directories if name not in _NOT_OURS and not name.endswith("_cache")
        ]
        found += [(Path(top) / name).relative_to(REPOSITORY) for name in names]
    return found


@dataclass(frozen=True)
class Import:
    """One import statement: the module it names, its line, and whether it runs at import time."""

    module: str
    line: int
    at_start: bool


@dataclass(frozen=True)
class Module:
    """A Python file of ours."""

    path: Path
    source: str
    tree: ast.Module

    @property
    def package(self) -> str:
        """Return the top-level package."""
        return self.path.parts[0]

    def imports(self) -> Iterator[Import]:
        """Yield every import that is ever executed: not those for type checkers only."""
        yield from _imports(self.tree, self.path, at_start=True)


@functools.cache
def modules() -> tuple[Module, ...]:
    """Return all Python files of the packages, parsed."""
    found = []
    for path in files():
        if path.suffix == ".py" and path.parts[0] in PACKAGES:
            source = (REPOSITORY / path).read_text()
            found.append(Module(path, source, ast.parse(source, str(path))))
    return tuple(found)


def _is_type_checking(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.If)
        and isinstance(node.test, ast.Name)
        and node.test.id == "TYPE_CHECKING"
    )


def _imports(node: ast.AST, path: Path, *, at_start: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield Import(alias.name, child.lineno, at_start)
        elif isinstance(child, ast.ImportFrom):
            base = child.module or ""
            if child.level:
                parents = path.parent.parts[: len(path.parent.parts) - child.level + 1]
                base = ".".join((*parents, base)).rstrip(".")
            # `from runtime import state` may name a module: give the longer name as well.
            yield Import(base, child.lineno, at_start)
            for alias in child.names:
                yield Import(f"{base}.{alias.name}", child.lineno, at_start)
        elif isinstance(child, ast.stmt) and _is_type_checking(child):
            assert isinstance(child, ast.If)
            for other in child.orelse:
                yield from _imports(other, path, at_start=at_start)
        else:
            inner = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from _imports(child, path, at_start=at_start and not inner)
