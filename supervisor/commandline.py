"""The command line of creched; supervisor/creched.py comes first."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from functools import partial

import trio

from runtime import VERSION
from runtime.errors import CrecheError
from supervisor.control.settings import group_id
from supervisor.engine import DEFAULT_ROOT, DEFAULT_STATE
from supervisor.events import EventLog
from supervisor.held import listen_again
from supervisor.logs import open_log
from supervisor.service import Service
from supervisor.settings import DEFAULT, read_settings
from supervisor.workload.errors import WorkloadError

EXIT_UNABLE = 2
"""creched could not begin: bad options, no such directory, another creched is there."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status."""
    options = _parser().parse_args(arguments)
    options.workloads = os.path.abspath(options.workloads)
    if options.check:
        return _check(options)
    log = open_log(options.log_format)
    try:
        return trio.run(_main, options, log, strict_exception_groups=True)
    except* (WorkloadError, CrecheError, OSError) as group:
        for error in _leaves(group):
            print(f"creched: {error}", file=sys.stderr)
    finally:
        listen_again()
    return EXIT_UNABLE


async def _main(options: argparse.Namespace, log: EventLog) -> int:
    read = partial(read_settings, options.config)
    service = Service(options.workloads, options.root, options.state, log, read(), read)
    return await service.run(options.once)


def _check(options: argparse.Namespace) -> int:
    """Whether a creched with these options could begin: all is imported by now. Starts nothing."""
    try:
        settings = read_settings(options.config)
        if settings.control.read_only is not None:
            group_id(settings.control.group)
    except (WorkloadError, CrecheError, OSError) as error:
        print(f"creched: {error}", file=sys.stderr)
        return EXIT_UNABLE
    return 0


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    leaves: list[BaseException] = []
    for error in group.exceptions:
        leaves += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return leaves


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="creched",
        description="Keeps the containers described in workload directories running.",
        epilog="SIGTERM or SIGINT: stop every workload gracefully and exit; again: kill them now. "
        "SIGHUP: read the directories and networks now. SIGUSR2: execute creched anew, in the "
        "same process.",
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
        "--state",
        metavar="DIR",
        default=DEFAULT_STATE,
        help="where is kept what outlives a reboot: versions of workloads, logs "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--config",
        metavar="FILE",
        help=f"settings of creched itself, docs/creched.md (default: {DEFAULT}, if it is there)",
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
    parser.add_argument(
        "--check",
        action="store_true",
        help="say whether creched could start with these options and settings, and start nothing; "
        "status 2 if not",
    )
    parser.add_argument("--version", action="version", version=f"creched {VERSION}")
    return parser
