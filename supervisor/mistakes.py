"""Workload directories that are not in order: what is known of each, and how it stands then."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from supervisor.machine import Result, Status
from supervisor.record import Record, Resumed
from supervisor.status import WorkloadStatus
from supervisor.workload.errors import Problem


@dataclass(frozen=True, slots=True)
class Mistakes:
    """What is wrong with one directory, and since when (seconds since boot) that is known."""

    directory: str
    problems: tuple[Problem, ...]
    since: float

    def __str__(self) -> str:
        first, *others = self.problems
        return f"{first} (and {len(others)} more)" if others else str(first)


def problems(mistakes: Mapping[str, Mistakes], name: str) -> tuple[Problem, ...]:
    """Of the workload `name`."""
    found = mistakes.get(name)
    return () if found is None else found.problems


def status(name: str, mistakes: Mistakes, left: Resumed | None) -> WorkloadStatus:
    """How a workload stands of which no version can be used.

    `left`: as an earlier creched has left it. A container of that time runs on, and is stopped by
    nobody before the directory is in order or has gone.
    """
    record = Record(name) if left is None else left.record
    container = None if left is None else left.container
    why = str(mistakes)
    if container is not None:
        why += "; its container is left as it is"
    return WorkloadStatus(
        name=name,
        state=Status.REFUSED.value,
        status=Status.REFUSED.value,
        result=Result.NONE.value,
        ready=False,
        health=None,
        status_text="",
        container=None if container is None else container.id,
        pid=None if container is None else container.pid,
        attempt=record.attempt,
        restarts=record.history.restarts,
        series=record.history.series,
        window_used=0,
        limit=0,
        next_attempt_at=None,
        why=why,
        intent=record.intent.value,
        start="",
        group=None,
        after=(),
        waiting_for=(),
        since=mistakes.since,
        started_at=None if container is None else record.started_at,
        exit=record.ending,
        generation=record.generation,
        directory=mistakes.directory,
        policy="",
        problems=mistakes.problems,
    )
