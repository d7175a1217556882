"""What is said about a workload: the fields of its events, its status, its record."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from supervisor import machine, policy
from supervisor.machine import State
from supervisor.record import Record
from supervisor.run import UNDECIDED
from supervisor.status import WorkloadStatus

if TYPE_CHECKING:
    from supervisor.keeper import Keeper
    from supervisor.workload.errors import Problem


def values(keeper: Keeper, old: State, cause: str, reason: str) -> dict[str, object]:
    """All fields an event about a step may have."""
    run, decision = keeper.current, keeper.decision
    container = None if run is None else run.container
    ending = keeper.exit or UNDECIDED
    delay = decision if isinstance(decision, (policy.Restart, policy.CoolDown)) else None
    return {
        "workload": keeper.name,
        "container": None if container is None else container.id,
        "old": old.value,
        "new": keeper.state.value,
        "status": machine.STATUS[keeper.state].value,
        "cause": cause or None,
        "reason": reason or None,
        "attempt": keeper.attempt,
        "pid": None if container is None else container.pid,
        "ready": ready(keeper),
        "code": ending.code,
        "signal": None if ending.signal is None else policy.signal_name(ending.signal),
        "core": ending.core,
        "oom_kills": ending.oom_kills,
        "uptime": round(ending.uptime, 6),
        "output": [] if container is None else container.last_output(),
        "restarts": keeper.history.restarts,
        "after": None if delay is None else round(delay.after, 6),
        "at": None if keeper.next_attempt_at is None else round(keeper.next_attempt_at, 6),
        "series": keeper.history.series,
        "action": decision.action.value if isinstance(decision, policy.GiveUp) else None,
        "result": keeper.result.value,
        "timeout": _timeout(keeper),
        "waiting_for": list(waiting_for(keeper)),
        "leftovers": reason or None,
    }


def _timeout(keeper: Keeper) -> float:
    settings = keeper.workload.settings
    failing = keeper.current is not None and keeper.current.ending.cause
    return (
        settings.ready.timeout if failing == policy.Cause.START_TIMEOUT else settings.stop.timeout
    )


def waiting_for(keeper: Keeper) -> tuple[str, ...]:
    """What has to be before it starts, if it waits for something."""
    return keeper.world.waiting_for(keeper) if keeper.state is State.WAITING else ()


def ready(keeper: Keeper) -> bool:
    """Whether it runs and is ready."""
    return keeper.state is State.RUNNING


def health(keeper: Keeper) -> str | None:
    """Of the program that runs; `starting` before the first word about it."""
    run = keeper.current
    return None if run is None or keeper.state not in machine.ALIVE else run.health


def status(keeper: Keeper, problems: tuple[Problem, ...] = ()) -> WorkloadStatus:
    """Everything that can be asked. `problems`: what is wrong with its files."""
    run, settings = keeper.current, keeper.workload.settings
    held = None if run is None or run.exit_seen.is_set() else run
    now = keeper.now()
    window = settings.restart.window
    return WorkloadStatus(
        name=keeper.name,
        state=keeper.state.value,
        status=machine.STATUS[keeper.state].value,
        result=keeper.result.value,
        ready=ready(keeper),
        health=health(keeper),
        status_text="" if held is None else held.text,
        container=None if held is None else held.container.id,
        pid=None if held is None else held.container.pid,
        attempt=keeper.attempt,
        restarts=keeper.history.restarts,
        series=keeper.history.series,
        window_used=sum(moment > now - window for moment in keeper.history.recent),
        limit=settings.restart.limit,
        next_attempt_at=keeper.next_attempt_at,
        why=keeper.why,
        intent=keeper.intent.value,
        start=settings.workload.start,
        group=settings.workload.group,
        after=tuple(str(need) for need in (*settings.workload.after, *settings.workload.requires)),
        waiting_for=waiting_for(keeper),
        since=keeper.since,
        started_at=None if held is None else _since_boot(keeper, held.container.started_at),
        exit=keeper.exit,
        generation=keeper.workload.generation,
        directory=keeper.workload.directory,
        policy=settings.restart.when.value,
        problems=problems,
    )


def record(keeper: Keeper) -> Record:
    """What the next creched has to know."""
    run = keeper.current
    held = None if run is None or keeper.state in machine.RESTING else run
    container = None if held is None else held.container
    return Record(
        name=keeper.name,
        intent=keeper.intent,
        state=keeper.state,
        result=keeper.result,
        attempt=keeper.attempt,
        history=keeper.history,
        container=None if container is None else container.id,
        pid=None if container is None else container.pid,
        start_time=None if container is None else container.start_time,
        boot=keeper.world.log.boot,
        started_at=None if container is None else _since_boot(keeper, container.started_at),
        ready_at=None if held is None else _since_boot(keeper, held.ready_at),
        ready=ready(keeper),
        health=health(keeper),
        ending=keeper.exit if held is None else held.ending,
        again=keeper.again is not None,
        next_attempt_at=keeper.next_attempt_at,
        why=keeper.why,
        since=keeper.since,
        generation=keeper.workload.generation,
        directory=keeper.workload.directory,
    )


def _since_boot(keeper: Keeper, moment: float | None) -> float | None:
    """A moment of trio's clock on the clock of events."""
    return None if moment is None else moment + keeper.now() - trio.current_time()
