"""[restart]: when a container is started again."""

from __future__ import annotations

from collections.abc import Iterable

from supervisor.policy import Cause, OnLimit, Policy, Rule, Then, When
from supervisor.workload import kinds
from supervisor.workload.schema import REQUIRED, Field, Section, Values

CAUSES = tuple(cause for cause in Cause if cause not in (Cause.EXIT, Cause.SIGNAL))


def _make_rule(values: Values) -> Rule:
    return Rule(
        exit=frozenset(values["exit"]),
        signal=frozenset(values["signal"]),
        cause=frozenset(Cause(cause) for cause in values["cause"]),
        then=Then(values["then"]),
        delay=values["delay"],
    )


def _rule_rules(values: Values) -> Iterable[tuple[str, str]]:
    if not (values["exit"] or values["signal"] or values["cause"]):
        yield "then", "expected one of exit, signal and cause with it, found none"
    if values["delay"] is not None and values["then"] != Then.RESTART:
        yield "delay", f'goes together with then = "restart", found then = "{values["then"]}"'


def _make(values: Values) -> Policy:
    return Policy(
        when=When(values["policy"]),
        delay=values["delay"],
        factor=values["factor"],
        maximum=values["max"],
        delays=values["delays"],
        jitter=values["jitter"],
        reset_after=values["reset-after"],
        limit=values["limit"],
        window=values["window"],
        on_limit=OnLimit(values["on-limit"]),
        cooldown=values["cooldown"],
        command=values["command"],
        exit_status=values["exit-status"],
        success=frozenset(values["success"]),
        permanent=frozenset(values["permanent"]),
        rules=values["rules"],
    )


def _rules(values: Values) -> Iterable[tuple[str, str]]:
    if not values["delays"] and values["delay"] > values["max"]:
        yield (
            "delay",
            f"expected at most restart.max ({values['max']:g} s), found {values['delay']:g} s",
        )
    if values["limit"] and values["window"] == 0:
        yield "window", "expected more than 0 together with restart.limit, found 0"
    runs = values["on-limit"] == OnLimit.RUN
    if runs and not values["command"]:
        yield "on-limit", 'restart.command is missing, which on-limit = "run" runs'
    if values["command"] and not runs:
        yield "command", f'goes together with on-limit = "run", found "{values["on-limit"]}"'
    if values["command"] and not values["command"][0].startswith("/"):
        yield "command", f'expected an absolute path first, found "{values["command"][0]}"'


RULE = Section(
    "restart.rules",
    "One exception from `policy`. They are asked in order before everything else, and the first "
    "that holds decides: one of which any condition is true.",
    (
        Field(
            "exit",
            kinds.list_of(kinds.integer(0, 255)),
            (),
            "[]",
            "Exit statuses of a program that ended by itself.",
        ),
        Field(
            "signal",
            kinds.list_of(kinds.SIGNAL),
            (),
            "[]",
            "Signals of which it died, not sent by creched.",
        ),
        Field(
            "cause",
            kinds.list_of(kinds.one_of(*CAUSES)),
            (),
            "[]",
            "What else was the cause.",
        ),
        Field(
            "then",
            kinds.one_of(*Then),
            REQUIRED,
            "",
            "`restart` (`limit` holds all the same); `stop`: it is done, as with success; `fail`: "
            "it has failed for good; `escalate`: `on-limit` at once.",
        ),
        Field("delay", kinds.DURATION, None, "the usual one", "Delay, with `restart`."),
    ),
    repeated=True,
    live=True,
    make=_make_rule,
    rules=_rule_rules,
)

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
            "delays",
            kinds.list_of(kinds.DURATION),
            (),
            "[]",
            "The delays one by one, in place of `delay`, `factor` and `max`; the last one repeats.",
        ),
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
            "After a run in which it was ready for at least this long the delays begin anew.",
        ),
        Field(
            "limit",
            kinds.integer(0, 1_000_000),
            0,
            "0",
            "At most so many restarts within `window`; 0 sets no limit. Who starts or restarts it "
            "by hand gives it all of them anew, and the first delay.",
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
            kinds.one_of(*OnLimit),
            "fail",
            '"fail"',
            "What happens at the limit. `fail`: it has failed and stays so until it is reset or "
            "started by hand; `cooldown`: it gets a rest and is tried again; all others fail it "
            "and do more: `stop-group` stops its group, `run` runs a command, `stop-supervisor` "
            "stops every workload and then creched, `reboot` asks for a reboot (`reboot-command` "
            "of creched.toml).",
        ),
        Field("cooldown", kinds.DURATION, 600.0, '"10m"', "How long that rest is."),
        Field(
            "command",
            kinds.list_of(kinds.NONEMPTY),
            (),
            "[]",
            "The program of `run` (its absolute path) and its arguments. On standard input it gets "
            "the event as JSON; after 30 s it is killed, with all it has started.",
        ),
        Field(
            "exit-status",
            kinds.integer(0, 255),
            1,
            "1",
            "What creched exits with after `stop-supervisor`.",
        ),
        Field(
            "success",
            kinds.list_of(kinds.STATUS),
            (),
            "[]",
            "Exit statuses (0 to 255) and signals that count as success, besides exit status 0.",
        ),
        Field(
            "permanent",
            kinds.list_of(kinds.STATUS),
            (78, 125),
            "[78, 125]",
            "Exit statuses and signals after which it is never restarted, whatever `policy` says "
            "(78 is a configuration error to sysexits.h(3head), 125 a permanent failure to s6).",
        ),
    ),
    parts=(RULE,),
    live=True,
    make=_make,
    rules=_rules,
)
