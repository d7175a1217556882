"""The life of one workload as a table: state x event -> what to do, next state, what to report.

The table is total: a cell is a `Step`, or `IGNORED` (the event comes too late or changes nothing),
or `IMPOSSIBLE` (only a mistake in the supervisor brings it about; reported as a fault of that one
workload). Nothing in here does anything: supervisor/nursery.py carries the actions out.

States are many inside and few outside (`STATUS`); how a workload ended (`Result`) is kept apart
from both. Commands are events like any other: to stop a workload is `Event.STOP` in every state.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """Where a workload is."""

    IDLE = "idle"
    CREATING = "creating"
    STARTING = "starting"
    EXITED_EARLY = "exited-early"
    RUNNING = "running"
    ABORTING = "aborting"
    STOPPING = "stopping"
    KILLING = "killing"
    CLEANING = "cleaning"
    DECIDING = "deciding"
    BACKOFF = "backoff"
    STOP_CLEANING = "stop-cleaning"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"


class Status(StrEnum):
    """What people are told."""

    WAITING = "waiting"
    STARTING = "starting"
    RUNNING = "running"
    EXITED = "exited"
    RESTARTING = "restarting"
    STOPPING = "stopping"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"


STATUS = {
    State.IDLE: Status.WAITING,
    State.CREATING: Status.STARTING,
    State.STARTING: Status.STARTING,
    State.EXITED_EARLY: Status.EXITED,
    State.RUNNING: Status.RUNNING,
    State.ABORTING: Status.STOPPING,
    State.STOPPING: Status.STOPPING,
    State.KILLING: Status.STOPPING,
    State.CLEANING: Status.EXITED,
    State.DECIDING: Status.EXITED,
    State.BACKOFF: Status.RESTARTING,
    State.STOP_CLEANING: Status.STOPPING,
    State.DONE: Status.DONE,
    State.FAILED: Status.FAILED,
    State.STOPPED: Status.STOPPED,
}
FINAL = frozenset({State.DONE, State.FAILED, State.STOPPED})


class Event(StrEnum):
    """What can happen to a workload."""

    START = "start"  # command: begin
    STOP = "stop"  # command: end gracefully
    HURRY = "hurry"  # command: end now
    CREATED = "created"  # the container exists, its program does not run yet
    CREATE_FAILED = "create-failed"  # and has been undone
    STARTED = "started"  # the program runs, poststart hooks have run
    START_FAILED = "start-failed"  # the container may still be there
    EXITED = "exited"  # its first process is gone
    TIMEOUT = "timeout"  # the stop signal was given its time
    CLEANED = "cleaned"  # container deleted, poststop hooks have run
    CLEAN_FAILED = "clean-failed"  # something of it is left
    RESTART = "restart"  # the policy's answers
    FINISH = "finish"
    GIVE_UP = "give-up"
    DELAY_OVER = "delay-over"


class Action(StrEnum):
    """What the supervisor does in a step, before it waits for the next event."""

    NONE = "none"
    CREATE = "create"
    START = "start"
    NOTE_START = "note-start"
    CANCEL = "cancel"  # what is under way (create or start)
    SIGNAL = "signal"  # the stop signal, and set the timeout
    KILL = "kill"  # everything in the container
    CLEAN = "clean"
    KILL_AND_CLEAN = "kill-and-clean"
    HURRY = "hurry"  # hooks that are running
    DECIDE = "decide"
    DELAY = "delay"
    END = "end"


@dataclass(frozen=True, slots=True)
class Step:
    """One cell: `report` names the event of supervisor/events.py; every step reports just one."""

    action: Action
    next: State
    report: str


@dataclass(frozen=True, slots=True)
class NoStep:
    """A cell without a step."""

    why: str


IGNORED = NoStep("ignored")
IMPOSSIBLE = NoStep("impossible")
Cell = Step | NoStep

_A, _E, _S = Action, Event, State

_STEPS: dict[State, dict[Event, Step]] = {
    _S.IDLE: {
        _E.START: Step(_A.CREATE, _S.CREATING, "creating"),
        _E.STOP: Step(_A.END, _S.STOPPED, "stopped"),
        _E.HURRY: Step(_A.END, _S.STOPPED, "stopped"),
    },
    _S.CREATING: {
        _E.CREATED: Step(_A.START, _S.STARTING, "created"),
        _E.CREATE_FAILED: Step(_A.DECIDE, _S.DECIDING, "create-failed"),
        _E.STOP: Step(_A.CANCEL, _S.ABORTING, "aborting"),
        _E.HURRY: Step(_A.CANCEL, _S.ABORTING, "aborting"),
    },
    _S.STARTING: {
        _E.STARTED: Step(_A.NOTE_START, _S.RUNNING, "started"),
        _E.START_FAILED: Step(_A.KILL_AND_CLEAN, _S.CLEANING, "start-failed"),
        _E.EXITED: Step(_A.NONE, _S.EXITED_EARLY, "exited"),
        _E.STOP: Step(_A.CANCEL, _S.ABORTING, "aborting"),
        _E.HURRY: Step(_A.CANCEL, _S.ABORTING, "aborting"),
    },
    # The program ended while its poststart hooks were still running.
    _S.EXITED_EARLY: {
        _E.STARTED: Step(_A.CLEAN, _S.CLEANING, "cleaning"),
        _E.START_FAILED: Step(_A.KILL_AND_CLEAN, _S.CLEANING, "start-failed"),
        _E.STOP: Step(_A.CANCEL, _S.ABORTING, "aborting"),
        _E.HURRY: Step(_A.CANCEL, _S.ABORTING, "aborting"),
    },
    _S.RUNNING: {
        _E.EXITED: Step(_A.CLEAN, _S.CLEANING, "exited"),
        _E.STOP: Step(_A.SIGNAL, _S.STOPPING, "stopping"),
        _E.HURRY: Step(_A.KILL, _S.KILLING, "killing"),
    },
    # Asked to stop while being created or started: what is under way was cancelled and now ends
    # one way or the other. Its program had no time to do anything worth a graceful end.
    _S.ABORTING: {
        _E.CREATED: Step(_A.KILL_AND_CLEAN, _S.STOP_CLEANING, "cleaning"),
        _E.CREATE_FAILED: Step(_A.END, _S.STOPPED, "stopped"),
        _E.STARTED: Step(_A.KILL_AND_CLEAN, _S.STOP_CLEANING, "cleaning"),
        _E.START_FAILED: Step(_A.KILL_AND_CLEAN, _S.STOP_CLEANING, "cleaning"),
        _E.EXITED: Step(_A.NONE, _S.ABORTING, "exited"),
    },
    _S.STOPPING: {
        _E.EXITED: Step(_A.CLEAN, _S.STOP_CLEANING, "exited"),
        _E.TIMEOUT: Step(_A.KILL, _S.KILLING, "killing"),
        _E.HURRY: Step(_A.KILL, _S.KILLING, "killing"),
    },
    _S.KILLING: {
        _E.EXITED: Step(_A.CLEAN, _S.STOP_CLEANING, "exited"),
    },
    _S.CLEANING: {
        _E.EXITED: Step(_A.NONE, _S.CLEANING, "exited"),
        _E.CLEANED: Step(_A.DECIDE, _S.DECIDING, "cleaned"),
        _E.CLEAN_FAILED: Step(_A.END, _S.FAILED, "clean-failed"),
        _E.STOP: Step(_A.NONE, _S.STOP_CLEANING, "stop-noted"),
        _E.HURRY: Step(_A.HURRY, _S.STOP_CLEANING, "hurried"),
    },
    # Decisions are made at once: no other event can come between.
    _S.DECIDING: {
        _E.RESTART: Step(_A.DELAY, _S.BACKOFF, "restart-scheduled"),
        _E.FINISH: Step(_A.END, _S.DONE, "done"),
        _E.GIVE_UP: Step(_A.END, _S.FAILED, "gave-up"),
    },
    _S.BACKOFF: {
        _E.DELAY_OVER: Step(_A.CREATE, _S.CREATING, "creating"),
        _E.STOP: Step(_A.END, _S.STOPPED, "stopped"),
        _E.HURRY: Step(_A.END, _S.STOPPED, "stopped"),
    },
    _S.STOP_CLEANING: {
        _E.EXITED: Step(_A.NONE, _S.STOP_CLEANING, "exited"),
        _E.CLEANED: Step(_A.END, _S.STOPPED, "stopped"),
        _E.CLEAN_FAILED: Step(_A.END, _S.FAILED, "clean-failed"),
        _E.HURRY: Step(_A.HURRY, _S.STOP_CLEANING, "hurried"),
    },
    _S.DONE: {},
    _S.FAILED: {},
    _S.STOPPED: {},
}

_IGNORED: dict[State, frozenset[Event]] = {
    # A second STOP adds nothing; ABORTING is as fast as it can be already.
    _S.ABORTING: frozenset({_E.STOP, _E.HURRY}),
    _S.STOPPING: frozenset({_E.STOP}),
    _S.KILLING: frozenset({_E.STOP, _E.HURRY, _E.TIMEOUT}),
    # The timeout and the exit can fall into the same turn of the event loop.
    _S.STOP_CLEANING: frozenset({_E.STOP, _E.TIMEOUT}),
    _S.DONE: frozenset({_E.STOP, _E.HURRY}),
    _S.FAILED: frozenset({_E.STOP, _E.HURRY}),
    _S.STOPPED: frozenset({_E.STOP, _E.HURRY, _E.DELAY_OVER, _E.TIMEOUT}),
}

TABLE: dict[State, dict[Event, Cell]] = {
    state: {
        event: _STEPS[state].get(event, IGNORED if event in _IGNORED.get(state, ()) else IMPOSSIBLE)
        for event in Event
    }
    for state in State
}


class Result(StrEnum):
    """How a workload's last run, or the workload itself, ended; kept apart from its state."""

    NONE = "none"
    SUCCESS = "success"
    EXIT = "exit"
    SIGNAL = "signal"
    OOM = "oom"
    HOOK = "hook"
    SETUP = "setup"
    LIMIT = "limit"
    FAULT = "fault"
    UNKNOWN = "unknown"
