"""How a keeper begins: as the workload says, or where an earlier creched left it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from supervisor.machine import Event
from supervisor.record import Intent, Resumed

if TYPE_CHECKING:
    from supervisor.keeper import Keeper


def begin(keeper: Keeper, resumed: Resumed | None) -> None:
    """Post the first event."""
    if resumed is not None:
        keeper.intent = resumed.record.intent
    if keeper.intent is Intent.DOWN:
        keeper.post(Event.STOP, "intent", "stopped by hand")
    elif keeper.workload.settings.workload.start == "manual":
        keeper.post(Event.STOP, "manual", "is started by hand only")
    else:
        keeper.post(Event.START)
