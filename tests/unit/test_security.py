"""docs/security.md says what is there: its tests and mutants exist, its counts are right."""

from __future__ import annotations

import re

import pytest

from tests.attack.mutants import MUTANTS
from tests.support.runtimes import REPOSITORY
from tests.unit.test_conformance import REFERENCE, cells, functions

TEXT = (REPOSITORY / "docs/security.md").read_text()
STATES = ("shown", "documented")
HEAD = ["Attack", "Defence", "State", "Tests", "Without", "runC / crun"]


def sections() -> dict[str, list[list[str]]]:
    """Title -> the rows of its table."""
    found = {}
    for part in TEXT.partition("## The attacks")[2].partition("\n## ")[0].split("\n### ")[1:]:
        title, _, rest = part.partition("\n")
        table = [cells(line) for line in rest.splitlines() if line.startswith("|")]
        assert table[0] == HEAD
        found[title] = table[2:]
    return found


def counted() -> dict[str, list[int]]:
    """The table of numbers at the head."""
    part = TEXT.partition("## The attacks")[2].partition("\n### ")[0]
    table = [cells(line) for line in part.splitlines() if line.startswith("|")]
    assert table[0] == ["Section", "Rows", *STATES]
    return {row[0]: [int(cell) for cell in row[1:]] for row in table[2:]}


@pytest.mark.parametrize("title", sections())
def test_rows_name_tests_and_mutants_that_exist(title: str) -> None:
    for attack, _, state, tests, without, _ in sections()[title]:
        assert state in STATES, attack
        named = [(match["file"], match["name"]) for match in REFERENCE.finditer(tests)]
        assert bool(named) is (state == "shown"), attack
        assert [f"{file}::{name}" for file, name in named if name not in functions(file)] == []
        assert set(re.findall(r"`([\w-]+)`", without)) <= set(MUTANTS), attack


def test_the_counts_are_right() -> None:
    rows = sections()
    expected = {
        title: [len(table), *(sum(row[2] == state for row in table) for state in STATES)]
        for title, table in rows.items()
    }
    expected["**All**"] = [sum(column) for column in zip(*expected.values(), strict=True)]

    assert counted() == expected


def test_each_mutant_stands_in_a_row() -> None:
    named = {
        name
        for table in sections().values()
        for row in table
        for name in re.findall(r"`([\w-]+)`", row[4])
    }
    assert set(MUTANTS) - named == set()
