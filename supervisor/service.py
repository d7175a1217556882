"""creched as a whole: engine, events, nursery and workload directories, put together."""

from __future__ import annotations

import os
import random
import signal

import trio

from runtime import VERSION
from runtime.errors import CrecheError
from runtime.state import make_root
from supervisor.directories.directories import Directories
from supervisor.directories.generations import Generations
from supervisor.directories.plan import Action, Plan
from supervisor.engine import Engine
from supervisor.events import EventLog
from supervisor.nursery import Nursery
from supervisor.record import MemoryRecords, Records
from supervisor.workload.errors import Problem, WorkloadError

EXIT_FAILED = 1
"""A workload failed (with --once), was refused (with --once), or stopped the supervisor."""


class Service:
    """One creched. `engine`, `records` and `nursery` are there once `run` has begun."""

    engine: Engine
    records: Records
    nursery: Nursery
    directories: Directories

    def __init__(self, workloads: str, root: str, state: str, log: EventLog) -> None:
        self.workloads = workloads
        self.root = root
        self.state = state
        self.log = log

    async def run(self, once: bool) -> int:
        """From the first event to the last; the exit status.

        `once`: until every workload has ended for good. Raises WorkloadError, CrecheError and
        OSError (in groups) if it cannot begin.
        """
        if os.geteuid() != 0:
            raise CrecheError("creched must run as root")
        self.records = MemoryRecords()
        async with Engine(self.root) as self.engine:
            jitter = random.SystemRandom().random
            self.nursery = Nursery(self.engine, self.log, jitter, self.records)
            make_root(self.state)
            generations = None if once else Generations(self.state, self._damaged)
            self.directories = Directories(
                self.workloads, self.engine.scratch, self.nursery, self.log, generations
            )
            found = await self._load(once)
            good = [step for step in found.steps if step.action is Action.ADD]
            async with trio.open_nursery() as tasks:
                # Signals are caught before anything is started, or there might be something left.
                await tasks.start(self._signals)
                self.log.emit(
                    "supervisor-started",
                    release=VERSION,
                    directory=self.workloads,
                    root=self.engine.root,
                    workloads=len(good),
                    pid=os.getpid(),
                )
                self.engine.prepare(
                    [
                        step.reading.workload
                        for step in good
                        if step.reading is not None and step.reading.workload is not None
                    ],
                    self.log.emit,
                )
                self.directories.begin(found)
                if not once:
                    tasks.start_soon(self.directories.run, self.engine.watcher)
                await self.nursery.run(once)
                tasks.cancel_scope.cancel()
        status = 0
        if self.nursery.forced or (once and (found.refused or self.nursery.failed)):
            status = EXIT_FAILED
        self.log.emit("supervisor-stopped", exit_status=status)
        return status

    async def _signals(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        numbers = [signal.SIGTERM, signal.SIGINT]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup(1) means it
            numbers.append(signal.SIGHUP)
        with trio.open_signal_receiver(*numbers) as received:
            task_status.started()
            async for number in received:
                self.nursery.stop_all("signal", f"creched got {signal.Signals(number).name}")

    async def plan(self) -> Plan:
        """What `reload` would do. Raises WorkloadError if the directory is of no use."""
        return await self.directories.plan()

    async def reload(self, who: str) -> Plan:
        """Look at the workload directories now; what was done. Raises WorkloadError as `plan`."""
        return await self.directories.reload()

    async def _load(self, once: bool) -> Plan:
        try:
            return await self.directories.load()
        except FileNotFoundError as error:
            if once:
                raise WorkloadError(Problem(self.workloads, "", "does not exist")) from error
            return Plan()

    def _damaged(self, path: str, kept: str, reason: str) -> None:
        self.log.emit("state-damaged", file=path, kept=kept, message=reason)
