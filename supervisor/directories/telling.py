"""What is reported about workload directories."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, replace

from supervisor.directories.generations import Generations
from supervisor.directories.plan import Action, Step
from supervisor.events import EventLog
from supervisor.groups import undeclared
from supervisor.workload.errors import Problem
from supervisor.workload.model import Workload
from supervisor.workload.source import Source


def loaded(log: EventLog, workload: Workload, groups: Collection[str]) -> None:
    """A workload is there. `groups`: those that are declared."""
    log.emit("workload-loaded", workload=workload.name, directory=workload.directory)
    _warnings(log, workload, groups)


def changed(
    log: EventLog, step: Step, old: Workload, new: Workload, groups: Collection[str]
) -> None:
    """Its files have changed. `groups`: those that are declared."""
    log.emit(
        "workload-changed",
        workload=new.name,
        action="none" if step.action is Action.KEEP else step.action.value,
        keys=[change.key for change in step.keys],
        generation=new.generation,
        before=old.generation,
    )
    _warnings(log, new, groups)


def outdated(log: EventLog, workload: Workload, before: int) -> None:
    """What runs was made from another version than is in use."""
    log.emit(
        "workload-changed",
        workload=workload.name,
        action="restart",
        keys=[],
        generation=workload.generation,
        before=before,
    )


def refused(log: EventLog, name: str, problems: tuple[Problem, ...], kept: bool) -> None:
    """Its files are not in order; `kept`: an earlier version of them stays."""
    for problem in problems:
        log.emit(
            "change-refused" if kept else "workload-refused",
            workload=name,
            **asdict(problem),
        )


def numbered(
    log: EventLog,
    generations: Generations | None,
    workload: Workload,
    source: Source | None,
    proven: bool,
) -> Workload:
    """The workload with its number, its files kept; it works without, and that is told."""
    if generations is None or source is None:
        return workload
    try:
        return replace(workload, generation=generations.take(workload.name, source, proven))
    except OSError as error:
        message = f"its files cannot be kept: {error.filename}: {error.strerror}"
        log.emit("workload-warning", workload=workload.name, message=message)
        return workload


def _warnings(log: EventLog, workload: Workload, groups: Collection[str]) -> None:
    for warning in (*workload.warnings, *undeclared(workload.settings.workload.group, groups)):
        log.emit("workload-warning", workload=workload.name, message=warning)
