"""`crechectl check DIR`: what creched would say about workload directories; it starts nothing."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from supervisor.ctl.commands import DONE, FAILED, USAGE
from supervisor.ctl.problem import Problem

if TYPE_CHECKING:
    from supervisor.settings import Settings
    from supervisor.workload import errors
    from supervisor.workload.model import Workload


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
    settings, wrong = _settings(options.config)
    problems += wrong
    if settings is not None:
        found = list(check(good, settings.networks))
        problems += found
        good = [each for each in good if not any(_is_of(each.directory, p.file) for p in found)]
    warnings = {each.name: list(_warnings(each, there, settings, bool(wrong))) for each in good}
    if options.json:
        document = {
            "good": [workload.name for workload in good],
            "warnings": {name: found for name, found in warnings.items() if found},
            "problems": [asdict(each) for each in problems],
        }
        print(json.dumps(document, indent=2))
        return FAILED if problems else DONE
    for workload in good:
        print(f"{workload.name}: ok")
        for warning in warnings[workload.name]:
            print(f"{workload.name}: warning: {warning}")
    for problem in problems:
        print(problem)
    return FAILED if problems else DONE


def _is_of(directory: str, file: str) -> bool:
    return file.startswith(f"{directory}/")


def _warnings(
    workload: Workload, there: Collection[str], settings: Settings | None, mistaken: bool
) -> Iterator[str]:
    """Of one that is in order. `mistaken`: there are settings, but nobody can read them."""
    from supervisor.groups import undeclared

    yield from workload.warnings
    for needed in sorted(workload.settings.workload.needed - set(there)):
        yield f"there is no workload {needed}, which it waits for"
    if settings is not None:
        yield from undeclared(workload.settings.workload.group, settings.groups)
    elif not mistaken:
        for network in workload.settings.network:
            if network.name is not None:
                yield f"network {network.name} was not looked for (--config)"


def _settings(config: str | None) -> tuple[Settings | None, tuple[errors.Problem, ...]]:
    """What creched.toml says, None if there is none; and what is wrong with it."""
    from supervisor.settings import DEFAULT, NETWORKS, read_settings
    from supervisor.workload.errors import WorkloadError

    beside = f"{os.path.dirname(DEFAULT)}/{NETWORKS}"
    if config is None and not os.path.exists(DEFAULT) and not os.path.exists(beside):
        return None, ()
    try:
        return read_settings(config), ()
    except WorkloadError as error:
        return None, error.problems
    except OSError as error:
        raise Problem(f"--config: {config}: {error.strerror}", USAGE) from None
