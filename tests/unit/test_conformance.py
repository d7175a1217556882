"""docs/conformance.md says what is there: its tests exist, its rows are whole, its counts right."""

from __future__ import annotations

import ast
import functools
import re
from collections import Counter

import pytest

from tests.support.runtimes import REPOSITORY

STATES = ("done", "laid out", "partly", "not yet", "not applicable")
TEXT = (REPOSITORY / "docs/conformance.md").read_text()
REFERENCE = re.compile(r"`(?P<file>[\w/]+\.py)::(?P<name>\w+)`")
ALL = "**All**"

# Title of a section -> its rows, each as (what, key, state, tests).
Row = tuple[str, str, str, str]


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def sections() -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for part in TEXT.split("\n## ")[1:]:
        title, _, rest = part.partition("\n")
        table = [line for line in rest.splitlines() if line.startswith("|")][2:]
        found[title] = []
        for line in table:
            what, key, state, tests = cells(line)
            found[title].append((what, key, state, tests))
    return found


def counted() -> dict[str, list[int]]:
    """The table at the head: section -> rows, then the number in each state."""
    table = [line for line in TEXT.partition("\n## ")[0].splitlines() if line.startswith("|")]
    assert cells(table[0]) == ["Section", "Rows", *STATES]
    return {row[0]: [int(cell) for cell in row[1:]] for row in map(cells, table[2:])}


@functools.cache
def functions(file: str) -> frozenset[str]:
    """Names of the test functions of a file below tests/."""
    path = REPOSITORY / "tests" / file
    if not path.exists():
        return frozenset()
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(
        node.name for node in ast.parse(path.read_text()).body if isinstance(node, kinds)
    )


def test_each_test_that_is_named_exists() -> None:
    named = [(match["file"], match["name"]) for match in REFERENCE.finditer(TEXT)]

    assert len(named) > 200
    assert [f"{file}::{name}" for file, name in named if name not in functions(file)] == []


@pytest.mark.parametrize("title", sections())
def test_rows_have_a_state_and_name_tests(title: str) -> None:
    """Nothing is ticked without a test, and a cell of tests holds nothing else."""
    for what, _key, state, tests in sections()[title]:
        assert state in STATES, what
        assert what.strip(), title
        assert REFERENCE.sub("", tests).strip() == "", what
        if state in ("done", "laid out"):
            assert REFERENCE.search(tests), what


def test_no_row_is_there_twice() -> None:
    rows = [(title, what, key) for title, table in sections().items() for what, key, *_ in table]

    assert len(rows) == len(set(rows))


def test_the_counts_are_right() -> None:
    expected: dict[str, list[int]] = {}
    total: Counter[str] = Counter()
    for title, rows in sections().items():
        states = Counter(row[2] for row in rows)
        total += states
        expected[title] = [len(rows), *(states[state] for state in STATES)]
    expected[ALL] = [total.total(), *(total[state] for state in STATES)]

    assert counted() == expected


def test_no_section_is_missing() -> None:
    """The checklist's eight, then the command line in two."""
    titles = list(sections())

    assert [title[:2] for title in titles[:8]] == [f"{letter}." for letter in "ABCDEFGH"]
    assert all(title.startswith("Command line") for title in titles[8:])
    assert len(titles) == 10
