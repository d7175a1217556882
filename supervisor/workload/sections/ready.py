"""[ready]: when a container that has been started counts as ready."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from supervisor.workload import kinds
from supervisor.workload.schema import Field, Section, Values, into


@dataclass(frozen=True, slots=True)
class Ready:
    """on: `start`, `notify`, `probe` or `delay`. Seconds; timeout 0: there is none."""

    on: str = "start"
    delay: float = 0.0
    timeout: float = 90.0


def _rules(values: Values) -> Iterable[tuple[str, str]]:
    if values["on"] == "delay" and not values["delay"]:
        yield "delay", 'expected more than 0 together with ready.on = "delay", found 0'
    if values["on"] != "delay" and values["delay"]:
        yield "delay", f'goes together with ready.on = "delay", found ready.on = "{values["on"]}"'
    if values["on"] == "delay" and 0 < values["timeout"] <= values["delay"]:
        yield "timeout", f"expected more than ready.delay ({values['delay']:g} s)"


READY = Section(
    "ready",
    "When a container that has been started counts as ready: what waits for it waits for that.",
    (
        Field(
            "on",
            kinds.one_of("start", "notify", "probe", "delay"),
            "start",
            '"start"',
            "`start`: once its program runs; `notify`: when it says `READY=1` on the socket named "
            "by `NOTIFY_SOCKET` (sd_notify(3)); `probe`: when `[health]` finds it healthy; "
            "`delay`: after `delay`.",
        ),
        Field(
            "delay", kinds.DURATION, 0.0, '"0s"', "How long after its start, with `delay`.", True
        ),
        Field(
            "timeout",
            kinds.DURATION,
            90.0,
            '"90s"',
            "If it is not ready by then it is ended, as a failure (`start-timeout`); 0 waits for "
            "ever. `EXTEND_TIMEOUT_USEC` on the notify socket gives it longer.",
            live=True,
        ),
    ),
    make=into(Ready),
    rules=_rules,
)
