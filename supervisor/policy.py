"""Whether, and when, a container that has ended is started again: a pure function of its history.

No clock and no random source is used here: `now` (seconds on any steady clock) and `jitter` (a
number from 0 up to, not including, 1) are handed in, so that every answer can be reproduced.

The delay before restart number n of a series (n from 0) is
    min(max, delay * factor**n) * (1 - policy.jitter * jitter)
and a run that was ready for at least `reset_after` begins a new series. A restart due at time t is
refused when `limit` restarts already lie in (t - window, t]. The first start is no restart.
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
    """What giving up at the limit leads to."""

    FAIL = "fail"
    STOP_SUPERVISOR = "stop-supervisor"


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
class Policy:
    """The [restart] table. Times in seconds; `limit` 0 means none; signals in `success` negated."""

    when: When = When.ON_FAILURE
    delay: float = 1.0
    factor: float = 2.0
    maximum: float = 60.0
    jitter: float = 0.1
    reset_after: float = 60.0
    limit: int = 0
    window: float = 600.0
    on_limit: OnLimit = OnLimit.FAIL
    success: frozenset[int] = frozenset()


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
class GiveUp:
    """It has failed for good."""

    action: OnLimit
    reason: str
    limit_reached: bool = False


@dataclass(frozen=True, slots=True)
class Done:
    """It has ended for good, as it should."""

    reason: str


Decision = Restart | GiveUp | Done


def signal_name(number: int) -> str:
    """`SIGKILL` for 9; real-time signals by their distance from SIGRTMIN."""
    try:
        return signal.Signals(number).name
    except ValueError:
        if signal.SIGRTMIN < number < signal.SIGRTMAX:
            return f"SIGRTMIN+{number - signal.SIGRTMIN}"
        return f"signal {number}"


def succeeded(policy: Policy, ending: Ending) -> bool:
    """Whether this ending counts as success. Out of memory never does."""
    if ending.cause is Cause.EXIT and ending.code is not None:
        return ending.code == 0 or ending.code in policy.success
    if ending.cause is Cause.SIGNAL and ending.signal is not None:
        return -ending.signal in policy.success
    return False


def wants_restart(policy: Policy, ending: Ending) -> bool:
    """Whether the policy, its limit aside, starts again after this ending."""
    if policy.when is When.NEVER:
        return False
    if policy.when is When.ALWAYS:
        return True
    if succeeded(policy, ending):
        return False
    return policy.when is When.ON_FAILURE or ending.cause is not Cause.EXIT


def backoff(policy: Policy, series: int, jitter: float) -> float:
    """Delay in seconds before restart number `series` (from 0) of a series; never overflows."""
    base = min(policy.delay, policy.maximum)
    if base > 0:
        try:
            base = min(base * policy.factor**series, policy.maximum)
        except OverflowError:  # factor**series leaves the floats after a thousand restarts or so
            base = policy.maximum
    return base * (1.0 - policy.jitter * jitter)


def decide(policy: Policy, history: History, ending: Ending, now: float, jitter: float) -> Decision:
    """What to do after `ending`. Pure: same arguments, same answer."""
    said = ending.describe()
    if not wants_restart(policy, ending):
        if succeeded(policy, ending):
            return Done(said)
        return GiveUp(OnLimit.FAIL, f"{said}; restart policy is {policy.when}")
    series = 0 if ending.ready_for >= policy.reset_after else history.series
    after = backoff(policy, series, jitter)
    at = now + after
    recent = tuple(moment for moment in history.recent if moment > at - policy.window)
    if policy.limit and len(recent) >= policy.limit:
        times = "restart" if policy.limit == 1 else "restarts"
        return GiveUp(
            policy.on_limit,
            f"{said}; {policy.limit} {times} within {policy.window:g} s did not help",
            limit_reached=True,
        )
    kept = (*recent, at) if policy.limit else ()
    return Restart(after, at, History(series + 1, history.restarts + 1, kept), said)
