"""The nursery: one task for each workload; they come and go, and are all stopped at once."""

from __future__ import annotations

from collections.abc import Callable

import trio

from supervisor import machine, policy, reporting, resume
from supervisor.container import Engine
from supervisor.events import EventLog
from supervisor.keeper import Keeper, Surroundings
from supervisor.machine import Event, State
from supervisor.order.needs import Target
from supervisor.order.reached import has_reached
from supervisor.policy import OnLimit
from supervisor.record import Intent, MemoryRecords, Records, Resumed
from supervisor.status import WorkloadStatus
from supervisor.workload.model import Workload


class Refused(Exception):
    """What was asked for cannot be done now; the text says why."""


class Nursery:
    """All workloads of one creched. Methods that take a name raise KeyError for an unknown one."""

    def __init__(
        self,
        engine: Engine,
        log: EventLog,
        jitter: Callable[[], float],
        records: Records | None = None,
    ) -> None:
        self.keepers: dict[str, Keeper] = {}
        self.left: dict[str, Resumed] = {}
        """How an earlier creched has left workloads, by name, until they are added."""
        self.forced = False
        """Whether a workload's `on-limit` stopped the supervisor."""
        self._log = log
        self._records = records or MemoryRecords()
        self._world = Surroundings(
            engine, log, self._records, jitter,
            waiting_for=self._waiting_for, woken=self._woken, moved=self._moved,
            gave_up=self._gave_up,
        )  # fmt: skip
        self._engine = engine
        self._tasks: trio.Nursery | None = None
        self._scopes: dict[str, trio.CancelScope] = {}
        self._busy: set[str] = set()
        self._settled = trio.Event()
        self._once = False
        self._stopping = False
        self._watchers: dict[str, list[trio.Event]] = {}

    async def run(self, once: bool) -> None:
        """Until asked to stop and everything has ended; with `once`, until everything rests."""
        self._once = once
        async with trio.open_nursery() as self._tasks:
            for keeper in self.keepers.values():
                self._begin(keeper)
            self._check_settled()
            await self._settled.wait()
            self._tasks.cancel_scope.cancel()
        self._tasks = None

    def stop_all(self, cause: str, reason: str) -> None:
        """Ask every workload to end, all at the same time; asked again, kill what still runs."""
        again = self._stopping
        self._log.emit(
            "supervisor-hurried" if again else "supervisor-stopping", cause=cause, reason=reason
        )
        self._stopping = True
        for keeper in self.keepers.values():
            event = Event.HURRY if again else Event.STOP
            keeper.post(event, "request", reason, again=False)
        self._check_settled()

    @property
    def stopping(self) -> bool:
        """Whether everything was asked to end."""
        return self._stopping

    @property
    def failed(self) -> list[str]:
        """Names of the workloads that have failed for good."""
        return [name for name, keeper in self.keepers.items() if keeper.state is State.FAILED]

    # --- workloads come and go -------------------------------------------------------------

    def add(self, workload: Workload, resume_from: Resumed | None = None) -> None:
        """Look after one more workload, from now on; go on where an earlier creched left it.

        Raises ValueError if its name is taken.
        """
        if workload.name in self.keepers:
            raise ValueError(f"workload {workload.name} is there already")
        left = self.left.pop(workload.name, None)
        resume_from = resume_from or left
        keeper = self.keepers[workload.name] = Keeper(workload, self._world)
        resume.begin(keeper, resume_from)
        if self._stopping:  # asked before there was anybody to ask
            keeper.post(Event.STOP, "request", "creched is stopping", again=False)
        if self._tasks is not None:
            self._begin(keeper)

    def change(self, workload: Workload, restart: bool) -> None:
        """Other settings for a workload: at once, or with a restart if it is meant to run."""
        keeper = self.keepers[workload.name]
        if not restart:
            keeper.change(workload)
            return
        keeper.change_at_next_start(workload)
        if keeper.state is not State.STOPPED and keeper.intent is not Intent.DOWN:
            keeper.post(Event.STOP, "change", "its directory has changed", again=True)

    async def remove(self, name: str) -> None:
        """Stop a workload and forget it; returns when nothing of it is left."""
        keeper = self.keepers[name]
        keeper.post(Event.STOP, "removed", "its directory has gone", again=False)
        while not (keeper.resting and keeper.state in machine.RESTING):
            await self.next_move(name)
        self._scopes.pop(name).cancel()
        del self.keepers[name]
        self._busy.discard(name)
        self._records.forget(name)
        self._engine.forget(keeper.workload)
        self._log.emit("workload-removed", workload=name)
        for event in self._watchers.pop(name, ()):
            event.set()
        self._check_settled()

    def _begin(self, keeper: Keeper) -> None:
        assert self._tasks is not None
        scope = self._scopes[keeper.workload.name] = trio.CancelScope()

        async def task() -> None:
            with scope:
                await keeper.run()

        self._tasks.start_soon(task)

    # --- what an operator asks for ---------------------------------------------------------

    def start(self, name: str, who: str) -> None:
        """Begin, also now what waits for a delay. Raises Refused while creched stops."""
        self._want(name, Intent.UP).post(Event.START, "request", f"started by {who}")

    def stop(self, name: str, who: str) -> None:
        """End gracefully, and stay so."""
        self._want(name, Intent.DOWN).post(Event.STOP, "request", f"stopped by {who}", again=False)

    def restart(self, name: str, who: str) -> None:
        """End gracefully, and start again once nothing is left. Raises Refused as `start` does."""
        self._want(name, Intent.UP).post(Event.STOP, "request", f"restarted by {who}", again=True)

    def kill(self, name: str, signal: int, who: str) -> None:
        """Send its first process a signal. Raises Refused if there is none."""
        keeper = self.keepers[name]
        run = keeper.run_
        if run is None or run.container.pid is None or run.exit_seen.is_set():
            raise Refused(f"{name} does not run")
        self._log.emit(
            "signalled", workload=name, container=run.container.id, cause="request",
            reason=f"by {who}", signal=policy.signal_name(signal),
        )  # fmt: skip
        run.container.signal(signal)

    def reset(self, name: str, who: str) -> None:
        """Forget past failures: the series of delays and the window begin anew."""
        self.keepers[name].post(Event.RESET, "request", f"reset by {who}")

    def status(self, name: str) -> WorkloadStatus:
        """How a workload stands."""
        return reporting.status(self.keepers[name])

    def statuses(self) -> list[WorkloadStatus]:
        """How all of them stand, by name."""
        return [reporting.status(self.keepers[name]) for name in sorted(self.keepers)]

    async def reached(self, name: str, target: str) -> None:
        """Until a workload has come as far as `target` (a Target). KeyError also if it is removed.

        Raises ValueError if there is no such target.
        """
        goal = Target(target)
        while not has_reached(self.keepers[name], goal):
            await self.next_move(name)

    def _want(self, name: str, intent: Intent) -> Keeper:
        keeper = self.keepers[name]
        if intent is Intent.UP and self._stopping:
            raise Refused("creched is stopping")
        keeper.intent = intent
        keeper.save()
        return keeper

    # --- what keepers tell -----------------------------------------------------------------

    def _waiting_for(self, name: str) -> tuple[str, ...]:
        return ()

    def _woken(self, keeper: Keeper) -> None:
        self._busy.add(keeper.workload.name)

    def _moved(self, keeper: Keeper) -> None:
        name = keeper.workload.name
        for event in self._watchers.pop(name, ()):
            event.set()
        if keeper.resting:
            self._busy.discard(name)
            self._check_settled()

    def _check_settled(self) -> None:
        if self._tasks is not None and (self._once or self._stopping) and not self._busy:
            self._settled.set()

    async def next_move(self, name: str) -> None:
        """Until the status of a workload may be another one, or it is removed."""
        event = trio.Event()
        self._watchers.setdefault(name, []).append(event)
        await event.wait()

    def _gave_up(self, keeper: Keeper, decision: policy.GiveUp) -> None:
        if decision.action is OnLimit.STOP_SUPERVISOR and not self._stopping:
            self.forced = True
            self.stop_all("limit", f"{keeper.workload.name}: {decision.reason}")
