"""What a look at the directories leads to: a pure function of what runs and what was read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum

from supervisor.network.changes import NetworkAction, NetworkStep
from supervisor.workload.diff import KeyChange, changes, restarts
from supervisor.workload.directory import Reading
from supervisor.workload.errors import Problem
from supervisor.workload.model import Workload


class Action(StrEnum):
    """What is done about one workload."""

    ADD = "add"
    REMOVE = "remove"
    RESTART = "restart"
    APPLY = "apply"  # to what runs
    KEEP = "keep"  # as it is
    REFUSE = "refuse"  # there is nothing to keep


@dataclass(frozen=True, slots=True)
class Step:
    """One workload: what is done, because of which keys, or which mistakes.

    `renamed` is the name it had (with ADD) or has now (with REMOVE). `reading` is what was read.
    """

    name: str
    action: Action
    keys: tuple[KeyChange, ...] = ()
    problems: tuple[Problem, ...] = ()
    reason: str = ""
    renamed: str | None = None
    reading: Reading | None = None

    def to_json(self) -> dict[str, object]:
        """As JSON has it."""
        return {
            "workload": self.name,
            "action": self.action.value,
            "keys": [key.to_json() for key in self.keys],
            "problems": [asdict(problem) for problem in self.problems],
            "reason": self.reason or None,
            "renamed": self.renamed,
        }


@dataclass(frozen=True, slots=True)
class Plan:
    """Every step, by name; what needs nothing is not in it. `seen`: the names that were read."""

    steps: tuple[Step, ...] = ()
    seen: frozenset[str] = frozenset()
    networks: tuple[NetworkStep, ...] = ()
    """What creched.toml leads to, where that is looked at, too."""

    @property
    def changed(self) -> bool:
        """Whether anything that runs, or is to run, is touched."""
        return any(step.action not in (Action.KEEP, Action.REFUSE) for step in self.steps) or any(
            step.action is not NetworkAction.REFUSE for step in self.networks
        )

    @property
    def refused(self) -> bool:
        """Whether there are mistakes."""
        return any(step.problems for step in self.steps) or any(
            step.action is NetworkAction.REFUSE for step in self.networks
        )

    def to_json(self) -> dict[str, object]:
        """As JSON has it."""
        return {
            "changed": self.changed,
            "refused": self.refused,
            "steps": [step.to_json() for step in self.steps],
            "networks": [step.to_json() for step in self.networks],
        }


def decide(
    current: Mapping[str, Workload],
    readings: Mapping[str, Reading | None],
    rejected: Mapping[str, str],
) -> Plan:
    """From the workloads there are to those that were read (None: gone).

    `rejected` holds the digests of versions that failed their probation.
    """
    gone = {
        current[name].inode: name
        for name, reading in readings.items()
        if reading is None and name in current
    }
    steps = []
    for name in sorted(readings):
        step = _step(name, current.get(name), readings[name], rejected.get(name), gone)
        if step is not None:
            steps.append(step)
    moved = {step.renamed: step.name for step in steps if step.action is Action.ADD}
    return Plan(
        tuple(
            Step(step.name, step.action, renamed=moved[step.name])
            if step.action is Action.REMOVE and step.name in moved
            else step
            for step in steps
        ),
        frozenset(readings),
    )


def _step(
    name: str,
    old: Workload | None,
    reading: Reading | None,
    rejected: str | None,
    gone: Mapping[tuple[int, int], str],
) -> Step | None:
    if reading is None:
        return None if old is None else Step(name, Action.REMOVE)
    new = reading.workload
    if new is None:
        problems = () if reading.error is None else reading.error.problems
        action = Action.REFUSE if old is None else Action.KEEP
        return Step(name, action, problems=problems, reading=reading)
    if old is None:
        # A version that was kept may stand in for one with mistakes.
        problems = () if reading.error is None else reading.error.problems
        renamed = gone.get(new.inode)
        return Step(name, Action.ADD, problems=problems, renamed=renamed, reading=reading)
    if new.digest == rejected and new.digest != old.digest:
        reason = "this version has failed its probation; change its files to have it tried again"
        return Step(name, Action.KEEP, reason=reason)
    keys = changes(old, new)
    if keys:
        action = Action.RESTART if restarts(keys) else Action.APPLY
        return Step(name, action, keys, reading=reading)
    if new.digest != old.digest:
        return Step(name, Action.KEEP, reason="its files mean the same as before", reading=reading)
    return None
