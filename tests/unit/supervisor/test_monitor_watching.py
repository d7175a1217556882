"""The monitor of a run that is older than its creched, in virtual time."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from supervisor.monitor.probes import Failure
from supervisor.monitor.types import Signal
from supervisor.monitor.watching import ContainerMonitor
from supervisor.workload.model import Settings
from supervisor.workload.parse import parse_settings
from tests.unit.supervisor.simulated import Script, SimulatedContainer


class Never:
    """A probe that always fails."""

    name = "never"

    async def probe(self) -> None:
        """At once."""
        raise Failure("no answer")


def settings(text: str) -> Settings:
    return parse_settings(text.encode(), "w")


@pytest.mark.parametrize(("age", "after"), [(0, 40), (25, 15), (3600, 10)])
async def test_the_start_period_is_that_of_the_run(
    autojump_clock: MockClock, age: float, after: float
) -> None:
    """It begins with the program, not with the creched that has adopted it: a program that hangs
    while creched is replaced gains no time."""
    container = SimulatedContainer("a", Script(), [])
    container.started_at = trio.current_time() - age
    text = "[health]\nexec = ['x']\ninterval = '5s'\nfailures = 3\nstart-period = '30s'\n"
    told: list[tuple[float, Signal]] = []
    began = trio.current_time()
    monitor = ContainerMonitor(settings(text), None, lambda probing: Never())
    with trio.move_on_after(100):
        await monitor.watch(
            container, lambda signal, why: told.append((trio.current_time() - began, signal))
        )

    assert told == [(after, Signal.UNHEALTHY)]
