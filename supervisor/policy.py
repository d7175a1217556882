"""Whether, and when, a container that has ended is started again: a pure function of its history.

No clock and no random source is used here: `now` (seconds on any steady clock) and `jitter` (a
number from 0 up to, not including, 1) are handed in, so that every answer can be reproduced.

The delay before restart number n of a series (n from 0) is
    min(max, delay * factor**n) * (1 - policy.jitter * jitter)
and a run that was ready for at least `reset_after` begins a new series. A restart due at time t is
refused when `limit` restarts already lie in (t - window, t]. The first start is no restart.

What is asked, in this order: the rules, of which the first that holds decides; whether the ending
is a permanent failure; `policy`; the limit. A cooldown begins the series and the window anew.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass
from enum import StrEnum


class When(StrEnum):
    """After which endings a container is started again."""

    NEVER = "never"
    ON_FAILURE = "on-failure"
    ON_ABNORMAL = "on-abnormal"
    ALWAYS = "always"


class OnLimit(StrEnum):
    """What follows when restarts have not helped."""

    FAIL = "fail"
    COOLDOWN = "cooldown"
    STOP_GROUP = "stop-group"
    RUN = "run"
    STOP_SUPERVISOR = "stop-supervisor"
    REBOOT = "reboot"


class Then(StrEnum):
    """What a rule says."""

    RESTART = "restart"
    STOP = "stop"
    FAIL = "fail"
    ESCALATE = "escalate"


class Cause(StrEnum):
    """Why a run ended; the word that stands in events."""

    EXIT = "exit"
    SIGNAL = "signal"
    OOM = "oom"
    UNHEALTHY = "unhealthy"
    WATCHDOG = "watchdog"
    START_TIMEOUT = "start-timeout"
    HOOK = "hook"
    SETUP = "setup"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Rule:
    """One of [[restart.rules]]. It holds for an ending of which one condition is true.

    `exit` and `signal` are what the program did by itself; how one ended that creched had to end
    is a matter of its cause.
    """

    exit: frozenset[int] = frozenset()
    signal: frozenset[int] = frozenset()
    cause: frozenset[Cause] = frozenset()
    then: Then = Then.RESTART
    delay: float | None = None

    def holds(self, ending: Ending) -> bool:
        """Whether this rule is about such an ending."""
        return (
            ending.cause in self.cause
            or (ending.cause is Cause.EXIT and ending.code in self.exit)
            or (ending.cause is Cause.SIGNAL and ending.signal in self.signal)
        )


@dataclass(frozen=True, slots=True)
class Policy:
    """The [restart] table. Times in seconds; `limit` 0 means none.

    Signals in `success` and `permanent` are negated. `delays`, if there are any, take the place of
    `delay`, `factor` and `maximum`.
    """

    when: When = When.ON_FAILURE
    delay: float = 1.0
    factor: float = 2.0
    maximum: float = 60.0
    delays: tuple[float, ...] = ()
    jitter: float = 0.1
    reset_after: float = 60.0
    limit: int = 0
    window: float = 600.0
    on_limit: OnLimit = OnLimit.FAIL
    cooldown: float = 600.0
    command: tuple[str, ...] = ()
    exit_status: int = 1
    success: frozenset[int] = frozenset()
    permanent: frozenset[int] = frozenset({78, 125})
    rules: tuple[Rule, ...] = ()


@dataclass(frozen=True, slots=True)
class Ending:
    """How one run ended. `code` or `signal` is set if there was a process that ended.

    `uptime` is seconds from the program's start, `ready_for` seconds from its being ready.
    """

    cause: Cause
    code: int | None = None
    signal: int | None = None
    core: bool = False
    oom_kills: int | None = None
    uptime: float = 0.0
    ready_for: float = 0.0
    text: str = ""

    def describe(self) -> str:
        """In words, for events and reasons."""
        if self.text:
            return self.text
        if self.code is not None:
            return f"exit status {self.code}"
        if self.signal is None:
            return "an ending of which the status is not known"
        name = signal_name(self.signal)
        if self.cause is Cause.OOM:
            return f"killed by {name} for lack of memory"
        return f"killed by {name}, core dumped" if self.core else f"killed by {name}"


@dataclass(frozen=True, slots=True)
class History:
    """What has to be remembered: length of the series, all restarts, those still in the window."""

    series: int = 0
    restarts: int = 0
    recent: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Restart:
    """Start it again `after` seconds from now, that is `at`; `history` is then the history."""

    after: float
    at: float
    history: History
    reason: str


@dataclass(frozen=True, slots=True)
class CoolDown:
    """It has failed too often: rest `after` seconds, until `at`, and begin anew with `history`."""

    after: float
    at: float
    history: History
    reason: str


@dataclass(frozen=True, slots=True)
class GiveUp:
    """It has failed and stays so; `action` follows. `limit_reached`: restarts were tried."""

    action: OnLimit
    reason: str
    limit_reached: bool = False


@dataclass(frozen=True, slots=True)
class Done:
    """It has ended for good, as it should."""

    reason: str


Decision = Restart | CoolDown | GiveUp | Done


def signal_name(number: int) -> str:
    """`SIGKILL` for 9; real-time signals by their distance from SIGRTMIN."""
    try:
        return signal.Signals(number).name
    except ValueError:
        if signal.SIGRTMIN < number < signal.SIGRTMAX:
            return f"SIGRTMIN+{number - signal.SIGRTMIN}"
        return f"signal {number}"


def _among(statuses: frozenset[int], ending: Ending) -> bool:
    if ending.cause is Cause.EXIT and ending.code is not None:
        return ending.code in statuses
    if ending.cause is Cause.SIGNAL and ending.signal is not None:
        return -ending.signal in statuses
    return False


def succeeded(policy: Policy, ending: Ending) -> bool:
    """Whether this ending counts as success. Out of memory, or being ended by creched, never does.

    A success that is named goes before a permanent failure.
    """
    return (ending.cause is Cause.EXIT and ending.code == 0) or _among(policy.success, ending)


def wants_restart(policy: Policy, ending: Ending) -> bool:
    """Whether the policy, its rules and limit aside, starts again after this ending."""
    if policy.when is When.NEVER:
        return False
    if policy.when is When.ALWAYS:
        return True
    if succeeded(policy, ending):
        return False
    return policy.when is When.ON_FAILURE or ending.cause is not Cause.EXIT


def backoff(policy: Policy, series: int, jitter: float) -> float:
    """Delay in seconds before restart number `series` (from 0) of a series; never overflows."""
    if policy.delays:
        base = policy.delays[min(series, len(policy.delays) - 1)]
    else:
        base = min(policy.delay, policy.maximum)
        if base > 0:
            try:
                base = min(base * policy.factor**series, policy.maximum)
            except OverflowError:  # factor**series leaves the floats after a thousand or so
                base = policy.maximum
    return base * (1.0 - policy.jitter * jitter)


def decide(policy: Policy, history: History, ending: Ending, now: float, jitter: float) -> Decision:
    """What to do after `ending`. Pure: same arguments, same answer."""
    said = ending.describe()
    for number, rule in enumerate(policy.rules):
        if rule.holds(ending):
            return _by_rule(policy, history, ending, now, jitter, number)
    if _among(policy.permanent, ending) and not succeeded(policy, ending):
        return GiveUp(OnLimit.FAIL, f"{said}, which is permanent")
    if not wants_restart(policy, ending):
        if succeeded(policy, ending):
            return Done(said)
        return GiveUp(OnLimit.FAIL, f"{said}; restart policy is {policy.when}")
    return _again(policy, history, ending, now, jitter, None, said)


def _by_rule(
    policy: Policy, history: History, ending: Ending, now: float, jitter: float, number: int
) -> Decision:
    rule = policy.rules[number]
    said = f"{ending.describe()}; restart.rules[{number}] says {rule.then}"
    match rule.then:
        case Then.RESTART:
            return _again(policy, history, ending, now, jitter, rule.delay, said)
        case Then.STOP:
            return Done(said)
        case Then.FAIL:
            return GiveUp(OnLimit.FAIL, said)
        case Then.ESCALATE:
            return _escalate(policy, history, now, said)


def _again(
    policy: Policy,
    history: History,
    ending: Ending,
    now: float,
    jitter: float,
    delay: float | None,
    said: str,
) -> Decision:
    """A restart, if there have not been too many; `delay` of a rule in place of the policy's."""
    series = 0 if ending.ready_for >= policy.reset_after else history.series
    after = backoff(policy, series, jitter) if delay is None else delay
    at = now + after
    recent = tuple(moment for moment in history.recent if moment > at - policy.window)
    if policy.limit and len(recent) >= policy.limit:
        times = "restart" if policy.limit == 1 else "restarts"
        said = f"{said}; {policy.limit} {times} within {policy.window:g} s did not help"
        return _escalate(policy, history, now, said)
    kept = (*recent, at) if policy.limit else ()
    return Restart(after, at, History(series + 1, history.restarts + 1, kept), said)


def _escalate(policy: Policy, history: History, now: float, said: str) -> CoolDown | GiveUp:
    if policy.on_limit is OnLimit.COOLDOWN:
        at = now + policy.cooldown
        return CoolDown(policy.cooldown, at, History(0, history.restarts + 1), said)
    return GiveUp(policy.on_limit, said, limit_reached=True)
