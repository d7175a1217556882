"""What the keepers of one nursery share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from supervisor import policy
from supervisor.container import Engine
from supervisor.events import EventLog
from supervisor.record import Records

if TYPE_CHECKING:
    from supervisor.keeper import Keeper


@dataclass(frozen=True, slots=True)
class World:
    """The engine, the event log, the records, chance, and whom to tell."""

    engine: Engine
    log: EventLog
    records: Records
    jitter: Callable[[], float]
    waiting_for: Callable[[Keeper], tuple[str, ...]]
    """What keeps it from being started now."""
    woken: Callable[[Keeper], None]
    """It has been sent an event."""
    moved: Callable[[Keeper], None]
    """It has taken a step, or handled an event that asked for none."""
    review: Callable[[Keeper, policy.Decision], policy.Decision]
    """What its policy has decided: the decision that counts."""
    gave_up: Callable[[Keeper, policy.GiveUp, dict[str, object]], None]
    """It has failed, and something follows; with the event about it."""
