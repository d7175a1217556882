"""`crechectl check DIR`: what creched would say about workload directories; it starts nothing."""

from __future__ import annotations

import argparse
import json

from supervisor.ctl.commands import DONE, FAILED, USAGE
from supervisor.ctl.problem import Problem


def run(options: argparse.Namespace) -> int:
    """Mistakes in the form FILE:LINE: KEY: MESSAGE."""
    from supervisor.workload.directory import read_all
    from supervisor.workload.errors import WorkloadError

    try:
        good, bad = read_all(options.dir, "/run/creche/.creched/rootfs")
    except WorkloadError as error:
        raise Problem(str(error), USAGE) from None
    problems = [problem for _name, error in bad for problem in error.problems]
    if options.json:
        document = {
            "good": [workload.name for workload in good],
            "problems": [
                {"file": each.file, "line": each.line, "key": each.key, "message": each.message}
                for each in problems
            ],
        }
        print(json.dumps(document, indent=2))
        return FAILED if bad else DONE
    for workload in good:
        print(f"{workload.name}: ok")
        for warning in workload.warnings:
            print(f"{workload.name}: warning: {warning}")
    for problem in problems:
        print(problem)
    return FAILED if bad else DONE
