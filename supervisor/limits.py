"""Limits that change while a container runs: what is declared, and having it hold."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from runtime.errors import CrecheError
from runtime.lifecycle.container import Container
from runtime.lifecycle.limits import revise
from supervisor.containerlog import Log
from supervisor.workload import oci
from supervisor.workload.model import Workload

Limits = Mapping[str, Any]
"""Of `linux.resources`, as `oci.limits` has it."""


def declared(workload: Workload) -> Limits | None:
    """What creched may change of a container that runs; None: a `config.json` is its author's."""
    container = workload.settings.container
    return None if container is None else oci.limits(container)


def change(held: Container, old: Limits, new: Limits, log: Log) -> None:
    """Write what is another one; a warning, and all stays, where that cannot be."""
    wanted = {key: value for key, value in new.items() if value != old[key]}
    if not wanted or not held.state["cgroup"]:
        return
    try:
        lock = held.directory.hold("update")
        try:
            held.state["config"] = held.directory.load()["config"]  # after `creche update`
            revise(held, wanted)
            held.directory.save(held.state)
        finally:
            os.close(lock)
    except (CrecheError, OSError) as error:
        log.warning(f"its limits hold from the next start on: {error}")
