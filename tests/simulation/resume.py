"""What a new creched finds of the one that was killed, on the simulated machine."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, cast

from supervisor import adopt
from supervisor.adopted import AdoptedContainer
from supervisor.container import Exit
from supervisor.record import MemoryRecords, Resumed
from supervisor.workload.model import Workload
from tests.simulation.machine import Handle, Machine, Stage

_SAVED = {Stage.MAKING: "creating", Stage.CREATED: "created"}


class Found(Handle):
    """supervisor.adopted.AdoptedContainer: one that an earlier creched has made."""

    def __init__(self, machine: Machine, workload: Workload) -> None:
        body = machine.bodies[workload.name]
        super().__init__(machine, workload, body)
        self.saved = "deleting" if body.deleting else _SAVED.get(body.stage, "running")

    def ended_as(self, end: Exit) -> None:
        """Its record knows how it ended; the machine never forgets."""

    def warn(self, text: str) -> None:
        """What could not be removed: its fate."""


async def resume(
    workloads: Iterable[Workload],
    records: MemoryRecords,
    machine: Machine,
    events: Iterable[dict[str, Any]],
) -> dict[str, Resumed]:
    """How each workload stands, by supervisor/adopt.py."""
    containers = {
        workload.name: cast(AdoptedContainer, Found(machine, workload))
        for workload in workloads
        if workload.name in machine.bodies
    }
    told = adopt.Told((json.dumps(event).encode() for event in events), "boot")
    return await adopt.resume(containers, dict(records.kept), told)
