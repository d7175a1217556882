"""From single probes to a verdict: thresholds and the start period. Pure; time is handed in."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from supervisor.monitor.types import Signal


@dataclass(frozen=True, slots=True)
class Thresholds:
    """start_period: seconds from the start in which failures do not count, until the first success;
    failures, successes: how many in a row change the verdict."""

    start_period: float = 0.0
    failures: int = 3
    successes: int = 1


class Verdict(Enum):
    """What is believed of the container."""

    STARTING = "starting"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"


class Health:
    """One run of one container. `verdict` begins with STARTING."""

    __slots__ = ("_failed", "_passed", "_succeeded", "_thresholds", "verdict")

    def __init__(self, thresholds: Thresholds) -> None:
        self._thresholds = thresholds
        self._failed = 0
        self._passed = 0
        self._succeeded = False
        self.verdict = Verdict.STARTING

    @property
    def failed(self) -> int:
        """Failures in a row that count."""
        return self._failed

    def result(self, passed: bool, age: float) -> Signal | None:
        """Take the result of a probe that ended `age` seconds after the start.

        HEALTHY or UNHEALTHY if the verdict has changed by it, else None.
        """
        if passed:
            self._succeeded = True
            self._failed = 0
            self._passed += 1
            if self._passed >= self._thresholds.successes and self.verdict is not Verdict.HEALTHY:
                self.verdict = Verdict.HEALTHY
                return Signal.HEALTHY
            return None
        self._passed = 0
        if not self._succeeded and age < self._thresholds.start_period:
            return None
        self._failed += 1
        if self._failed >= self._thresholds.failures and self.verdict is not Verdict.UNHEALTHY:
            self.verdict = Verdict.UNHEALTHY
            return Signal.UNHEALTHY
        return None
