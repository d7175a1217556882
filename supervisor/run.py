"""One run of a workload: its container, and what is known of it so far."""

from __future__ import annotations

from dataclasses import replace

import trio

from supervisor.container import Container, Exit
from supervisor.policy import Cause, Ending

UNDECIDED = Ending(Cause.UNKNOWN)


class Run:
    """From creating the container to its removal. Times are trio's."""

    __slots__ = ("container", "effect", "ending", "exit", "exit_seen", "health", "monitoring",
                 "ready_at", "text")  # fmt: skip

    def __init__(self, container: Container) -> None:
        self.container = container
        self.ending = UNDECIDED
        """A cause that came before the end stays the cause of the end it brought about."""
        self.exit = Exit()
        self.exit_seen = trio.Event()
        self.effect = trio.CancelScope()
        """What is under way: creating, starting."""
        self.monitoring = trio.CancelScope()
        self.ready_at: float | None = None
        self.health: str | None = None
        self.text = ""
        """What the program says of itself."""

    def fails(self, cause: Cause, text: str) -> None:
        """It is going to end because of this."""
        self.ending = Ending(cause, text=text)

    def ended(self, end: Exit, now: float) -> Ending:
        """It has ended: how, with the cause that is known."""
        self.exit = end
        began, ready = self.container.started_at, self.ready_at
        seen = end.ending(0.0 if began is None else now - began)
        seen = replace(seen, ready_for=0.0 if ready is None else now - ready)
        if self.ending.cause is Cause.UNKNOWN:
            self.ending = seen
        else:
            self.ending = replace(seen, cause=self.ending.cause, text=self.ending.text)
        self.exit_seen.set()
        return seen
