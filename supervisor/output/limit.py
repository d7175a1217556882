"""How much may come in a time: a token bucket. Pure; time is handed in."""

from __future__ import annotations

BURST = 4.0
"""Seconds' worth that may come at once."""


class Bucket:
    """rate: units a second, None: no limit. It may be overdrawn: what was read has been read."""

    __slots__ = ("_at", "_full", "_level", "_rate")

    def __init__(self, rate: float | None, now: float, burst: float = BURST) -> None:
        self._rate = rate
        self._full = (rate or 0.0) * burst
        self._level = self._full
        self._at = now

    def take(self, amount: int, now: float) -> bool:
        """Whether there was anything left, for what has come."""
        if self._rate is None:
            return True
        self._refill(now)
        if self._level <= 0:
            return False
        self._level -= amount
        return True

    def wait(self, now: float) -> float:
        """Seconds until there is something left again; 0 if there is."""
        if not self._rate:
            return 0.0
        self._refill(now)
        return 0.0 if self._level > 0 else (1.0 - self._level) / self._rate

    def _refill(self, now: float) -> None:
        rate = self._rate or 0.0
        self._level = min(self._full, self._level + (now - self._at) * rate)
        self._at = now
