"""What belongs together: an incident begins with the first thing that goes wrong and ends when the
workload has been well for a while. Within one, each kind of news is told once. Pure; time is handed
in.
"""

from __future__ import annotations

RECOVERED = "recovered"
BAD = ("failed", "gave-up", "unhealthy", "watchdog", "oom")
KINDS = (*BAD, RECOVERED)


class Incident:
    """Of one workload, one after the other. settle: seconds it has to be well."""

    __slots__ = ("_told", "_well_since", "open", "settle")

    def __init__(self, settle: float) -> None:
        self.settle = settle
        self.open = False
        self._told: set[str] = set()
        self._well_since: float | None = None

    def bad(self, kind: str) -> bool:
        """Something has gone wrong; whether that is news."""
        if not self.open:
            self.open = True
            self._told.clear()
        self._well_since = None
        news = kind not in self._told
        self._told.add(kind)
        return news

    def well(self, now: float) -> None:
        """It does its work."""
        if self.open and self._well_since is None:
            self._well_since = now

    def unwell(self) -> None:
        """It has ended, or is not ready: nothing has gone wrong by that alone."""
        self._well_since = None

    def forget(self) -> None:
        """Somebody has stopped it, or it is done: there is nothing to recover."""
        self.open = False
        self._well_since = None

    @property
    def due(self) -> float | None:
        """When it will have recovered, if it stays well."""
        return None if self._well_since is None else self._well_since + self.settle

    def recovered(self, now: float) -> bool:
        """Whether it has; then the incident is over."""
        due = self.due
        if due is None or now < due:
            return False
        self.forget()
        return True
