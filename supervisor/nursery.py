"""The nursery: one task for each workload; they come and go, and are all stopped at once."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence

import trio

from supervisor import escalation, mistakes, policy, reporting, resume
from supervisor.container import Engine
from supervisor.events import EventLog
from supervisor.groups import Group
from supervisor.keeper import Keeper
from supervisor.machine import STARTED, Event, State
from supervisor.mistakes import Mistakes
from supervisor.order.needs import Target
from supervisor.order.reached import has_reached
from supervisor.ordering import Ordering
from supervisor.policy import OnLimit
from supervisor.record import Intent, MemoryRecords, Records, Resumed
from supervisor.status import WorkloadStatus
from supervisor.workload.model import Settings, Workload
from supervisor.world import World


class Refused(Exception):
    """What was asked for cannot be done now; the text says why."""


class Nursery:
    """All workloads of one creched.

    Methods that take a name raise KeyError for an unknown one. What an operator can ask for raises
    Refused for one of which no version can be used.
    """

    def __init__(
        self,
        engine: Engine,
        log: EventLog,
        jitter: Callable[[], float],
        records: Records | None = None,
        groups: Mapping[str, Group] | None = None,
        reboot_command: Sequence[str] = (),
    ) -> None:
        self.keepers: dict[str, Keeper] = {}
        self.left: dict[str, Resumed] = {}
        """How an earlier creched has left workloads, by name, until they are added."""
        self.groups = dict(groups or {})
        """Those that creched.toml declares."""
        self.mistakes: dict[str, Mistakes] = {}
        """What is wrong with workload directories, by name; the Directories keep it."""
        self.exit_status: int | None = None
        """What creched is to exit with, if a workload's `on-limit` stopped it."""
        self._engine = engine
        self._log = log
        self._records = records or MemoryRecords()
        self._reboot_command = tuple(reboot_command)
        self._order = Ordering(self.keepers, self.groups)
        self._world = World(
            engine, log, self._records, jitter, self._order.waiting_for,
            self._woken, self._moved, self._order.review, self._gave_up,
        )  # fmt: skip
        self._tasks: trio.Nursery | None = None
        self._scopes: dict[str, trio.CancelScope] = {}
        self._busy: set[object] = set()
        self._settled = trio.Event()
        self._once = False
        self._stopping = False
        self._watchers: dict[str, list[tuple[Target | None, trio.Event]]] = {}

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
        """Ask every workload to end, each after those that need it; asked again, kill them all."""
        again = self._stopping
        self._log.emit(
            "supervisor-hurried" if again else "supervisor-stopping", cause=cause, reason=reason
        )
        self._stopping = self._order.closing = True
        if again:
            self._order.hurry()
            for keeper in self.keepers.values():
                keeper.post(Event.HURRY, "request", reason, again=False)
        else:
            self._order.leave(dict.fromkeys(self.keepers, (False, "request", reason)))
        self._check_settled()

    @property
    def stopping(self) -> bool:
        """Whether everything was asked to end."""
        return self._stopping

    @property
    def failed(self) -> list[str]:
        """Names of the workloads that have failed for good, or wait for one that has."""
        bad = (State.FAILED, State.WAITING)
        return [name for name, keeper in self.keepers.items() if keeper.state in bad]

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
        self._order.placed(workload)
        if self._stopping:  # asked before there was anybody to ask
            keeper.post(Event.STOP, "request", "creched is stopping", again=False)
        if self._tasks is not None:
            self._begin(keeper)

    def change(
        self, workload: Workload, restart: bool, reason: str = "its directory has changed"
    ) -> None:
        """Other settings for a workload: at once, or with a restart if it is meant to run."""
        keeper = self.keepers[workload.name]
        if not restart or (keeper.state is State.STOPPED and not keeper.again):
            keeper.change(workload)
        else:
            keeper.change_at_next_start(workload)
            keeper.post(Event.RESET, "change", reason)
            keeper.post(Event.STOP, "change", reason, again=True)
        self._order.placed(workload)

    async def remove(self, name: str) -> None:
        """Stop a workload, after those that cannot be without it, and forget it."""
        keeper = self.keepers[name]
        self._order.stop(name, "removed", "its directory has gone")
        while not (keeper.quiet and keeper.state is not State.WAITING):
            await self.next_move(name)
        self._scopes.pop(name).cancel()
        del self.keepers[name]
        self._order.removed(name)
        self._busy.discard(name)
        self._engine.forget(keeper.workload)
        self._log.emit("workload-removed", workload=name)
        self._records.forget(name)  # at last: who finds it knows that this may not have been told
        for _, event in self._watchers.pop(name, ()):
            event.set()
        self._check_settled()

    def take_stray(self, name: str, told: bool = False) -> bool:
        """What an earlier creched left of a workload that is not declared; whether there is any.

        It is looked after, only to be removed: how else is not known. Of one without any nothing is
        remembered, which is its removal; an event says so, unless it was `told`.
        """
        left = self.left.get(name)
        if left is None or (left.container is None and left.exit is None):
            self.left.pop(name, None)
            if not told:
                self._log.emit("workload-removed", workload=name)
            self._records.forget(name)
            return False
        self.add(Workload(name, left.record.directory or os.devnull, Settings(), {}))
        return True

    def _begin(self, keeper: Keeper) -> None:
        assert self._tasks is not None
        scope = self._scopes[keeper.name] = trio.CancelScope()

        async def task() -> None:
            with scope:
                await keeper.run()

        self._tasks.start_soon(task)

    # --- what an operator asks for ---------------------------------------------------------

    def start(self, name: str, who: str) -> None:
        """Begin, also now what waits for a delay; past failures count no more. Raises Refused while
        creched stops."""
        keeper = self._want(name, Intent.UP)
        self._order.stay(name)
        if keeper.state not in STARTED:
            self._forgive(keeper, f"started by {who}")
        keeper.post(Event.START, "request", f"started by {who}")

    def stop(self, name: str, who: str) -> None:
        """End gracefully, after those that cannot be without it, and stay so."""
        self._want(name, Intent.DOWN)
        self._order.stop(name, "request", f"stopped by {who}")

    def restart(self, name: str, who: str) -> None:
        """End gracefully, and start again once nothing is left; else as `start`."""
        keeper = self._want(name, Intent.UP)
        self._order.stay(name)
        self._forgive(keeper, f"restarted by {who}")
        keeper.post(Event.STOP, "request", f"restarted by {who}", again=True)

    def kill(self, name: str, signal: int, who: str) -> None:
        """Send its first process a signal. Raises Refused if there is none."""
        keeper = self.keeper(name)
        run = keeper.current
        if run is None or run.container.pid is None or run.exit_seen.is_set():
            raise Refused(f"{name} does not run")
        self._log.emit(
            "signalled", workload=name, container=run.container.id, cause="request",
            reason=f"by {who}", signal=policy.signal_name(signal),
        )  # fmt: skip
        run.container.signal(signal)

    def reset(self, name: str, who: str) -> None:
        """Forget past failures: the series of delays and the window begin anew."""
        self.keeper(name).post(Event.RESET, "request", f"reset by {who}")

    def status(self, name: str) -> WorkloadStatus:
        """How a workload stands."""
        keeper = self.keepers.get(name)
        if keeper is None:
            return mistakes.status(name, self.mistakes[name], self.left.get(name))
        return reporting.status(keeper, mistakes.problems(self.mistakes, name))

    def statuses(self) -> list[WorkloadStatus]:
        """How all of them stand, by name."""
        return [self.status(name) for name in sorted({*self.keepers, *self.mistakes})]

    def keeper(self, name: str) -> Keeper:
        """Who looks after a workload that an operator asks about."""
        if name not in self.keepers and name in self.mistakes:
            raise Refused(f"{name} is refused: {self.mistakes[name]}")
        return self.keepers[name]

    async def reached(self, name: str, target: str) -> None:
        """Until a workload has come as far as `target` (a Target). KeyError also if it is removed.

        Raises ValueError if there is no such target.
        """
        goal = Target(target)
        if not has_reached(self.keeper(name), goal):
            await self.next_move(name, goal)
            self.keeper(name)  # it may have been removed

    def _forgive(self, keeper: Keeper, reason: str) -> None:
        if keeper.history.series or keeper.history.recent:
            keeper.post(Event.RESET, "request", reason)

    def _want(self, name: str, intent: Intent) -> Keeper:
        keeper = self.keeper(name)
        if intent is Intent.UP and self._stopping:
            raise Refused("creched is stopping")
        keeper.intent = intent
        keeper.save()
        return keeper

    # --- what keepers tell -----------------------------------------------------------------

    def _woken(self, keeper: Keeper) -> None:
        self._busy.add(keeper.name)

    def _moved(self, keeper: Keeper) -> None:
        name = keeper.name
        for goal, event in self._watchers.pop(name, ()):
            if goal is None or has_reached(keeper, goal):
                event.set()
            else:
                self._watchers.setdefault(name, []).append((goal, event))
        self._order.moved(keeper)
        if keeper.quiet:
            self._busy.discard(name)
            self._check_settled()

    def _check_settled(self) -> None:
        if self._tasks is not None and (self._once or self._stopping) and not self._busy:
            self._settled.set()

    async def next_move(self, name: str, goal: Target | None = None) -> None:
        """Until the status of a workload may be another one, or it is removed.

        With a `goal`: until it has come so far.
        """
        event = trio.Event()
        self._watchers.setdefault(name, []).append((goal, event))
        await event.wait()

    # --- when restarts have not helped -----------------------------------------------------

    def _gave_up(self, keeper: Keeper, decision: policy.GiveUp, event: dict[str, object]) -> None:
        settings = keeper.workload.settings.restart
        match decision.action:
            case OnLimit.STOP_GROUP:
                self._order.stop_group(keeper, decision.reason)
            case OnLimit.RUN:
                self._run(keeper.name, settings.command, event)
            case OnLimit.REBOOT:
                self._log.emit(
                    "reboot-requested", workload=keeper.name, reason=decision.reason,
                    command=list(self._reboot_command),
                )  # fmt: skip
                self._run(keeper.name, self._reboot_command, event)
            case OnLimit.STOP_SUPERVISOR if not self._stopping:
                self.exit_status = settings.exit_status
                self.stop_all("limit", f"{keeper.name}: {decision.reason}")

    def _run(self, name: str, command: tuple[str, ...], event: dict[str, object]) -> None:
        if not command or self._tasks is None:
            return
        token = object()
        self._busy.add(token)

        async def run() -> None:
            await escalation.run(command, name, event, self._log)
            self._busy.discard(token)
            self._check_settled()

        self._tasks.start_soon(run)
