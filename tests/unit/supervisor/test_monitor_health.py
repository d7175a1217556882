"""supervisor/monitor/health.py: thresholds and the start period."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from supervisor.monitor.health import Health, Thresholds, Verdict
from supervisor.monitor.types import Signal

RESULTS = st.lists(st.booleans(), max_size=60)


def told(health: Health, results: str, age: float = 100.0) -> list[Signal | None]:
    """What becomes of `+` and `-`."""
    return [health.result(result == "+", age) for result in results]


def test_three_failures_in_a_row() -> None:
    """Two and a success are nothing; a fourth failure is no news."""
    health = Health(Thresholds(failures=3))

    assert told(health, "--+--") == [None, None, Signal.HEALTHY, None, None]
    assert told(health, "--") == [Signal.UNHEALTHY, None]
    assert health.verdict is Verdict.UNHEALTHY


def test_successes_in_a_row() -> None:
    """As many as are asked for, also to come back."""
    health = Health(Thresholds(failures=1, successes=2))

    assert told(health, "+-++") == [None, Signal.UNHEALTHY, None, Signal.HEALTHY]


def test_the_start_period() -> None:
    """Failures do not count in it, until the first success."""
    health = Health(Thresholds(start_period=10, failures=2))
    assert told(health, "-----", age=9.9) == [None] * 5
    assert told(health, "--", age=10) == [None, Signal.UNHEALTHY]

    early = Health(Thresholds(start_period=10, failures=2))
    assert told(early, "-+--", age=1) == [None, Signal.HEALTHY, None, Signal.UNHEALTHY]


@given(RESULTS, st.integers(1, 5), st.integers(1, 5))
def test_verdicts(results: list[bool], failures: int, successes: int) -> None:
    """Told exactly when it changes; never without the threshold's worth of equal results."""
    health = Health(Thresholds(failures=failures, successes=successes))
    verdict = Verdict.STARTING
    for index, passed in enumerate(results):
        signal = health.result(passed, 1.0)
        assert (signal is not None) == (health.verdict is not verdict)
        verdict = health.verdict
        needed = successes if passed else failures
        streak = results[index + 1 - needed : index + 1]
        in_a_row = index + 1 >= needed and set(streak) == {passed}
        if signal is not None:
            assert in_a_row
            assert signal is (Signal.HEALTHY if passed else Signal.UNHEALTHY)
        if in_a_row:
            assert verdict is (Verdict.HEALTHY if passed else Verdict.UNHEALTHY)


@given(RESULTS, st.floats(0, 100))
def test_failures_alone_in_the_start_period_never_condemn(results: list[bool], age: float) -> None:
    """However many."""
    health = Health(Thresholds(start_period=age + 0.001, failures=1))
    for _ in results:
        health.result(False, age)
    assert health.verdict is Verdict.STARTING
