"""creched as a whole: engine, events, nursery and workload directories, put together."""

from __future__ import annotations

import os
import random
import signal

import trio

from runtime import VERSION
from runtime.errors import CrecheError
from supervisor.engine import Engine
from supervisor.events import EventLog
from supervisor.nursery import Nursery
from supervisor.record import MemoryRecords, Records
from supervisor.workload.directory import read_all
from supervisor.workload.errors import WorkloadError
from supervisor.workload.model import Workload

EXIT_FAILED = 1
"""A workload failed (with --once), was refused (with --once), or stopped the supervisor."""


class Service:
    """One creched. `engine`, `records` and `nursery` are there once `run` has begun."""

    engine: Engine
    records: Records
    nursery: Nursery

    def __init__(self, workloads: str, root: str, log: EventLog) -> None:
        self.workloads = workloads
        self.root = root
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
            good, bad = read_all(self.workloads, self.engine.scratch)
            jitter = random.SystemRandom().random
            self.nursery = Nursery(self.engine, self.log, jitter, self.records)
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
                self._tell(good, bad)
                self.engine.prepare(good, self.log.emit)
                for workload in good:
                    self.nursery.add(workload)
                await self.nursery.run(once)
                tasks.cancel_scope.cancel()
        status = 0
        if self.nursery.forced or (once and (bad or self.nursery.failed)):
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

    def _tell(self, good: list[Workload], bad: list[tuple[str, WorkloadError]]) -> None:
        for workload in good:
            self.log.emit("workload-loaded", workload=workload.name, directory=workload.directory)
            for warning in workload.warnings:
                self.log.emit("workload-warning", workload=workload.name, message=warning)
        for name, error in bad:
            for problem in error.problems:
                self.log.emit(
                    "workload-refused",
                    workload=name,
                    file=problem.file,
                    line=problem.line,
                    key=problem.key or None,
                    message=problem.message,
                )
