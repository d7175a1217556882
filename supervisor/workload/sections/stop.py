"""[stop]: how a container is asked to end."""

from __future__ import annotations

from dataclasses import dataclass

from supervisor.workload import kinds
from supervisor.workload.schema import Field, Section, into


@dataclass(frozen=True, slots=True)
class Stop:
    """How to end it: signal number, seconds until everything in it is killed."""

    signal: int = 15
    timeout: float = 10.0


STOP = Section(
    "stop",
    "How the container is asked to end.",
    (
        Field(
            "signal",
            kinds.SIGNAL,
            15,
            '"SIGTERM"',
            "The signal its first process is sent. A config.json may name another default, "
            "in the annotation `org.opencontainers.image.stopSignal`.",
        ),
        Field(
            "timeout",
            kinds.DURATION,
            10.0,
            '"10s"',
            "How long it has before everything in it is killed.",
        ),
    ),
    live=True,
    make=into(Stop),
)
