"""creched: keeps the containers described in a directory running."""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
from collections.abc import Sequence

import trio

from runtime import VERSION
from runtime.errors import CrecheError
from supervisor.engine import DEFAULT_ROOT, Engine
from supervisor.events import EventLog
from supervisor.logs import open_log
from supervisor.nursery import Nursery
from supervisor.workload.directory import read_all
from supervisor.workload.errors import WorkloadError
from supervisor.workload.model import Workload

EXIT_FAILED = 1
"""A workload failed (with --once), was refused (with --once), or stopped the supervisor."""
EXIT_UNABLE = 2
"""creched could not begin: bad options, no such directory, another creched is there."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    options = _parser().parse_args(arguments)
    options.workloads = os.path.abspath(options.workloads)
    log = open_log(options.log_format)
    try:
        return trio.run(_main, options, log, strict_exception_groups=True)
    except* (WorkloadError, CrecheError, OSError) as group:
        for error in _leaves(group):
            print(f"creched: {error}", file=sys.stderr)
    return EXIT_UNABLE


async def _main(options: argparse.Namespace, log: EventLog) -> int:
    if os.geteuid() != 0:
        raise CrecheError("creched must run as root")
    random_source = random.SystemRandom()
    async with Engine(options.root) as engine:
        good, bad = read_all(options.workloads, engine.scratch)
        nursery = Nursery(engine, log, random_source.random)
        async with trio.open_nursery() as tasks:
            # Signals are caught before anything is started, or there might be something left.
            await tasks.start(_signals, nursery)
            log.emit(
                "supervisor-started",
                release=VERSION,
                directory=options.workloads,
                root=engine.root,
                workloads=len(good),
                pid=os.getpid(),
            )
            _tell(log, good, bad)
            engine.prepare(good, log.emit)
            await nursery.run(good, options.once)
            tasks.cancel_scope.cancel()
    status = 0
    if nursery.forced or (options.once and (bad or nursery.failed)):
        status = EXIT_FAILED
    log.emit("supervisor-stopped", exit_status=status)
    return status


async def _signals(
    nursery: Nursery, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    numbers = [signal.SIGTERM, signal.SIGINT]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup(1) means it
        numbers.append(signal.SIGHUP)
    with trio.open_signal_receiver(*numbers) as received:
        task_status.started()
        async for number in received:
            nursery.stop("signal", f"creched got {signal.Signals(number).name}")


def _tell(log: EventLog, good: list[Workload], bad: list[tuple[str, WorkloadError]]) -> None:
    for workload in good:
        log.emit("workload-loaded", workload=workload.name, directory=workload.directory)
        for warning in workload.warnings:
            log.emit("workload-warning", workload=workload.name, message=warning)
    for name, error in bad:
        for problem in error.problems:
            log.emit(
                "workload-refused",
                workload=name,
                file=problem.file,
                line=problem.line,
                key=problem.key or None,
                message=problem.message,
            )


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    leaves: list[BaseException] = []
    for error in group.exceptions:
        leaves += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return leaves


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="creched",
        description="Keeps the containers described in workload directories running.",
        epilog="SIGTERM or SIGINT: stop every workload gracefully and exit; again: kill them now.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--workloads",
        metavar="DIR",
        required=True,
        help="directory of workload directories (docs/workload.md)",
    )
    parser.add_argument(
        "--root",
        metavar="DIR",
        default=DEFAULT_ROOT,
        help="where the state of the containers is kept (default: %(default)s)",
    )
    parser.add_argument(
        "--log-format",
        choices=("console", "json"),
        default="console",
        help="how events are written to standard output (default: %(default)s)",
    )
    parser.add_argument(
        "--once",
        action="store_true",
        help="exit when every workload has ended for good; status 1 if one has failed",
    )
    parser.add_argument("--version", action="version", version=f"creched {VERSION}")
    return parser


if __name__ == "__main__":
    sys.exit(main())
