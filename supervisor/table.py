"""The life of one workload as a table: state x event -> what to do, next state, what to report.

The table is total: a cell is a `Step`, or `IGNORED` (the event comes too late or changes nothing),
or `IMPOSSIBLE` (only a mistake in the supervisor brings it about; reported as a fault of that one
workload). Nothing in here does anything: supervisor/keeper.py takes the steps. Commands are events
like any other: to stop a workload is `Event.STOP` in every state.
"""

from __future__ import annotations

from dataclasses import dataclass

from supervisor.machine import Action, Event, State


@dataclass(frozen=True, slots=True)
class Step:
    """One cell: `report` names the event of supervisor/events.py; every step reports just one."""

    action: Action
    next: State
    report: str


@dataclass(frozen=True, slots=True)
class NoStep:
    """One cell in which nothing happens."""

    why: str


IGNORED = NoStep("ignored")
IMPOSSIBLE = NoStep("impossible")
Cell = Step | NoStep

_A, _E, _S = Action, Event, State


def _begin() -> dict[Event, Step]:
    """What can be started, or has not been started yet."""
    return {
        _E.START: Step(_A.CREATE, _S.CREATING, "creating"),
        _E.WAIT: Step(_A.NONE, _S.WAITING, "waiting"),
    }


def _end_early() -> dict[Event, Step]:
    """Asked to stop where there is nothing to be stopped."""
    return {
        _E.STOP: Step(_A.END, _S.STOPPED, "stopped"),
        _E.HURRY: Step(_A.END, _S.STOPPED, "stopped"),
    }


def _abort() -> dict[Event, Step]:
    """Asked to stop while it is being created or started."""
    return {
        _E.STOP: Step(_A.CANCEL, _S.ABORTING, "aborting"),
        _E.HURRY: Step(_A.CANCEL, _S.ABORTING, "aborting"),
    }


def _alive() -> dict[Event, Step]:
    """The program runs."""
    return {
        _E.EXITED: Step(_A.CLEAN, _S.CLEANING, "exited"),
        _E.UNHEALTHY: Step(_A.SIGNAL, _S.FAILING, "unhealthy"),
        _E.WATCHDOG: Step(_A.SIGNAL, _S.FAILING, "watchdog-expired"),
        _E.STOP: Step(_A.SIGNAL, _S.STOPPING, "stopping"),
        _E.HURRY: Step(_A.KILL, _S.KILLING, "killing"),
    }


_STEPS: dict[State, dict[Event, Step]] = {
    _S.IDLE: {
        **_begin(),
        **_end_early(),
        _E.ADOPT_CREATED: Step(_A.START, _S.STARTING, "adopted"),
        _E.ADOPT_UNREADY: Step(_A.WATCH, _S.UNREADY, "adopted"),
        _E.ADOPT_RUNNING: Step(_A.WATCH, _S.RUNNING, "adopted"),
        _E.RESUME_EXITED: Step(_A.DECIDE, _S.DECIDING, "exited"),
        _E.RESUME_STOP_EXITED: Step(_A.END, _S.STOPPED, "exited"),
        _E.RESUME_ENDED: Step(_A.DECIDE, _S.DECIDING, "resumed"),
        _E.RESUME_BACKOFF: Step(_A.DELAY, _S.BACKOFF, "resumed"),
        _E.RESUME_COOLDOWN: Step(_A.DELAY, _S.COOLDOWN, "resumed"),
        _E.RESUME_DONE: Step(_A.END, _S.DONE, "resumed"),
        _E.RESUME_FAILED: Step(_A.END, _S.FAILED, "resumed"),
    },
    _S.WAITING: {
        _E.START: Step(_A.CREATE, _S.CREATING, "creating"),
        _E.PROCEED: Step(_A.CREATE, _S.CREATING, "creating"),
        **_end_early(),
    },
    _S.CREATING: {
        _E.CREATED: Step(_A.START, _S.STARTING, "created"),
        _E.CREATE_FAILED: Step(_A.DECIDE, _S.DECIDING, "create-failed"),
        **_abort(),
    },
    _S.STARTING: {
        _E.STARTED: Step(_A.WATCH, _S.RUNNING, "started"),
        _E.STARTED_UNREADY: Step(_A.WATCH, _S.UNREADY, "started"),
        _E.START_FAILED: Step(_A.KILL_AND_CLEAN, _S.CLEANING, "start-failed"),
        _E.EXITED: Step(_A.NONE, _S.EXITED_EARLY, "exited"),
        **_abort(),
    },
    # The program ended while its poststart hooks were still running.
    _S.EXITED_EARLY: {
        _E.STARTED: Step(_A.CLEAN, _S.CLEANING, "cleaning"),
        _E.STARTED_UNREADY: Step(_A.CLEAN, _S.CLEANING, "cleaning"),
        _E.START_FAILED: Step(_A.KILL_AND_CLEAN, _S.CLEANING, "start-failed"),
        _E.START: Step(_A.AGAIN, _S.EXITED_EARLY, "start-noted"),
        **_abort(),
    },
    _S.UNREADY: {
        **_alive(),
        _E.READY: Step(_A.NOTE, _S.RUNNING, "ready"),
        _E.HEALTHY: Step(_A.NOTE, _S.UNREADY, "healthy"),
        _E.START_TIMEOUT: Step(_A.SIGNAL, _S.FAILING, "start-timeout"),
    },
    _S.RUNNING: {
        **_alive(),
        _E.HEALTHY: Step(_A.NOTE, _S.RUNNING, "healthy"),
    },
    # It runs and should not: ended like one that is stopped, and then the policy has its say.
    _S.FAILING: {
        _E.EXITED: Step(_A.CLEAN, _S.CLEANING, "exited"),
        _E.TIMEOUT: Step(_A.KILL, _S.FAIL_KILLING, "killing"),
        _E.START: Step(_A.AGAIN, _S.FAILING, "start-noted"),
        _E.STOP: Step(_A.NONE, _S.STOPPING, "stop-noted"),
        _E.HURRY: Step(_A.KILL, _S.KILLING, "killing"),
    },
    _S.FAIL_KILLING: {
        _E.EXITED: Step(_A.CLEAN, _S.CLEANING, "exited"),
        _E.START: Step(_A.AGAIN, _S.FAIL_KILLING, "start-noted"),
        _E.STOP: Step(_A.NONE, _S.KILLING, "stop-noted"),
        _E.HURRY: Step(_A.NONE, _S.KILLING, "stop-noted"),
    },
    # Asked to stop while being created or started: what is under way was cancelled and now ends
    # one way or the other. Its program had no time to do anything worth a graceful end.
    _S.ABORTING: {
        _E.CREATED: Step(_A.KILL_AND_CLEAN, _S.STOP_CLEANING, "cleaning"),
        _E.CREATE_FAILED: Step(_A.END, _S.STOPPED, "stopped"),
        _E.STARTED: Step(_A.KILL_AND_CLEAN, _S.STOP_CLEANING, "cleaning"),
        _E.STARTED_UNREADY: Step(_A.KILL_AND_CLEAN, _S.STOP_CLEANING, "cleaning"),
        _E.START_FAILED: Step(_A.KILL_AND_CLEAN, _S.STOP_CLEANING, "cleaning"),
        _E.EXITED: Step(_A.NONE, _S.ABORTING, "exited"),
        _E.START: Step(_A.AGAIN, _S.ABORTING, "start-noted"),
    },
    _S.STOPPING: {
        _E.EXITED: Step(_A.CLEAN, _S.STOP_CLEANING, "exited"),
        _E.TIMEOUT: Step(_A.KILL, _S.KILLING, "killing"),
        _E.HURRY: Step(_A.KILL, _S.KILLING, "killing"),
        _E.START: Step(_A.AGAIN, _S.STOPPING, "start-noted"),
    },
    _S.KILLING: {
        _E.EXITED: Step(_A.CLEAN, _S.STOP_CLEANING, "exited"),
        _E.START: Step(_A.AGAIN, _S.KILLING, "start-noted"),
    },
    _S.CLEANING: {
        _E.EXITED: Step(_A.NONE, _S.CLEANING, "exited"),
        _E.CLEANED: Step(_A.DECIDE, _S.DECIDING, "cleaned"),
        _E.CLEAN_FAILED: Step(_A.END, _S.FAILED, "clean-failed"),
        _E.START: Step(_A.AGAIN, _S.CLEANING, "start-noted"),
        _E.STOP: Step(_A.NONE, _S.STOP_CLEANING, "stop-noted"),
        _E.HURRY: Step(_A.HURRY, _S.STOP_CLEANING, "hurried"),
    },
    # Decisions are made at once: no other event can come between.
    _S.DECIDING: {
        _E.RESTART: Step(_A.DELAY, _S.BACKOFF, "restart-scheduled"),
        _E.COOL_DOWN: Step(_A.DELAY, _S.COOLDOWN, "cooling-down"),
        _E.FINISH: Step(_A.END, _S.DONE, "done"),
        _E.GIVE_UP: Step(_A.END, _S.FAILED, "gave-up"),
    },
    _S.BACKOFF: {
        **_begin(),
        **_end_early(),
        _E.DELAY_OVER: Step(_A.CREATE, _S.CREATING, "creating"),
    },
    _S.COOLDOWN: {
        **_begin(),
        **_end_early(),
        _E.DELAY_OVER: Step(_A.CREATE, _S.CREATING, "creating"),
    },
    _S.STOP_CLEANING: {
        _E.EXITED: Step(_A.NONE, _S.STOP_CLEANING, "exited"),
        _E.CLEANED: Step(_A.END, _S.STOPPED, "stopped"),
        _E.CLEAN_FAILED: Step(_A.END, _S.FAILED, "clean-failed"),
        _E.HURRY: Step(_A.HURRY, _S.STOP_CLEANING, "hurried"),
        _E.START: Step(_A.AGAIN, _S.STOP_CLEANING, "start-noted"),
    },
    _S.DONE: _begin(),
    # What could not be removed may still come to its end.
    _S.FAILED: {**_begin(), _E.EXITED: Step(_A.NONE, _S.FAILED, "exited")},
    _S.STOPPED: _begin(),
}

_TOLD = frozenset({_E.READY, _E.HEALTHY, _E.UNHEALTHY, _E.WATCHDOG})
_IGNORED: dict[State, frozenset[Event]] = {
    _S.WAITING: frozenset({_E.WAIT}),
    _S.CREATING: frozenset({_E.START}),
    _S.STARTING: frozenset({_E.START}),
    _S.UNREADY: frozenset({_E.START}),
    _S.RUNNING: frozenset({_E.START, _E.READY}),
    _S.FAILING: _TOLD,
    _S.FAIL_KILLING: _TOLD,
    # A second STOP adds nothing; ABORTING is as fast as it can be already.
    _S.ABORTING: frozenset({_E.STOP, _E.HURRY}),
    _S.STOPPING: frozenset({_E.STOP}) | _TOLD,
    _S.KILLING: frozenset({_E.STOP, _E.HURRY}) | _TOLD,
    _S.CLEANING: _TOLD,
    _S.STOP_CLEANING: frozenset({_E.STOP}) | _TOLD,
    _S.DONE: frozenset({_E.STOP, _E.HURRY}),
    _S.FAILED: frozenset({_E.STOP, _E.HURRY}) | _TOLD,
    _S.STOPPED: frozenset({_E.STOP, _E.HURRY}),
}


def _cell(state: State, event: Event) -> Cell:
    if event is _E.RESET and state is not _S.DECIDING:
        return Step(_A.RESET, _S.STOPPED if state is _S.FAILED else state, "reset")
    late = event is _E.PROCEED or event in _IGNORED.get(state, ())
    return _STEPS[state].get(event, IGNORED if late else IMPOSSIBLE)


TABLE: dict[State, dict[Event, Cell]] = {
    state: {event: _cell(state, event) for event in Event} for state in State
}
