"""Measuring: cases interleaved in rounds, medians and their spread, ratios."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass

WARM_UP = 2
"""Rounds that are run and not counted: page cache, compiled filters, first allocations."""


@dataclass(frozen=True)
class Effort:
    """How much is measured. rounds: times that each case is run; seconds: how long whatever is
    sustained; crowds: numbers of containers; idle: seconds in which nothing happens."""

    rounds: int = 20
    seconds: float = 4.0
    restarts: int = 200
    crowds: tuple[int, ...] = (1, 10, 100, 1000)
    idle: float = 60.0


QUICK = Effort(5, 1.0, 40, (1, 10, 100), 5.0)


@dataclass(frozen=True)
class Series:
    """Values of one case, in the row's unit."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.values)

    def quantile(self, part: float) -> float:
        """The value below which `part` (0 to 1) of all lie."""
        ordered = sorted(self.values)
        return ordered[min(len(ordered) - 1, int(part * len(ordered)))]

    def __str__(self) -> str:
        if len(self.values) == 1:
            return _short(self.median)
        spread = f"{_short(self.quantile(0.25))} to {_short(self.quantile(0.75))}"
        return f"{_short(self.median)} ({spread})"


def _short(value: float) -> str:
    """Three digits, or as many as there are before the point."""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def interleave(cases: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, Series]:
    """Run each case once a round, so that whatever else the machine does meets all alike."""
    values: dict[str, list[float]] = {name: [] for name in cases}
    for number in range(WARM_UP + rounds):
        for name, case in cases.items():
            value = case()
            if number >= WARM_UP:
                values[name].append(value)
    return {name: Series(tuple(found)) for name, found in values.items()}


@dataclass(frozen=True)
class Row:
    """One line of the table: what was measured, in which unit, for whom, and what was hoped for.

    targets: (peer, factor): creche's median is to be at most (for rates: at least) factor times the
    peer's. goal: what it is to be at most, or at least, by itself. more_is_better: rates. problem:
    why there are no results.
    """

    name: str
    what: str
    unit: str
    results: Mapping[str, Series]
    targets: tuple[tuple[str, float], ...] = ()
    more_is_better: bool = False
    goal: float | None = None
    problem: str = ""

    def ratio(self, peer: str) -> float | None:
        """creche's median over the peer's; None if one of them was not there."""
        ours, theirs = self.results.get("creche"), self.results.get(peer)
        if ours is None or theirs is None or not theirs.median:
            return None
        return ours.median / theirs.median

    def met(self, peer: str, factor: float) -> bool | None:
        """Whether a target is met; None if it cannot be told."""
        return self._good(self.ratio(peer), factor)

    def goal_met(self) -> bool | None:
        """The same for the goal."""
        return None if self.goal is None else self._good(self.results["creche"].median, self.goal)

    def _good(self, value: float | None, target: float) -> bool | None:
        if value is None:
            return None
        return value >= target if self.more_is_better else value <= target


def one(value: float) -> Series:
    """A series of one value."""
    return Series((value,))
