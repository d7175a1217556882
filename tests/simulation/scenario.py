"""From a seed to workloads, what becomes of their runs, and what operators do meanwhile."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

from supervisor.container import Exit
from supervisor.monitor.types import Signal
from supervisor.order.needs import NEEDABLE, Need, Target
from supervisor.policy import Cause, Policy, When
from supervisor.workload.model import Settings, Workload
from supervisor.workload.sections.ready import Ready
from supervisor.workload.sections.stop import Stop
from supervisor.workload.sections.workload import Placement
from tests.simulation.clocks import leaps
from tests.simulation.machine import Fate

HORIZON = 400.0
"""Seconds of simulated time before everything is stopped."""

_EXITS = (
    Exit(code=0), Exit(code=0), Exit(code=1), Exit(code=78), Exit(signal=11, core=True),
    Exit(signal=9), Exit(signal=9, oom_kills=1), Exit(signal=15),
)  # fmt: skip


@dataclass(frozen=True)
class Act:
    """Something done from outside, `at` seconds after the start."""

    at: float
    what: str
    name: str = ""
    workload: Workload | None = None


class Scenario:
    """All of it, decided by the seed alone."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.random = random.Random(seed)
        names = [f"w{number}" for number in range(self.random.randint(1, 6))]
        self.calm = self.random.random()
        """How rarely things go wrong."""
        self.workloads = [self._workload(name, names[:place]) for place, name in enumerate(names)]
        self.acts = sorted(self._acts(), key=lambda act: act.at)
        self.leaps = leaps(seed, HORIZON)

    def fate(self, workload: Workload) -> Fate:
        """Of the next run of this workload."""
        chance = self.random
        fate = Fate(
            create=self._moment(), start=self._moment(), delete=self._moment(),
            life=None if chance.random() < self.calm / 2 else chance.choice((0.0, 1.0, 7.5, 61.0))
            + self._moment(),
            end=chance.choice(_EXITS),
            heeds=None if chance.random() < 0.1 else self._moment(),
        )  # fmt: skip
        if chance.random() > 0.8 + self.calm / 5:
            fate = replace(fate, create_fails=chance.choice((Cause.HOOK, Cause.SETUP)))
        if chance.random() > 0.85 + self.calm / 7:
            fate = replace(fate, start_fails=Cause.HOOK)
        return replace(fate, told=tuple(self._told(workload.settings)))

    def _moment(self) -> float:
        return self.random.choice((0.0, 0.0, 0.25, 3.0)) * self.random.random()

    def _told(self, settings: Settings) -> Iterator[tuple[float, Signal, str]]:
        """In order of time."""
        at = self._moment()
        if settings.ready.on == "start":
            return
        if self.random.random() < 0.9:
            yield at, Signal.READY, ""
        at += self.random.random() * 10
        if self.random.random() < 0.3:
            yield at, Signal.EXTEND, str(self.random.randrange(20_000_000))
        if self.random.random() > 0.6 + self.calm / 3:
            yield at, self.random.choice((Signal.UNHEALTHY, Signal.WATCHDOG)), "simulated"

    def _workload(self, name: str, earlier: list[str]) -> Workload:
        chance = self.random
        on = chance.choice(("start", "start", "notify"))
        needs = [
            Need(other, chance.choice(NEEDABLE)) for other in earlier if chance.random() < 0.25
        ]
        # What never completes is a poor thing to wait for: rare, and not required.
        after = tuple(need for need in needs if chance.random() < 0.5)
        requires = tuple(
            need for need in needs if need not in after and need.target is not Target.COMPLETED
        )
        settings = Settings(
            restart=self.policy(),
            stop=Stop(timeout=chance.choice((0.5, 5.0))),
            ready=Ready(on=on, timeout=chance.choice((0.0, 2.0, 30.0))),
            workload=Placement(
                start="manual" if chance.random() < 0.1 else "boot", after=after, requires=requires
            ),
        )
        return Workload(name, f"/workloads/{name}", settings, {})

    def policy(self) -> Policy:
        """Any."""
        chance = self.random
        delay = chance.choice((0.0, 0.1, 1.0, 5.0))
        return Policy(
            when=chance.choice(tuple(When)),
            delay=delay,
            factor=chance.choice((1.0, 2.0, 10.0)),
            maximum=chance.choice((delay, 10.0, 60.0)),
            jitter=chance.choice((0.0, 0.1, 1.0)),
            reset_after=chance.choice((5.0, 60.0)),
            limit=chance.choice((0, 0, 1, 3)),
            window=chance.choice((10.0, 120.0)),
            success=frozenset(chance.choice(((), (1,), (-15,)))),
        )

    def _acts(self) -> Iterator[Act]:
        chance = self.random
        last = 0.0
        for _ in range(chance.randrange(12)):
            workload = chance.choice(self.workloads)
            what = chance.choice(
                ("start", "stop", "restart", "kill", "reset", "policy", "change", "remove", "crash")
            )
            other = replace(workload, settings=replace(workload.settings, restart=self.policy()))
            # Often at one moment with something else.
            at = round(chance.random() * HORIZON, chance.choice((0, 3)))
            if what == "crash" and chance.random() < 0.7:
                at = last + chance.random() * 4  # in the middle of something
            last = at
            yield Act(at, what, workload.name, other if what in ("policy", "change") else None)
            if what == "remove" and chance.random() < 0.5:
                yield Act(at + chance.choice((0.0, 20.0)), "add", workload.name, other)
