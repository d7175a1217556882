"""The probation of a new version: whether it comes up, and stays so for a while."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from supervisor.machine import State
from supervisor.status import WorkloadStatus

FAILED = frozenset({State.FAILING, State.FAIL_KILLING, State.BACKOFF, State.COOLDOWN, State.FAILED})
STOPPED = frozenset(
    {State.ABORTING, State.STOPPING, State.KILLING, State.STOP_CLEANING, State.STOPPED}
)


async def stands(
    status: Callable[[], WorkloadStatus],
    moved: Callable[[], Awaitable[None]],
    attempt: int,
    seconds: float,
) -> str | None:
    """Wait for the first start after number `attempt`, watch it; why it has failed, or None.

    One that somebody stops meanwhile is neither good nor bad: its next start is watched instead.
    `moved` returns when the status may be another one. Both raise KeyError if it is removed.
    """
    while True:
        while (now := status()).attempt <= attempt:
            await moved()
        attempt, restarts = now.attempt, now.restarts
        with trio.move_on_after(seconds):
            while True:
                now = status()
                state = State(now.state)
                if state in FAILED or now.restarts > restarts:
                    return now.why or "it did not stay up"
                if state is State.DONE:
                    return None
                if state in STOPPED or now.attempt > attempt:
                    break
                await moved()
            attempt = now.attempt if state in STOPPED else now.attempt - 1
            continue
        now = status()
        if not now.ready:
            return f"it was not ready within {seconds:g} s"
        if now.health not in (None, "healthy"):
            return f"it was not healthy within {seconds:g} s"
        return None
