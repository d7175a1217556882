"""docs/needs.md: all thirty wishes have an answer, and tests that exist."""

from __future__ import annotations

from tests.support.runtimes import REPOSITORY
from tests.unit.test_conformance import REFERENCE, cells, functions

TEXT = (REPOSITORY / "docs/needs.md").read_text()


def test_each_wish_is_answered_and_shown() -> None:
    rows = [cells(line) for line in TEXT.splitlines() if line.startswith("| ")][1:]

    assert [row[0] for row in rows] == [str(number) for number in range(1, 31)]
    for _, wish, answer, tests in rows:
        assert answer, wish
        assert REFERENCE.sub("", tests).strip() == "", wish
        named = [(match["file"], match["name"]) for match in REFERENCE.finditer(tests)]
        assert named, wish
        assert [f"{file}::{name}" for file, name in named if name not in functions(file)] == []
