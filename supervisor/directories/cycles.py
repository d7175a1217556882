"""Workloads that would wait for themselves are mistakes, found when they are read. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from supervisor.order import graph
from supervisor.workload.directory import Reading
from supervisor.workload.errors import Problem, WorkloadError
from supervisor.workload.model import Workload
from supervisor.workload.source import SETTINGS


def refuse_cycles(
    current: Mapping[str, Workload], readings: Mapping[str, Reading | None]
) -> dict[str, Reading | None]:
    """The readings, those turned into mistakes that with the others make a cycle."""
    there = dict(current)
    for name, reading in readings.items():
        if reading is None:
            there.pop(name, None)
        elif reading.workload is not None:
            there[name] = reading.workload
    needs = {name: workload.settings.workload.needed for name, workload in there.items()}
    checked = dict(readings)
    for name, way in graph.cycles(needs).items():
        reading = readings.get(name)
        if reading is not None and reading.workload is not None:
            file = f"{reading.workload.directory}/{SETTINGS}"
            problem = Problem(file, "workload", f"waits for itself: {' -> '.join(way)}")
            checked[name] = Reading(name, None, reading.source, WorkloadError(problem))
    return checked
