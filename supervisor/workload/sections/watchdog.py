"""[watchdog]: a program that has to give signs of life."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from supervisor.workload import kinds
from supervisor.workload.schema import REQUIRED, Field, Section, Values, into


@dataclass(frozen=True, slots=True)
class Watchdog:
    """interval: seconds that may pass without a sign."""

    interval: float


def _rules(values: Values) -> Iterable[tuple[str, str]]:
    if values["interval"] < 0.01:
        yield "interval", f"expected at least 10 ms, found {values['interval']:g} s"


WATCHDOG = Section(
    "watchdog",
    "The program has to say `WATCHDOG=1` on the socket named by `NOTIFY_SOCKET` again and again "
    "(sd_watchdog_enabled(3); it finds the interval in `WATCHDOG_USEC`). If it does not, or says "
    "`WATCHDOG=trigger`, it is ended, as a failure (`watchdog`).",
    (
        Field(
            "interval",
            kinds.DURATION,
            REQUIRED,
            "",
            "The longest time between two signs, from its being ready on.",
        ),
    ),
    make=into(Watchdog),
    optional=True,
    rules=_rules,
)
