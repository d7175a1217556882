"""Runs of the simulation (tests/simulation), and proof that it would notice."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime

import pytest
import trio

from supervisor import adopt, policy
from supervisor.events import EventLog
from supervisor.keeper import Keeper
from supervisor.ordering import Ordering
from tests.simulation.run import simulate
from tests.support.events import check

SEEDS = int(os.environ.get("CRECHE_SEEDS", "240"))
"""How many are run here; `python -m tests.simulation` runs thousands."""
_PARTS = 8


@pytest.mark.parametrize("part", range(_PARTS))
def test_no_rule_is_broken(part: int) -> None:
    """Whatever happens, in whatever order."""
    for seed in range(part, SEEDS, _PARTS):
        outcome = simulate(seed)

        assert outcome.broken == [], f"python -m tests.simulation --seed {seed}"
        if seed < 5 * _PARTS:
            check(outcome.events)


def test_a_seed_replays() -> None:
    """The same seed, the same events."""
    first, second = simulate(7), simulate(7)

    assert first.events == second.events
    assert len(first.events) > 10


def _untimed(seed: int, setting: bool) -> list[dict[str, object]]:
    events = simulate(seed, setting).events
    return [{key: value for key, value in e.items() if key != "timestamp"} for e in events]


def test_only_timestamps_depend_on_the_time_of_day() -> None:
    """Whoever sets the clock changes nothing else of what happens."""
    for seed in range(40):
        assert _untimed(seed, True) == _untimed(seed, False)
    times = [[e["timestamp"] for e in simulate(7, setting).events] for setting in (True, False)]
    assert times[0] != times[1]


def _by_the_calendar(log: EventLog) -> float:
    return datetime.fromisoformat(log._timestamp()).timestamp()


def _asleep(log: EventLog) -> float:
    return trio.current_time()


def _hasty(*_: object) -> float:
    return 0.0


def _always(*_: object) -> bool:
    return True


def _nothing(*_: object) -> tuple[str, ...]:
    return ()


def _forgetful(keeper: Keeper) -> None:
    keeper.intent = type(keeper.intent).NONE


@pytest.mark.parametrize(
    ("where", "name", "mistake", "said"),
    [
        (policy, "backoff", _hasty, "delay"),
        (adopt, "_half_done", _always, "ends and"),
        (Ordering, "waiting_for", _nothing, "is started, but"),
        (Keeper, "save", _forgetful, "stopped by hand"),
        (EventLog, "now", _by_the_calendar, "due at"),
        (EventLog, "now", _asleep, "due at"),
    ],
)
def test_it_notices(
    monkeypatch: pytest.MonkeyPatch,
    where: object,
    name: str,
    mistake: Callable[..., object],
    said: str,
) -> None:
    """With a mistake in creched, some seed breaks the rule that the mistake is about."""
    monkeypatch.setattr(where, name, mistake)

    assert any(said in text for seed in range(60) for text in simulate(seed).broken)
