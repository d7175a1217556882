"""docs/differences.md: each difference from runC has its reason and a test that exists."""

from __future__ import annotations

from tests.support.runtimes import REPOSITORY
from tests.unit.test_conformance import REFERENCE, cells, functions

TEXT = (REPOSITORY / "docs/differences.md").read_text()


def test_each_row_has_a_reason_and_a_test() -> None:
    rows = [cells(line) for line in TEXT.splitlines() if line.startswith("| ")]
    rows = [row for row in rows if row[0] != "What"]

    assert len(rows) > 20
    for what, runc, creche, why, tests in rows:
        assert what
        assert runc
        assert creche
        assert why
        named = [(match["file"], match["name"]) for match in REFERENCE.finditer(tests)]
        assert named, what
        assert [f"{file}::{name}" for file, name in named if name not in functions(file)] == []
