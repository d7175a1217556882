"""`crechectl check DIR`: what creched would say about workload directories; it starts nothing."""

from __future__ import annotations

import argparse
import json

from supervisor.ctl.commands import DONE, FAILED, USAGE
from supervisor.ctl.problem import Problem


def run(options: argparse.Namespace) -> int:
    """Mistakes in the form FILE:LINE: KEY: MESSAGE."""
    from dataclasses import asdict

    from supervisor.directories.cycles import refuse_cycles
    from supervisor.workload.directory import Reading, read_all
    from supervisor.workload.errors import WorkloadError

    try:
        read, bad = read_all(options.dir, "/run/creche/.creched/rootfs")
    except WorkloadError as error:
        raise Problem(str(error), USAGE) from None
    there = {workload.name for workload in read} | {name for name, _ in bad}
    checked = refuse_cycles({}, {each.name: Reading(each.name, each) for each in read})
    good = [each for each in read if (reading := checked[each.name]) and reading.workload]
    bad += [(each.name, each.error) for each in checked.values() if each and each.error]
    bad.sort(key=lambda each: each[0])
    problems = [problem for _name, error in bad for problem in error.problems]
    if options.json:
        document = {
            "good": [workload.name for workload in good],
            "problems": [asdict(each) for each in problems],
        }
        print(json.dumps(document, indent=2))
        return FAILED if bad else DONE
    for workload in good:
        print(f"{workload.name}: ok")
        for warning in workload.warnings:
            print(f"{workload.name}: warning: {warning}")
        for needed in sorted(workload.settings.workload.needed - there):
            print(f"{workload.name}: warning: there is no workload {needed}, which it waits for")
    for problem in problems:
        print(problem)
    return FAILED if bad else DONE
