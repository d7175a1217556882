"""[restart]: when a container is started again."""

from __future__ import annotations

from collections.abc import Iterable

from supervisor.policy import OnLimit, Policy, When
from supervisor.workload import kinds
from supervisor.workload.schema import Field, Section, Values


def _make(values: Values) -> Policy:
    return Policy(
        when=When(values["policy"]),
        delay=values["delay"],
        factor=values["factor"],
        maximum=values["max"],
        jitter=values["jitter"],
        reset_after=values["reset-after"],
        limit=values["limit"],
        window=values["window"],
        on_limit=OnLimit(values["on-limit"]),
        success=frozenset(values["success"]),
    )


def _rules(values: Values) -> Iterable[tuple[str, str]]:
    if values["delay"] > values["max"]:
        yield (
            "delay",
            f"expected at most restart.max ({values['max']:g} s), found {values['delay']:g} s",
        )
    if values["limit"] and values["window"] == 0:
        yield "window", "expected more than 0 together with restart.limit, found 0"


RESTART = Section(
    "restart",
    "When the container is started again after it has ended.",
    (
        Field(
            "policy",
            kinds.one_of("never", "on-failure", "on-abnormal", "always"),
            "on-failure",
            '"on-failure"',
            "`never`; `on-failure`: after any ending that is no success; `on-abnormal`: after a "
            "signal, an out-of-memory kill, or a container that could not be set up, but not "
            "after an exit status; `always`.",
        ),
        Field("delay", kinds.DURATION, 1.0, '"1s"', "Delay before the first restart of a series."),
        Field(
            "factor",
            kinds.number(1, 100),
            2.0,
            "2",
            "Each further delay is the one before times this; 1 keeps the delay fixed.",
        ),
        Field("max", kinds.DURATION, 60.0, '"1m"', "No delay is longer than this."),
        Field(
            "jitter",
            kinds.number(0, 1),
            0.1,
            "0.1",
            "Part of each delay that is random, so that many workloads do not come back at once: "
            "0 none, 1 anything from nothing to the whole delay.",
        ),
        Field(
            "reset-after",
            kinds.DURATION,
            60.0,
            '"1m"',
            "After a run of at least this length the delays begin anew.",
        ),
        Field(
            "limit",
            kinds.integer(0, 1_000_000),
            0,
            "0",
            "At most so many restarts within `window`; 0 sets no limit.",
        ),
        Field(
            "window",
            kinds.DURATION,
            600.0,
            '"10m"',
            "The length of time over which `limit` counts.",
        ),
        Field(
            "on-limit",
            kinds.one_of("fail", "stop-supervisor"),
            "fail",
            '"fail"',
            "What happens at the limit: the workload has failed and stays so, or creched stops "
            "every workload and exits with status 1.",
        ),
        Field(
            "success",
            kinds.list_of(kinds.STATUS),
            (),
            "[]",
            "Exit statuses (0 to 255) and signals that count as success, besides exit status 0.",
        ),
    ),
    live=True,
    make=_make,
    rules=_rules,
)
