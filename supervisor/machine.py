"""The words for the life of one workload: states, events, actions, results.

States are many inside and few outside (`STATUS`); how a workload ended (`Result`) is kept apart
from both. What follows from what is the table in supervisor/table.py.
"""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """Where a workload is."""

    IDLE = "idle"
    WAITING = "waiting"
    CREATING = "creating"
    STARTING = "starting"
    EXITED_EARLY = "exited-early"
    UNREADY = "unready"
    RUNNING = "running"
    FAILING = "failing"
    FAIL_KILLING = "fail-killing"
    ABORTING = "aborting"
    STOPPING = "stopping"
    KILLING = "killing"
    CLEANING = "cleaning"
    DECIDING = "deciding"
    BACKOFF = "backoff"
    COOLDOWN = "cooldown"
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
    REFUSED = "refused"  # its directory is not in order, and there is nothing to look after


STATUS = {
    State.IDLE: Status.WAITING,
    State.WAITING: Status.WAITING,
    State.CREATING: Status.STARTING,
    State.STARTING: Status.STARTING,
    State.EXITED_EARLY: Status.EXITED,
    State.UNREADY: Status.STARTING,
    State.RUNNING: Status.RUNNING,
    State.FAILING: Status.STOPPING,
    State.FAIL_KILLING: Status.STOPPING,
    State.ABORTING: Status.STOPPING,
    State.STOPPING: Status.STOPPING,
    State.KILLING: Status.STOPPING,
    State.CLEANING: Status.EXITED,
    State.DECIDING: Status.EXITED,
    State.BACKOFF: Status.RESTARTING,
    State.COOLDOWN: Status.RESTARTING,
    State.STOP_CLEANING: Status.STOPPING,
    State.DONE: Status.DONE,
    State.FAILED: Status.FAILED,
    State.STOPPED: Status.STOPPED,
}
RESTING = frozenset({State.DONE, State.FAILED, State.STOPPED})
"""Where a workload stays until somebody starts it."""
TIMED = frozenset({State.UNREADY, State.FAILING, State.STOPPING, State.BACKOFF, State.COOLDOWN})
"""States with a deadline; it is forgotten when one that has none is reached."""
QUIET = RESTING | {State.WAITING}
"""The same, and where it waits for others: there is nothing of it that could be stopped."""
ALIVE = frozenset({State.UNREADY, State.RUNNING})
"""The program runs, and nobody wants its end."""

STARTED = ALIVE | {State.CREATING, State.STARTING}
"""It is there or on its way: there is nothing to start."""


class Event(StrEnum):
    """What can happen to a workload."""

    START = "start"  # command: begin
    WAIT = "wait"  # the same, while something it needs is not there yet
    PROCEED = "proceed"  # now it is
    STOP = "stop"  # command: end gracefully
    HURRY = "hurry"  # command: end now
    RESET = "reset"  # command: forget past failures
    CREATED = "created"  # the container exists, its program does not run yet
    CREATE_FAILED = "create-failed"  # and has been undone
    STARTED = "started"  # the program runs, poststart hooks have run, and that makes it ready
    STARTED_UNREADY = "started-unready"  # the same, but being ready is something it tells
    START_FAILED = "start-failed"  # the container may still be there
    READY = "ready"  # told by the monitor, like the next three
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    WATCHDOG = "watchdog"
    START_TIMEOUT = "start-timeout"  # it was not ready in time
    EXITED = "exited"  # its first process is gone
    TIMEOUT = "timeout"  # the stop signal was given its time
    CLEANED = "cleaned"  # container deleted, poststop hooks have run
    CLEAN_FAILED = "clean-failed"  # something of it is left
    RESTART = "restart"  # the policy's answers
    COOL_DOWN = "cool-down"
    FINISH = "finish"
    GIVE_UP = "give-up"
    DELAY_OVER = "delay-over"
    ADOPT_CREATED = "adopt-created"  # how an earlier creched left it: supervisor/resume.py
    ADOPT_UNREADY = "adopt-unready"
    ADOPT_RUNNING = "adopt-running"
    RESUME_EXITED = "resume-exited"
    RESUME_STOP_EXITED = "resume-stop-exited"
    RESUME_ENDED = "resume-ended"
    RESUME_BACKOFF = "resume-backoff"
    RESUME_COOLDOWN = "resume-cooldown"
    RESUME_DONE = "resume-done"
    RESUME_FAILED = "resume-failed"


class Action(StrEnum):
    """What the supervisor does in a step, before it waits for the next event."""

    NONE = "none"
    CREATE = "create"
    START = "start"
    WATCH = "watch"  # monitor it; while it is not ready, against a deadline
    NOTE = "note"  # what the event says, in the status
    AGAIN = "again"  # start once it has ended
    RESET = "reset"  # history
    CANCEL = "cancel"  # what is under way (create or start)
    SIGNAL = "signal"  # the stop signal, and set the timeout
    KILL = "kill"  # everything in the container
    CLEAN = "clean"
    KILL_AND_CLEAN = "kill-and-clean"
    HURRY = "hurry"  # hooks that are running
    DECIDE = "decide"
    DELAY = "delay"
    END = "end"


class Result(StrEnum):
    """How a workload's last run, or the workload itself, ended; kept apart from its state."""

    NONE = "none"
    SUCCESS = "success"
    EXIT = "exit"
    SIGNAL = "signal"
    OOM = "oom"
    UNHEALTHY = "unhealthy"
    WATCHDOG = "watchdog"
    START_TIMEOUT = "start-timeout"
    HOOK = "hook"
    SETUP = "setup"
    LIMIT = "limit"
    FAULT = "fault"
    UNKNOWN = "unknown"
