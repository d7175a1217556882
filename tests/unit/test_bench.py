"""What the benchmarks say of what they have measured."""

from __future__ import annotations

import pytest

from tests.bench.chart import chart
from tests.bench.measure import Row, Series, one
from tests.bench.report import document, table
from tests.bench.rows_events import rate
from tests.support.repository import REPOSITORY


def times(*values: float) -> Series:
    return Series(values)


def row(ours: float, theirs: float, more_is_better: bool = False) -> Row:
    results = {"creche": one(ours), "peer": one(theirs)}
    return Row("r", "a row", "ms", results, (("peer", 0.5),), more_is_better, goal=10.0)


def test_a_series_is_its_median_and_the_middle_half() -> None:
    series = times(5, 1, 2, 3, 4)

    assert series.median == 3
    assert str(series) == "3 (2 to 4)"
    assert [str(one(value)) for value in (0.01234, 12.34, 7240.7)] == ["0.0123", "12.3", "7241"]


@pytest.mark.parametrize(
    ("ours", "theirs", "more", "by_ratio", "by_itself"),
    [
        (4, 10, False, True, True),
        (6, 10, False, False, True),
        (20, 100, False, True, False),
        (20, 10, True, True, True),
        (4, 10, True, False, False),
    ],
)
def test_targets(ours: float, theirs: float, more: bool, by_ratio: bool, by_itself: bool) -> None:
    made = row(ours, theirs, more)

    assert made.met("peer", 0.5) is by_ratio
    assert made.goal_met() is by_itself


def test_what_was_not_measured_is_neither_met_nor_missed() -> None:
    made = Row("r", "a row", "ms", {"creche": one(1)}, (("peer", 0.5),))

    assert made.ratio("peer") is None
    assert made.met("peer", 0.5) is None
    assert made.goal_met() is None
    assert "<rect" not in chart([made])


def test_the_table_has_a_line_for_each_target_and_for_what_broke() -> None:
    broken = Row("b", "broken", "", {}, problem="no | such file")

    assert table([row(4, 10), broken]).splitlines()[2:] == [
        "| a row | ms | 4 |  |  |  | ≤ 10 | yes |",
        "|  |  |  | peer | 10 | 0.40 | ≤ 0.5 of theirs | yes |",
        "| broken |  |  |  | no / such file |  |  | ? |",
    ]


def test_the_document_has_a_place_for_all_of_it() -> None:
    """Written twice it is the same as written once."""
    before = (REPOSITORY / "docs/benchmarks.md").read_text()
    once = document(before, "| table |", "the profile", "the machine")

    assert "| table |" in once
    assert "the profile" in once
    assert "the machine" in once
    assert document(once, "| table |", "the profile", "the machine") == once
    with pytest.raises(ValueError, match="lacks the marks <!-- table"):
        document("# nothing", "", "", "")


def test_events_reach_their_readers() -> None:
    """How fast is no matter here, but that the parts of creched are put together as they can be."""
    assert rate(20) > 0
