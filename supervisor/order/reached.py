"""How far a workload has come."""

from __future__ import annotations

from typing import Protocol

from supervisor.machine import ALIVE, RESTING, State
from supervisor.order.needs import Target
from supervisor.run import Run

_NO_PROGRAM = RESTING | {State.BACKOFF, State.COOLDOWN, State.WAITING}


class Standing(Protocol):
    """What has to be known for it: a keeper."""

    @property
    def state(self) -> State:
        """Where it is."""

    @property
    def current(self) -> Run | None:
        """The run it is in."""


def has_reached(it: Standing, target: Target) -> bool:
    """Whether it has come as far as `target`, now.

    Where nobody looks after its health, ready is healthy.
    """
    match target:
        case Target.STARTED:
            return it.state in ALIVE
        case Target.READY:
            return it.state is State.RUNNING
        case Target.HEALTHY:
            health = None if it.current is None else it.current.health
            return it.state is State.RUNNING and health in (None, "healthy")
        case Target.COMPLETED:
            return it.state is State.DONE
        case Target.EXITED:
            return it.state in _NO_PROGRAM
        case Target.FAILED:
            return it.state is State.FAILED
