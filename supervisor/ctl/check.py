"""`crechectl check DIR`: what creched would say about workload directories; it starts nothing."""

from __future__ import annotations

import argparse
import json
import os
from typing import Any

from supervisor.ctl.commands import DONE, FAILED, USAGE
from supervisor.ctl.problem import Problem


def run(options: argparse.Namespace) -> int:
    """Mistakes in the form FILE:LINE: KEY: MESSAGE."""
    from dataclasses import asdict

    from supervisor.directories.cycles import refuse_cycles
    from supervisor.network.checking import check
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
    networks, wrong = _networks(options.config)
    problems += wrong
    if networks is not None:
        found = list(check(good, networks))
        problems += found
        good = [each for each in good if not any(_is_of(each.directory, p.file) for p in found)]
    if options.json:
        document = {
            "good": [workload.name for workload in good],
            "problems": [asdict(each) for each in problems],
        }
        print(json.dumps(document, indent=2))
        return FAILED if problems else DONE
    for workload in good:
        print(f"{workload.name}: ok")
        for warning in workload.warnings:
            print(f"{workload.name}: warning: {warning}")
        for needed in sorted(workload.settings.workload.needed - there):
            print(f"{workload.name}: warning: there is no workload {needed}, which it waits for")
        names = [each.name for each in workload.settings.network if each.name is not None]
        for name in names if networks is None and not wrong else []:
            print(f"{workload.name}: warning: network {name} was not looked for (--config)")
    for problem in problems:
        print(problem)
    return FAILED if problems else DONE


def _is_of(directory: str, file: str) -> bool:
    return file.startswith(f"{directory}/")


def _networks(config: str | None) -> Any:
    """The networks of creched.toml, None if there is none; and what is wrong with it."""
    from supervisor.settings import DEFAULT, NETWORKS, read_settings
    from supervisor.workload.errors import WorkloadError

    beside = f"{os.path.dirname(DEFAULT)}/{NETWORKS}"
    if config is None and not os.path.exists(DEFAULT) and not os.path.exists(beside):
        return None, ()
    try:
        return read_settings(config).networks, ()
    except WorkloadError as error:
        return None, error.problems
    except OSError as error:
        raise Problem(f"--config: {config}: {error.strerror}", USAGE) from None
