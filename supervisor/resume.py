"""How a keeper begins: as its workload says, or where an earlier creched has left it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import trio

from supervisor.container import Container, Exit
from supervisor.machine import Event, State
from supervisor.policy import Cause
from supervisor.record import Intent, Record, Resumed
from supervisor.run import UNDECIDED, Run, describe

if TYPE_CHECKING:
    from supervisor.keeper import Keeper

STOPPING = frozenset({State.ABORTING, State.STOPPING, State.KILLING, State.STOP_CLEANING})
EXITED = frozenset({State.EXITED_EARLY, State.CLEANING, State.DECIDING, State.STOP_CLEANING})
"""Its end has been reported."""
NOT_MADE = frozenset({State.WAITING, State.CREATING, State.STARTING})
_WHY = "creched was started again"


def begin(keeper: Keeper, resumed: Resumed | None) -> None:
    """Post the first event."""
    if resumed is None:
        _fresh(keeper)
        return
    record = resumed.record
    keeper.intent = record.intent
    if record.boot != keeper.world.log.boot and resumed.container is None:
        # Another boot: of what was there only the intent is left, and of that only a stop.
        if record.intent is Intent.UP:
            keeper.intent = Intent.NONE
        _fresh(keeper)
        return
    keeper.attempt, keeper.history, keeper.result = record.attempt, record.history, record.result
    keeper.exit = None if record.ending == UNDECIDED else record.ending
    if record.since is not None:
        keeper.left = record.state, record.since, record.why
    if resumed.container is not None:
        _adopt(keeper, record, resumed.container)
    elif resumed.exit is not None:
        _exited(keeper, record, resumed.exit)
    else:
        _without(keeper, record)


def _wanted(keeper: Keeper) -> bool:
    """Whether it is to run, as far as its settings and the operator say."""
    by_hand = keeper.workload.settings.workload.start == "manual"
    return keeper.intent is Intent.UP or (keeper.intent is not Intent.DOWN and not by_hand)


def _stop(keeper: Keeper, event: Event, cause: str, reason: str, again: bool) -> None:
    """Go on with a stop that an earlier creched began, and start it afterwards, as is done with
    what had stopped by then: only what is stopped by hand stays so."""
    keeper.post(event, cause, reason, again=again)
    if _wanted(keeper):
        keeper.post(Event.START, "resumed", _WHY)


def _fresh(keeper: Keeper) -> None:
    if keeper.intent is Intent.DOWN:
        keeper.post(Event.STOP, "intent", "stopped by hand")
    elif not _wanted(keeper):
        keeper.post(Event.STOP, "manual", "is started by hand only")
    else:
        keeper.post(Event.START)


def _adopt(keeper: Keeper, record: Record, container: Container) -> None:
    """Its container is there, and goes through what it would have gone through.

    An end that has been reported is none of it: supervisor/adopt.py has then removed it.
    """
    run = keeper.current = Run(container)
    offset = trio.current_time() - keeper.now()
    run.ready_at = None if record.ready_at is None else record.ready_at + offset
    run.health = record.health
    if record.ending is not None:
        run.ending = record.ending
    unready = record.ready_at is None and record.state in _BEFORE_READY
    if record.state in (State.CREATING, State.STARTING) or container.started_at is None:
        event = Event.ADOPT_CREATED
    elif unready and keeper.workload.settings.ready.on != "start":
        event = Event.ADOPT_UNREADY
    else:
        run.ready_at = container.started_at if run.ready_at is None else run.ready_at
        event = Event.ADOPT_RUNNING
    keeper.post(event, "resumed", _WHY)
    if keeper.intent is Intent.DOWN or record.state in STOPPING:
        why = record.why or "it was being stopped"
        _stop(keeper, Event.STOP, "resumed", why, record.again)
    elif record.state in (State.FAILING, State.FAIL_KILLING):
        cause = run.ending.cause
        keeper.post(_FAILS.get(cause, Event.UNHEALTHY), cause.value, run.ending.text, run)


def _exited(keeper: Keeper, record: Record, end: Exit) -> None:
    """It ended while nobody looked, and has been removed."""
    now = keeper.now()
    ending = describe(end, record.started_at, record.ready_at, now)
    first = record.ending or UNDECIDED
    if record.state not in EXITED and first.cause is not Cause.UNKNOWN:
        ending = replace(ending, cause=first.cause, text=first.text)
    keeper.exit = ending
    stopping = record.state in STOPPING or keeper.intent is Intent.DOWN
    cause, reason = ending.cause.value, ending.describe()
    if stopping:
        _stop(keeper, Event.RESUME_STOP_EXITED, cause, reason, record.again)
    else:
        keeper.post(Event.RESUME_EXITED, cause, reason)


def _without(keeper: Keeper, record: Record) -> None:
    """There is no container, and no end that would be news."""
    state, why = record.state, record.why
    if keeper.intent is Intent.DOWN and state not in (State.DONE, State.FAILED):
        keeper.post(Event.STOP, "intent", "stopped by hand")
    elif state in NOT_MADE:
        keeper.post(Event.START, "resumed", _WHY)
    elif state in (State.IDLE, State.STOPPED):
        _fresh(keeper)
    elif state in (State.DONE, State.FAILED):
        event = Event.RESUME_DONE if state is State.DONE else Event.RESUME_FAILED
        keeper.post(event, "resumed", why)
    elif state in (State.BACKOFF, State.COOLDOWN):
        keeper.next_attempt_at = record.next_attempt_at or keeper.now()
        backoff = state is State.BACKOFF
        keeper.post(Event.RESUME_BACKOFF if backoff else Event.RESUME_COOLDOWN, "resumed", why)
    elif state in (State.ABORTING, State.STOP_CLEANING):
        _stop(keeper, Event.STOP, "resumed", why or "was being stopped", record.again)
    elif state in EXITED:
        keeper.post(Event.RESUME_ENDED, "resumed", why)
    else:
        _exited(keeper, record, Exit())


_BEFORE_READY = frozenset({State.UNREADY, State.FAILING, State.FAIL_KILLING})
_FAILS = {Cause.WATCHDOG: Event.WATCHDOG, Cause.START_TIMEOUT: Event.START_TIMEOUT}
