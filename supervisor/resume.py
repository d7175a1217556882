"""How a keeper begins: as the workload says, or where an earlier creched left it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from supervisor.container import GoneContainer
from supervisor.machine import Event, State
from supervisor.policy import Cause
from supervisor.record import Intent, Record, Resumed
from supervisor.run import Run

if TYPE_CHECKING:
    from supervisor.container import Container
    from supervisor.keeper import Keeper

STOPPING = frozenset({State.ABORTING, State.STOPPING, State.KILLING, State.STOP_CLEANING})
"""It had been asked to end."""
ENDED = frozenset({State.CLEANING, State.DECIDING})
"""Its run has ended and been reported, and the policy has not been asked, or not been obeyed."""
_RESTING = {
    State.DONE: Event.RESUME_DONE,
    State.FAILED: Event.RESUME_FAILED,
    State.BACKOFF: Event.RESUME_BACKOFF,
    State.COOLDOWN: Event.RESUME_COOLDOWN,
}
_FAILING = {
    Cause.UNHEALTHY: Event.UNHEALTHY,
    Cause.WATCHDOG: Event.WATCHDOG,
    Cause.START_TIMEOUT: Event.START_TIMEOUT,
}


def begin(keeper: Keeper, resumed: Resumed | None) -> None:
    """Post the first events."""
    if resumed is None:
        _afresh(keeper)
        return
    record = resumed.record
    keeper.intent = record.intent
    keeper.attempt = record.attempt
    keeper.history = record.history
    keeper.result = record.result
    keeper.exit = record.ending
    container = resumed.container
    if container is None and resumed.exit is not None:
        container = GoneContainer(record.container or record.name, record.pid, resumed.exit)
    if container is not None:
        _adopt(keeper, record, container)
    elif record.state in ENDED and record.ending is not None:
        keeper.run_ = run = Run(GoneContainer(record.container or record.name, record.pid))
        run.ending = record.ending
        keeper.post(Event.RESUME_ENDED, "resumed", record.why)
    elif record.state in _RESTING:
        keeper.next_attempt_at = record.next_attempt_at
        keeper.post(_RESTING[record.state], "resumed", record.why)
    else:
        _afresh(keeper)
        return
    if keeper.intent is Intent.DOWN:
        keeper.post(Event.STOP, "intent", "stopped by hand")


def _afresh(keeper: Keeper) -> None:
    if keeper.intent is Intent.DOWN:
        keeper.post(Event.STOP, "intent", "stopped by hand")
    elif keeper.workload.settings.workload.start == "manual" and keeper.intent is not Intent.UP:
        keeper.post(Event.STOP, "manual", "is started by hand only")
    else:
        keeper.post(Event.START)


def _adopt(keeper: Keeper, record: Record, container: Container) -> None:
    """It has a container, which may have ended meanwhile: its end is then reported next."""
    keeper.run_ = run = Run(container)
    if record.ready_at is not None:
        run.ready_at = record.ready_at - keeper.now() + trio.current_time()
    if record.ending is not None:
        run.ending = record.ending
    if record.state in (State.CREATING, State.STARTING):
        event = Event.ADOPT_CREATED
    elif record.state is State.UNREADY or (
        record.state in (State.FAILING, State.FAIL_KILLING) and record.ready_at is None
    ):
        event = Event.ADOPT_UNREADY
    else:
        event = Event.ADOPT_RUNNING
    keeper.post(event, "resumed", "an earlier creched started it")
    if record.state in STOPPING:
        keeper.post(Event.STOP, "resumed", "it was being stopped")
    elif record.state in (State.FAILING, State.FAIL_KILLING) and run.ending.cause in _FAILING:
        keeper.post(_FAILING[run.ending.cause], run.ending.cause.value, run.ending.text, run)
