"""The machine's clocks: three that go at one pace, but for what happens to them.

CLOCK_MONOTONIC is trio's; the programs of containers live by it, too. CLOCK_BOOTTIME, the one of
records and events, has run on while the machine was suspended. The time of day is whatever somebody
has set.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import trio

_NOON = 1_790_000_000.0
_LEAPS = (-86400.0 * 400, -3600.0, -0.5, 0.5, 3600.0, 86400.0 * 400)
"""Seconds by which somebody sets the time of day: summer time, NTP, an empty battery."""
_GAPS = (0.2, 5.0, 90.0, 86400.0)
"""Seconds that the machine is suspended."""


@dataclass(frozen=True)
class Leap:
    """What happens to the clocks `at` seconds after the start."""

    at: float
    suspended: float = 0.0
    set_by: float = 0.0


def leaps(seed: int, horizon: float) -> list[Leap]:
    """By the seed alone, and apart from the rest of its scenario; in order of time."""
    return sorted(_leaps(random.Random(f"clocks {seed}"), horizon), key=lambda leap: leap.at)


def _leaps(chance: random.Random, horizon: float) -> Iterator[Leap]:
    for _ in range(chance.choice((0, 1, 3))):
        at = round(chance.random() * horizon, chance.choice((0, 3)))
        if chance.random() < 0.5:
            yield Leap(at, suspended=chance.choice(_GAPS))
        else:
            yield Leap(at, set_by=chance.choice(_LEAPS))


class Clocks:
    """As they are read."""

    def __init__(self) -> None:
        self.asleep = 0.0
        """Seconds that the machine has been suspended so far."""
        self._set_by = 0.0

    def since_boot(self) -> float:
        """CLOCK_BOOTTIME."""
        return trio.current_time() + self.asleep

    def time_of_day(self) -> str:
        """As events have it."""
        now = datetime.fromtimestamp(_NOON + self.since_boot() + self._set_by, UTC)
        return now.isoformat(timespec="microseconds").replace("+00:00", "Z")

    async def follow(self, began: float, leaps: list[Leap], setting: bool) -> None:
        """Have them leap when it is time. setting: whether the time of day is set, too."""
        for leap in leaps:
            await trio.sleep_until(began + leap.at)
            self.asleep += leap.suspended
            self._set_by += leap.set_by if setting else 0.0
