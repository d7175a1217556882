"""What takes time in the life of a workload; its keeper is told by an event."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

import trio

from supervisor.container import ContainerError
from supervisor.machine import Event
from supervisor.run import Run


class Post(Protocol):
    """`Keeper.post`."""

    def __call__(
        self, event: Event, cause: str = "", reason: str = "", token: object = None
    ) -> None:
        """`token`: the run or timer the event is about; that of another one comes too late."""


class Timer:
    """A deadline (trio's clock) that can be put off; posts its event when it has passed."""

    __slots__ = ("_scope", "cause", "deadline", "event", "reason")

    def __init__(self, deadline: float, event: Event, cause: str = "", reason: str = "") -> None:
        self.deadline = deadline
        self.event = event
        self.cause = cause
        self.reason = reason
        self._scope = trio.CancelScope()

    def cancel(self) -> None:
        """It is not needed any more."""
        self._scope.cancel()

    def extend(self, deadline: float) -> None:
        """Not before that."""
        self.deadline = max(self.deadline, deadline)

    async def run(self, post: Post) -> None:
        """Until it has passed."""
        with self._scope:
            while trio.current_time() < self.deadline:  # noqa: ASYNC110  it may be put off
                await trio.sleep_until(self.deadline)
            post(self.event, self.cause, self.reason, self)


async def create(run: Run, post: Post) -> None:
    """Make the container; first remove what is left of the last one."""
    await _attempt(run, _create(run), Event.CREATED, Event.CREATE_FAILED, post)


async def start(run: Run, good: Event, post: Post) -> None:
    """Start its program; `good` is the event if that goes well."""
    await _attempt(run, run.container.start(), good, Event.START_FAILED, post)


async def _create(run: Run) -> None:
    if run.left is not None:
        await run.left.delete()
        run.left = None
    await run.container.create()


async def _attempt(
    run: Run, operation: Awaitable[None], good: Event, bad: Event, post: Post
) -> None:
    """Create or start; a STOP cancels it."""
    with run.effect:
        try:
            await operation
        except ContainerError as error:
            run.fails(error.cause, str(error))
            post(bad, error.cause.value, str(error), run)
        else:
            post(good, token=run)
        return
    post(bad, "request", "cut short", run)


async def wait(run: Run, post: Post) -> None:
    """For the end of its first process."""
    end = await run.container.wait()
    run.monitoring.cancel()
    ending = run.ended(end, trio.current_time())
    post(Event.EXITED, ending.cause.value, ending.describe(), run)


async def clean(run: Run, post: Post) -> None:
    """Delete the container."""
    try:
        await run.container.delete()
    except ContainerError as error:
        run.left_behind = True
        post(Event.CLEAN_FAILED, error.cause.value, str(error), run)
        return
    # Deleting kills what still lives: that end is reported before it is.
    await run.exit_seen.wait()
    post(Event.CLEANED, token=run)


async def remove(run: Run) -> None:
    """Delete the container, whatever state it is in. Raises ContainerError."""
    await run.container.delete()


async def kill(run: Run, warn: Callable[[str], None]) -> None:
    """Everything in it."""
    try:
        await run.container.kill()
    except ContainerError as error:
        warn(str(error))
