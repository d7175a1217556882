"""[[alerts]]: programs that are told when something is wrong."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from supervisor.alerts.incidents import KINDS
from supervisor.workload import kinds
from supervisor.workload.schema import REQUIRED, Field, Section, Values, into


@dataclass(frozen=True, slots=True)
class Alert:
    """on: kinds of news. run: argument vector. Seconds."""

    on: tuple[str, ...]
    run: tuple[str, ...]
    timeout: float = 30.0
    settle: float = 60.0


def _rules(values: Values) -> Iterable[tuple[str, str]]:
    if not values["run"][0].startswith("/"):
        yield "run", f'expected an absolute path of a program, found "{values["run"][0]}"'
    if values["timeout"] <= 0:
        yield "timeout", "expected more than 0, found 0 s"


ALERTS = Section(
    "alerts",
    "A program on the host that is told when something goes wrong. An incident begins with the "
    "first failure and ends when the workload has been ready for `settle`; within one, each kind "
    "of news is told once. The program gets JSON on standard input: `alert` (the kind), "
    "`workload`, `event` (as in docs/events.md) and `last` (the last lines of output).",
    (
        Field(
            "on",
            kinds.list_of(kinds.one_of(*KINDS), 1),
            REQUIRED,
            "",
            "`failed`: a run ended as a failure; `gave-up`: it is not restarted any more; "
            "`unhealthy`; `watchdog`; `oom`; `recovered`: the incident is over.",
        ),
        Field(
            "run",
            kinds.list_of(kinds.TEXT, 1),
            REQUIRED,
            "",
            "The program, by an absolute path, and its arguments. Its environment holds PATH, "
            "`CRECHE_ALERT` and `CRECHE_WORKLOAD`.",
        ),
        Field(
            "timeout",
            kinds.DURATION,
            30.0,
            '"30s"',
            "Its deadline; then its whole process tree is killed.",
        ),
        Field(
            "settle",
            kinds.DURATION,
            60.0,
            '"1m"',
            "How long the workload has to be ready for the incident to be over.",
        ),
    ),
    make=into(Alert),
    repeated=True,
    live=True,
    rules=_rules,
)
