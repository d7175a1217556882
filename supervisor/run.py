"""One run of a workload: its container, and what is known of it so far."""

from __future__ import annotations

from dataclasses import replace

import trio

from supervisor.container import Container, Exit
from supervisor.policy import Cause, Ending

UNDECIDED = Ending(Cause.UNKNOWN)
_OURS = frozenset({Cause.UNHEALTHY, Cause.WATCHDOG, Cause.START_TIMEOUT})
"""Causes for which creched ends a program; how it then ended is no more than a detail."""


class Run:
    """From creating the container to its removal. Times are trio's."""

    __slots__ = (
        "container", "effect", "ending", "exit_seen", "health", "left", "left_behind", "monitoring",
        "ready_at", "text",
    )  # fmt: skip

    def __init__(self, container: Container, left: Run | None = None) -> None:
        self.container = container
        self.left: Container | None = None if left is None else left.container
        """What could not be removed after the last run."""
        self.left_behind = False
        """The same will be said of this one."""
        self.ending = UNDECIDED
        """A cause that came before the end stays the cause of the end it brought about."""
        self.exit_seen = trio.Event()
        self.effect = trio.CancelScope()
        """What is under way: creating, starting."""
        self.monitoring = trio.CancelScope()
        self.ready_at: float | None = None
        self.health: str | None = None
        self.text = ""
        """What the program says of itself."""

    def fails(self, cause: Cause, text: str) -> None:
        """It is going to end, or could not begin, because of this."""
        self.ending = Ending(cause, text=text)

    def ended(self, end: Exit, now: float) -> Ending:
        """It has ended at `now`: what is to be told of it."""
        seen = describe(end, self.container.started_at, self.ready_at, now)
        first = self.ending
        if first.cause is Cause.UNKNOWN:
            self.ending = seen
        else:
            self.ending = replace(seen, cause=first.cause, text=first.text)
        self.exit_seen.set()
        return self.ending if first.cause in _OURS else seen


def describe(end: Exit, began: float | None, ready: float | None, now: float) -> Ending:
    """An end with the times that go with it, all on one clock."""
    uptime = 0.0 if began is None else max(0.0, now - began)
    return replace(end.ending(uptime), ready_for=0.0 if ready is None else max(0.0, now - ready))
