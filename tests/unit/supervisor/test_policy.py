"""The restart policy: a pure function, so its promises are checked over all of its arguments."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor import policy
from supervisor.policy import Cause, Done, Ending, GiveUp, History, OnLimit, Policy, Restart, When

times = st.floats(0, 1e9, allow_nan=False)
fractions = st.floats(0, 1, allow_nan=False)
jitters = st.floats(0, 1, exclude_max=True, allow_nan=False)
policies = st.builds(
    Policy,
    when=st.sampled_from(When),
    delay=times,
    delays=st.lists(times, max_size=3).map(tuple).filter(lambda d: list(d) == sorted(d)),
    factor=st.floats(1, 100),
    maximum=times,
    jitter=fractions,
    reset_after=times,
    limit=st.integers(0, 5),
    window=times,
    on_limit=st.sampled_from(OnLimit),
    success=st.frozensets(st.integers(-31, 255)),
)
endings = st.one_of(
    st.builds(Ending, st.just(Cause.EXIT), st.integers(0, 255), uptime=times),
    st.builds(
        Ending,
        st.sampled_from([Cause.SIGNAL, Cause.OOM]),
        st.none(),
        st.integers(1, 31),
        st.booleans(),
        uptime=times,
    ),
    st.builds(
        Ending, st.sampled_from([Cause.HOOK, Cause.SETUP, Cause.UNKNOWN]), text=st.just("so")
    ),
)
histories = st.builds(
    History,
    st.integers(0, 10**9),
    st.integers(0, 10**9),
    st.lists(times, max_size=5).map(lambda moments: tuple(sorted(moments))),
)

EXIT_0 = Ending(Cause.EXIT, 0)
EXIT_3 = Ending(Cause.EXIT, 3)
KILLED = Ending(Cause.SIGNAL, signal=9)
OOM = Ending(Cause.OOM, signal=9, oom_kills=1)
HOOK = Ending(Cause.HOOK, text="a hook failed")
UNKNOWN = Ending(Cause.UNKNOWN)


@given(policies, histories, endings, times, jitters)
def test_decides_always_and_alike(
    rules: Policy, history: History, ending: Ending, now: float, jitter: float
) -> None:
    """Whatever comes there is an answer, the same one each time, with a finite delay in bounds."""
    decision = policy.decide(rules, history, ending, now, jitter)

    assert decision == policy.decide(rules, history, ending, now, jitter)
    assert decision.reason
    if isinstance(decision, Restart):
        assert math.isfinite(decision.after)
        assert 0 <= decision.after <= max(rules.delays, default=rules.maximum)
        assert decision.at == now + decision.after
        assert decision.history.restarts == history.restarts + 1


@given(policies, st.integers(0, 10**6), jitters)
def test_delay_grows_to_its_maximum(rules: Policy, series: int, jitter: float) -> None:
    """Each delay of a series is at least the one before, whatever the numbers."""
    assert policy.backoff(rules, series, jitter) <= policy.backoff(rules, series + 1, jitter)


@given(policies, st.integers(0, 10**6), jitters)
def test_jitter_only_shortens(rules: Policy, series: int, jitter: float) -> None:
    """Jitter takes at most its part off the delay."""
    full = policy.backoff(rules, series, 0.0)

    assert full * (1 - rules.jitter) <= policy.backoff(rules, series, jitter) <= full


@given(
    st.lists(st.floats(0, 100), min_size=1, max_size=60),
    st.integers(1, 5),
    st.floats(0.001, 200),
    st.floats(0, 5),
)
def test_never_more_than_limit_restarts_in_any_window(
    uptimes: list[float], limit: int, window: float, delay: float
) -> None:
    """Over a whole life: in no stretch of `window` seconds lie more than `limit` restarts, and it
    gives up only if one more would have been too many."""
    rules = Policy(When.ALWAYS, delay=delay, limit=limit, window=window, jitter=0.0)
    restarts: list[float] = []
    history, now = History(), 0.0
    for uptime in uptimes:
        now += uptime
        decision = policy.decide(rules, history, Ending(Cause.EXIT, 1, ready_for=uptime), now, 0.0)
        if isinstance(decision, GiveUp):
            at = now + policy.backoff(
                rules, 0 if uptime >= rules.reset_after else history.series, 0.0
            )
            assert sum(moment > at - window for moment in restarts) == limit
            return
        assert isinstance(decision, Restart)
        history, now = decision.history, decision.at
        restarts.append(now)
        assert sum(moment > now - window for moment in restarts) <= limit


def test_backoff_doubles_to_the_maximum_and_resets_after_a_healthy_run() -> None:
    """The formula in the documentation, by example."""
    rules = Policy(delay=1.0, factor=2.0, maximum=10.0, jitter=0.0, reset_after=60.0)
    history, now, delays = History(), 0.0, []
    for uptime in (0, 0, 0, 0, 0, 59.9, 60.0, 0):
        decision = policy.decide(
            rules, history, Ending(Cause.EXIT, 1, ready_for=uptime), now := now + uptime, 0.0
        )
        assert isinstance(decision, Restart)
        delays.append(decision.after)
        history = decision.history

    assert delays == [1, 2, 4, 8, 10, 10, 1, 2]
    assert history.restarts == 8
    assert history.series == 2


def test_factor_one_keeps_the_delay() -> None:
    """A fixed delay is a factor of 1."""
    rules = Policy(delay=5.0, factor=1.0, maximum=60.0, jitter=0.0)

    assert {policy.backoff(rules, series, 0.0) for series in range(100)} == {5.0}


@pytest.mark.parametrize("series", [0, 1, 1023, 1024, 10**6, 10**18])
def test_backoff_does_not_overflow(series: int) -> None:
    """2.0**1024 is no float any more."""
    rules = Policy(delay=1.0, factor=2.0, maximum=60.0, jitter=0.0)

    assert policy.backoff(rules, series, 0.0) == (min(2.0**series, 60.0) if series < 9 else 60.0)
    assert policy.backoff(Policy(delay=0.0, jitter=0.0), series, 0.0) == 0.0


R, D, G = Restart, Done, GiveUp


@pytest.mark.parametrize(
    ("when", "answers"),
    [
        #                    exit 0  exit 3  killed  oom  hook  unknown
        (When.NEVER, (D, G, G, G, G, G)),
        (When.ON_FAILURE, (D, R, R, R, R, R)),
        (When.ON_ABNORMAL, (D, G, R, R, R, R)),
        (When.ALWAYS, (R, R, R, R, R, R)),
    ],
)
def test_policies_by_ending(when: When, answers: tuple[type, ...]) -> None:
    """The table of policies and endings."""
    found = [
        type(policy.decide(Policy(when), History(), ending, 0.0, 0.0))
        for ending in (EXIT_0, EXIT_3, KILLED, OOM, HOOK, UNKNOWN)
    ]

    assert found == list(answers)


def test_success_statuses_and_signals() -> None:
    """Statuses and signals that are named count as success; being out of memory never does."""
    rules = Policy(success=frozenset({3, -9}))

    assert policy.succeeded(rules, EXIT_3)
    assert policy.succeeded(rules, KILLED)
    assert policy.succeeded(rules, EXIT_0)
    assert not policy.succeeded(rules, OOM)
    assert not policy.succeeded(rules, Ending(Cause.SIGNAL, signal=3))
    assert not policy.succeeded(rules, Ending(Cause.EXIT, 9))


def test_giving_up_says_why_and_what_follows() -> None:
    """The reason holds the last ending and the limit."""
    rules = Policy(limit=2, window=60.0, on_limit=OnLimit.STOP_SUPERVISOR, jitter=0.0)
    history = History(2, 2, (1.0, 2.0))

    assert policy.decide(rules, history, EXIT_3, 3.0, 0.0) == GiveUp(
        OnLimit.STOP_SUPERVISOR,
        "exit status 3; 2 restarts within 60 s did not help",
        limit_reached=True,
    )
    assert policy.decide(Policy(When.NEVER), History(), KILLED, 0.0, 0.0) == GiveUp(
        OnLimit.FAIL, "killed by SIGKILL; restart policy is never"
    )


def test_endings_in_words() -> None:
    """As they stand in events."""
    assert OOM.describe() == "killed by SIGKILL for lack of memory"
    assert Ending(Cause.SIGNAL, signal=11, core=True).describe() == "killed by SIGSEGV, core dumped"
    assert Ending(Cause.SIGNAL, signal=37).describe() == "killed by SIGRTMIN+3"
    assert Ending(Cause.SIGNAL, signal=99).describe() == "killed by signal 99"
