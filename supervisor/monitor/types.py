"""What a monitor tells the keeper of a workload."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Protocol

from supervisor.container import Container


class Signal(Enum):
    """One word about a running container. The text that goes with it is for people, but for EXTEND:
    microseconds."""

    READY = "ready"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    WATCHDOG = "watchdog"
    STATUS = "status"
    RELOADING = "reloading"
    STOPPING = "stopping"
    EXTEND = "extend"


Tell = Callable[[Signal, str], None]


class Monitor(Protocol):
    """Watches one run of one container."""

    async def watch(self, container: Container, tell: Tell) -> None:
        """From the program's start to its end; then it is cancelled."""
