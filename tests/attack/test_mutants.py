"""Each mutant still is one, and some attack is made on it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.attack.mutants import MUTANTS, PACKAGES, Change, Mutant, apply
from tests.support.repository import REPOSITORY


def _tree(directory: Path, mutant: Mutant) -> Path:
    for change in mutant.changes:
        assert change.file.split("/")[0] in PACKAGES
        (directory / change.file).parent.mkdir(parents=True, exist_ok=True)
        (directory / change.file).write_text((REPOSITORY / change.file).read_text())
    return directory


@pytest.mark.parametrize("name", MUTANTS)
def test_the_text_to_replace_is_there_once(name: str, tmp_path: Path) -> None:
    mutant = MUTANTS[name]
    for path in apply(_tree(tmp_path, mutant), mutant):
        assert path.read_text() != (REPOSITORY / path.relative_to(tmp_path)).read_text()
        if path.suffix == ".py":
            compile(path.read_text(), str(path), "exec")


def test_a_text_that_is_gone_is_noticed(tmp_path: Path) -> None:
    mutant = Mutant("nothing", (Change("runtime/seal.py", "no such text", ""),))
    with pytest.raises(AssertionError, match="has 0 times"):
        apply(_tree(tmp_path, mutant), mutant)


@pytest.mark.parametrize("name", MUTANTS)
def test_some_attack_is_made_on_it(name: str) -> None:
    tests = [path.read_text() for path in Path(__file__).parent.glob("test_*.py")]
    assert any(f'"{name}"' in text for text in tests)
