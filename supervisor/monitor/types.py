"""What the keeper and whatever watches a container say to each other."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Protocol

from supervisor.container import Container


class Signal(StrEnum):
    """What a monitor tells; the text that goes with it is the reason, except where it says."""

    READY = "ready"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    WATCHDOG = "watchdog"  # no sign of life in time
    STATUS = "status"  # text: a line for people
    RELOADING = "reloading"
    STOPPING = "stopping"
    EXTEND = "extend"  # text: microseconds from now that starting or stopping may yet take


Tell = Callable[[Signal, str], None]


class Monitor(Protocol):
    """Watches one run of one workload."""

    async def watch(self, container: Container, tell: Tell) -> None:
        """Runs from the program's start until it is cancelled at the program's end.

        It may return early. Raises nothing that is foreseen.
        """
