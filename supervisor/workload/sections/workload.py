"""[workload]: when a workload is started, and its place among the others."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from supervisor.order.needs import NEEDABLE, Need, Target
from supervisor.workload import kinds
from supervisor.workload.kinds import Kind
from supervisor.workload.schema import Field, Section, Values


@dataclass(frozen=True, slots=True)
class Placement:
    """`start`: `boot` or `manual`. `after` it waits for, `requires` it cannot be without."""

    start: str = "boot"
    after: tuple[Need, ...] = ()
    requires: tuple[Need, ...] = ()
    group: str | None = None

    @property
    def needed(self) -> frozenset[str]:
        """Names of all that it waits for."""
        return frozenset(need.name for need in (*self.after, *self.requires))


def _need(value: object) -> Need:
    name, colon, target = str(value).partition(":")
    found = Target(target) if colon else Target.READY
    if not isinstance(value, str) or found not in NEEDABLE:
        raise ValueError
    return Need(kinds.workload_name(name), found)


NEED = Kind(
    'the name of a workload, or "NAME:TARGET" where TARGET is one of ' + ", ".join(NEEDABLE), _need
)


def _make(values: Values) -> Placement:
    return Placement(values["start"], values["after"], values["requires"], values["group"])


def _rules(values: Values) -> Iterable[tuple[str, str]]:
    for key in ("after", "requires"):
        names = [need.name for need in values[key]]
        for name in {name for name in names if names.count(name) > 1}:
            yield key, f"{name} is there more than once"


WORKLOAD = Section(
    "workload",
    "When it is started, and its place among the others.",
    (
        Field(
            "start",
            kinds.one_of("boot", "manual"),
            "boot",
            '"boot"',
            "`boot`: when creched starts; `manual`: by hand only.",
        ),
        Field(
            "after",
            kinds.list_of(NEED),
            (),
            "[]",
            "Workloads that start first. It waits until they have come so far, by default to "
            "`ready`, or have ended without.",
        ),
        Field(
            "requires",
            kinds.list_of(NEED),
            (),
            "[]",
            "The same, and it does not run without them: it waits for as long as one of them "
            "has not come so far, and is stopped when one ends for good.",
        ),
        Field(
            "group",
            kinds.NAME,
            None,
            "none",
            "Its group: `[groups.NAME]` of creched.toml; without such a table there is a warning.",
        ),
    ),
    live=True,
    make=_make,
    rules=_rules,
)
