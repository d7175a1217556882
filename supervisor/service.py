"""creched as a whole: engine, events, nursery and workload directories, put together."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import AsyncIterator, Callable, Collection
from typing import Any

import trio

from runtime import VERSION
from runtime.errors import CrecheError
from runtime.state import make_root
from supervisor import held, reexec
from supervisor.alerts.service import Alerts
from supervisor.control.kept import forget
from supervisor.control.start import ControlServer
from supervisor.directories.directories import Directories
from supervisor.directories.generations import Generations
from supervisor.directories.plan import Action, Plan
from supervisor.engine import Engine
from supervisor.events import EventLog
from supervisor.network.cni.chain import Cni
from supervisor.network.edge import Rules
from supervisor.network.names.edge import NameService
from supervisor.network.names.files import called
from supervisor.network.naming import Names
from supervisor.network.reloading import Reloading
from supervisor.network.service import Networks, is_attached
from supervisor.nursery import Nursery
from supervisor.past import Past
from supervisor.settings import Settings
from supervisor.signals import Signals
from supervisor.store.files import Documents
from supervisor.store.journal import Journal
from supervisor.systemd.manager import Manager
from supervisor.workload.errors import Problem, WorkloadError
from supervisor.workload.model import Workload

EXIT_FAILED = 1
"""With --once: a workload failed or was refused."""
QUIET = 60.0
"""Seconds that whatever is under way with containers is given before `reexec` goes on without."""
SETTLING = 5.0
"""Seconds at most until what is known already has also been written down; it takes no time, unless
there is news all the time."""
LAST_ALERTS = 5.0
"""Seconds that alerts which are under way still have at the end."""


class Service:
    """One creched. What is declared here is there once `run` has begun."""

    engine: Engine
    past: Past
    nursery: Nursery
    directories: Directories
    journal: Journal
    networks: Networks
    reloading: Reloading
    _tasks: trio.Nursery

    def __init__(
        self,
        workloads: str,
        root: str,
        state: str,
        log: EventLog,
        settings: Settings | None = None,
        read: Callable[[], Settings] | None = None,
    ) -> None:
        """`read`: the settings once more, from where `settings` are from; raises WorkloadError."""
        self.workloads = workloads
        self.root = root
        self.state = state
        self.log = log
        self.settings = settings or Settings()
        self._read = read or (lambda: self.settings)
        self.manager = Manager()
        self._begun = trio.Event()
        """What an earlier creched has left is looked after: now something may be asked. Before
        that, it would be stopped by nobody's rules, for its settings are not known."""
        self._replacing = False
        self._signals = Signals(self._signalled)
        self._hangs_up = os.isatty(0)  # started by hand: SIGHUP means that the terminal is gone

    async def run(self, once: bool) -> int:
        """From the first event to the last; the exit status.

        `once`: until every workload has ended for good. Raises WorkloadError, CrecheError and
        OSError (in groups) if it cannot begin.
        """
        if os.geteuid() != 0:
            raise CrecheError("creched must run as root")
        status = 0
        async with (
            Engine(self.root, self.manager.descriptors, self.state) as self.engine,
            trio.open_nursery() as outer,
        ):
            make_root(self.state)
            self.past = Past(
                self.engine.own, "" if once else self.state, self.log, self.settings.events
            )
            self.journal = self.past.journal
            jitter = random.SystemRandom().random
            self.nursery = Nursery(
                self.engine,
                self.log,
                jitter,
                self.past.records,
                self.settings.groups,
                self.settings.supervisor.reboot_command,
            )
            alerts = Alerts(self._find, self.log.emit)
            self.log.tap(alerts.note)
            self.networks = self._make_networks(once)
            self.log.tap(self.networks.note)
            self.engine.networks = self.networks
            self.reloading = Reloading(
                self.networks,
                lambda: self._read().networks,
                self._find,
                self._restart,
                self.log.emit,
            )
            generations = None if once else Generations(self.state, self.past.damaged)
            self.directories = Directories(
                self.workloads, self.engine.scratch, self.nursery, self.log, generations
            )
            # Nothing has been done yet if the directory turns out to be of no use.
            self.nursery.left = await self.past.resume(self.engine)
            attached = [name for name, left in self.nursery.left.items() if is_attached(left)]
            found = await self._load(once)
            refused, unread = bool(found.refused), self._unread(found)
            control = ControlServer(
                self.settings.control, self.settings.http, self.engine.own, self.nursery,
                self.journal, self.log, self.engine.root, self.workloads, self._acts(),
                self.manager.descriptors,
            )  # fmt: skip
            await outer.start(control.run, self._begun)
            async with trio.open_nursery() as self._tasks:
                self._tasks.start_soon(alerts.run)
                # Signals are caught before anything is started, or there might be something left.
                await self._tasks.start(self._signals.run, self._begun)
                self._tasks.start_soon(self.manager.run, self.journal, self.nursery.statuses)
                self.log.emit(
                    "supervisor-started",
                    release=VERSION,
                    directory=self.workloads,
                    root=self.engine.root,
                    workloads=sum(step.action is Action.ADD for step in found.steps),
                    pid=os.getpid(),
                )
                for unwanted in self.manager.descriptors.sweep():
                    forget(unwanted)
                self.directories.begin(found, self._tasks)
                del found  # with the text of every file that was read
                for name in self.past.take_strays(self.nursery, but=unread):
                    self._tasks.start_soon(self.nursery.remove, name)
                self._begun.set()
                await self.networks.begin(attached, unread)
                await self.reloading.begin(self.settings.networks)
                self._tasks.start_soon(self.networks.run)
                if not once:
                    self._tasks.start_soon(self.directories.run, self.engine.watcher)
                self.manager.notifier.ready()
                await self.nursery.run(once)
                await self.networks.settle()
                with trio.move_on_after(LAST_ALERTS):
                    await alerts.sent()
                self._tasks.cancel_scope.cancel()
            status = self.nursery.exit_status or 0
            if once and self.nursery.exit_status is None and (refused or self.nursery.failed):
                status = EXIT_FAILED
            if not self.engine.leaving:
                self.log.emit("supervisor-stopped", exit_status=status)
            self.networks.close()
            await control.close(self.engine.leaving and bool(self.manager.notifier))
            self.past.close()
        self.manager.close()
        return status

    def _make_networks(self, once: bool) -> Networks:
        own, damaged = self.engine.own, self.past.damaged
        names = Names(own)
        leases = "" if once else f"{self.state}/leases"
        plugged = Documents(f"{own if once else self.state}/cni", not once, damaged)
        networks = Networks(
            own, leases, self.settings.networks, self._find, self.log.emit, damaged,
            [Rules(names), NameService(own, self._called)],
            Cni(names, plugged, self.settings.supervisor.cni_path),
        )  # fmt: skip
        networks.load()
        return networks

    def _called(self, name: str) -> tuple[str, ...]:
        workload = self._find(name)
        return () if workload is None else called(workload.config)

    def _acts(self) -> dict[str, Callable[..., Any]]:
        """What control may ask of creched as a whole."""
        return {
            "plan": self.plan,
            "reload": self.reload,
            "reexec": self.reexec,
            "logs": self._logs,
            "networks": self.networks.view,
        }

    def _logs(self, name: str, lines: int, follow: bool) -> AsyncIterator[str]:
        return self.engine.output.read(self.nursery.keeper(name).workload, lines, follow)

    def _find(self, name: str) -> Workload | None:
        keeper = self.nursery.keepers.get(name)
        return None if keeper is None else keeper.workload

    def _restart(self, workload: Workload, why: str) -> None:
        if not self.nursery.stopping:
            self.nursery.change(workload, True, why)

    # --- being asked -----------------------------------------------------------------------

    def stop(self, cause: str, reason: str) -> None:
        """End every workload, and then creched; asked again, kill what still runs."""
        # Also what nobody looks after, since its directory cannot be read.
        self.past.take_strays(self.nursery, declared=True)
        keepers = self.nursery.keepers.values()
        longest = max((keeper.workload.settings.stop.timeout for keeper in keepers), default=0.0)
        self.manager.stopping(longest)
        self.nursery.stop_all(cause, reason)

    async def leave(self, reason: str) -> None:
        """End creched, and leave the containers to the next one."""
        self.log.emit("supervisor-left", cause="signal", reason=reason)
        await self._quiet()
        await _settled()
        self.engine.leaving = True
        self._tasks.cancel_scope.cancel()

    async def plan(self) -> Plan:
        """What `reload` would do. Raises WorkloadError if something cannot be read at all."""
        return await self.reloading.plan(self.directories)

    async def reload(self, who: str) -> Plan:
        """Look at creched.toml and the directories now; what was done. Raises as `plan`."""
        self.manager.notifier.reloading()
        try:
            return await self.reloading.reload(self.directories)
        finally:
            self.manager.notifier.ready()

    async def reexec(self, who: str) -> None:
        """Execute creched anew, in the same process; containers do not notice.

        Raises CrecheError if the new program cannot start, or that is being tried already: then
        nothing has changed. Returns as soon as that is settled, before it is done.
        """
        if self._replacing:
            raise CrecheError("creched is being replaced already")
        self._replacing = True
        self.manager.notifier.reloading()
        try:
            await reexec.check()
        except BaseException:
            self._replacing = False
            self.manager.notifier.ready()
            raise
        self.log.emit("supervisor-reexec", cause="request", reason=f"asked by {who}")
        self._tasks.start_soon(self._replace)

    async def _replace(self) -> None:
        await self._quiet()
        await self.engine.hang_up()
        idle = False
        while not idle:
            await self._signals.hold_back()
            await self.manager.before_replacing()
            await _settled()
            idle = self._signals.idle
        try:
            if self.nursery.stopping:
                raise CrecheError("creched was asked to stop")
            self.manager.replace()
        except (CrecheError, OSError) as error:
            self._not_replaced(error)
        self.manager.replaced()
        held.listen_again()
        self._replacing = False
        self.manager.notifier.ready()
        self.engine.gate.open()

    def _not_replaced(self, error: Exception) -> None:
        self.log.emit("reexec-failed", message=str(error))

    async def _quiet(self) -> None:
        """Begin nothing more, and let what is under way come to its end; hooks not for ever."""
        gate = self.engine.gate
        with trio.move_on_after(QUIET):
            await gate.shut()
            return
        for keeper in self.nursery.keepers.values():
            if keeper.current is not None:
                keeper.current.container.hurry()
        with trio.move_on_after(QUIET):
            await gate.shut()

    async def _signalled(self, number: int) -> None:
        name = signal.Signals(number).name
        if number == signal.SIGUSR2:
            self._tasks.start_soon(self._reexec_asked, name)
        elif number == signal.SIGHUP and not self._hangs_up:
            self._tasks.start_soon(self._reload_asked, name)
        elif number == signal.SIGTERM and await self.manager.restarting():
            await self.leave("systemd restarts creched")
        else:
            self.stop("signal", f"creched got {name}")

    async def _reexec_asked(self, name: str) -> None:
        if self._replacing:
            return  # it is under way; that it failed would be told to who has asked before
        try:
            await self.reexec(name)
        except CrecheError as error:
            self._not_replaced(error)

    async def _reload_asked(self, name: str) -> None:
        try:
            await self.reload(name)
        except (WorkloadError, OSError) as error:
            self.log.emit("reload-failed", message=str(error))

    async def _load(self, once: bool) -> Plan:
        try:
            return await self.directories.load(self.nursery.left)
        except FileNotFoundError as error:
            if once:
                raise WorkloadError(Problem(self.workloads, None, "does not exist")) from error
            return Plan()

    def _unread(self, found: Plan) -> Collection[str]:
        """Workloads that may still be declared: containers and addresses of theirs are kept."""
        if not os.path.isdir(self.workloads):
            return [*self.nursery.left, *self.networks.leases.held]
        return {step.name for step in found.steps if step.action is Action.REFUSE}


async def _settled() -> None:
    """Until every task waits: what has been read from containers, an end or READY=1, has led to its
    event and record. It would be lost with this program otherwise."""
    from trio.testing import wait_all_tasks_blocked  # needed once, and not for tests alone

    with trio.move_on_after(SETTLING):
        await wait_all_tasks_blocked()
