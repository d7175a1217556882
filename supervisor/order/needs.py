"""What one workload wants of another before it starts."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Target(StrEnum):
    """How far a workload has come."""

    STARTED = "started"
    READY = "ready"
    HEALTHY = "healthy"
    COMPLETED = "completed"
    EXITED = "exited"
    FAILED = "failed"


NEEDABLE = (Target.STARTED, Target.READY, Target.HEALTHY, Target.COMPLETED)
"""What a workload may be made to wait for; the others are for people who wait."""


@dataclass(frozen=True, slots=True)
class Need:
    """`name` has come as far as `target`."""

    name: str
    target: Target = Target.READY

    def __str__(self) -> str:
        return f"{self.name}:{self.target}"
