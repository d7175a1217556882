"""The nursery: one task for each workload, all of them started at once and stopped at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import trio

from supervisor.container import Engine
from supervisor.events import EventLog
from supervisor.keeper import Keeper
from supervisor.machine import Event, State
from supervisor.workload.model import Workload


class Nursery:
    """All workloads of one creched."""

    def __init__(self, engine: Engine, log: EventLog, jitter: Callable[[], float]) -> None:
        self._engine = engine
        self._log = log
        self._jitter = jitter
        self._stopping = trio.Event()
        self.keepers: dict[str, Keeper] = {}
        self.forced = False
        """Whether a workload's `on-limit` stopped the supervisor."""

    async def run(self, workloads: Iterable[Workload], once: bool) -> None:
        """Until asked to stop and everything has ended; with `once`, until everything has ended."""
        for workload in workloads:
            self.keepers[workload.name] = Keeper(
                workload, self._engine, self._log, self._jitter, self._limit_reached
            )
        if self._stopping.is_set():  # asked before there was anybody to ask
            for keeper in self.keepers.values():
                keeper.post(Event.STOP, "request", "creched is stopping")
        async with trio.open_nursery() as nursery:
            for keeper in self.keepers.values():
                nursery.start_soon(keeper.run)
            if not once:
                await self._stopping.wait()

    def stop(self, cause: str, reason: str) -> None:
        """Ask every workload to end, all at the same time; asked again, kill what still runs."""
        again = self._stopping.is_set()
        self._log.emit(
            "supervisor-hurried" if again else "supervisor-stopping", cause=cause, reason=reason
        )
        self._stopping.set()
        for keeper in self.keepers.values():
            keeper.post(Event.HURRY if again else Event.STOP, "request", reason)

    @property
    def failed(self) -> list[str]:
        """Names of the workloads that have failed for good."""
        return [name for name, keeper in self.keepers.items() if keeper.state is State.FAILED]

    def _limit_reached(self, reason: str) -> None:
        if not self._stopping.is_set():
            self.forced = True
            self.stop("limit", reason)
