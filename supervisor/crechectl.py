"""crechectl: so far, checks workload directories before creched is let loose on them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from runtime import VERSION
from supervisor.workload.directory import read_all
from supervisor.workload.errors import WorkloadError


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="crechectl", description="Helps with workload directories.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"crechectl {VERSION}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    check = commands.add_parser(
        "check",
        help="say what is wrong with the workloads in DIR; status 1 if anything is",
        description="Reads every workload directory in DIR as creched would, and starts nothing.",
    )
    check.add_argument("directory", metavar="DIR")
    options = parser.parse_args(arguments)
    return _check(options.directory)


def _check(directory: str) -> int:
    try:
        good, bad = read_all(directory, "/run/creche/.creched/rootfs")
    except WorkloadError as error:
        print(f"crechectl: {error}", file=sys.stderr)
        return 2
    for workload in good:
        print(f"{workload.name}: ok")
        for warning in workload.warnings:
            print(f"{workload.name}: warning: {warning}")
    for _, refused in bad:
        for problem in refused.problems:
            print(problem)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
