"""One run: creched on the simulated machine, through what the scenario has in store."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import Any

import trio
import trio.testing

from supervisor.events import EventLog
from supervisor.nursery import Nursery, Refused
from supervisor.record import MemoryRecords
from supervisor.workload.model import Workload
from tests.simulation.clocks import Clocks
from tests.simulation.machine import Engine, Machine
from tests.simulation.resume import resume
from tests.simulation.rules import Rules
from tests.simulation.scenario import HORIZON, Act, Scenario

PATIENCE = 3600.0
"""Simulated seconds after which a creched that was told to stop hangs."""
IMPATIENCE = 100.0
"""Simulated seconds that it is given before it is told again, which means at once."""


@dataclass
class Outcome:
    """What a run came to."""

    seed: int
    broken: list[str] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)


def simulate(seed: int, setting: bool = True) -> Outcome:
    """Run one seed to its end; the same seed gives the same events.

    setting: whether somebody sets the time of day, where the seed says so.
    """
    outcome = Outcome(seed)
    world = World(Scenario(seed), outcome, setting)
    # trio shuffles the tasks that are ready, so that nobody relies on their order. Here the
    # shuffle has to be that of the seed.
    core: Any = trio._core._run
    core._ALLOW_DETERMINISTIC_SCHEDULING = True
    core._r.seed(seed)
    trio.run(world.run, clock=trio.testing.MockClock(autojump_threshold=0))
    return outcome


class World:
    """The machine, creched and its surroundings in one run."""

    def __init__(self, scenario: Scenario, outcome: Outcome, setting: bool) -> None:
        self.scenario = scenario
        self.outcome = outcome
        self.clocks = Clocks()
        self.rules = Rules(self.clocks)
        self.machine = Machine(scenario.fate, self.rules.fail)
        self.records = MemoryRecords()
        self._setting = setting
        self._began = 0.0
        self._present = {workload.name: workload for workload in scenario.workloads}
        self._acts = list(scenario.acts)

    async def run(self) -> None:
        """Until all is over."""
        self._began = trio.current_time()
        async with trio.open_nursery() as self.machine.tasks:
            leaps = self.scenario.leaps
            self.machine.tasks.start_soon(self.clocks.follow, self._began, leaps, self._setting)
            with trio.move_on_after(HORIZON + PATIENCE) as limit:
                while await self._one_creched():
                    pass
            if limit.cancelled_caught:
                self.rules.fail("creched does not come to an end")
            self.machine.tasks.cancel_scope.cancel()
        self.rules.end(self.machine)
        self.outcome.broken = self.rules.broken
        self.outcome.events = self.rules.events

    async def _one_creched(self) -> bool:
        """From its start to its end; whether it was killed, so that another one has to follow."""
        log = EventLog(
            lambda level, event: self.rules.event(event),
            timestamp=self.clocks.time_of_day,
            monotonic=self.clocks.since_boot,
            boot="boot",
            run="run",
        )
        log.seq = len(self.rules.events)
        jitter = self.scenario.random.random
        nursery = Nursery(Engine(self.machine), log, jitter, self.records)
        for name in set(self.records.kept) - set(self._present):
            # Its directory has gone while nobody looked: a new creched removes what is left.
            self.machine.sweep(name)
            self.records.forget(name)
            self.rules.removed(name)
        left = await resume(self._present.values(), self.records, self.machine, self.rules.events)
        self.rules.begins()
        for workload in self._present.values():
            self.rules.workloads[workload.name] = workload
            nursery.add(workload, left.get(workload.name))
        killed = False
        async with trio.open_nursery() as tasks:
            tasks.start_soon(nursery.run, False)
            while self._acts and not killed:
                act = self._acts.pop(0)
                await trio.sleep_until(self._began + act.at)
                if act.what == "crash":
                    killed = self.machine.crashing = True
                    tasks.cancel_scope.cancel()
                else:
                    self._do(nursery, tasks, act)
            if not killed:
                await trio.sleep_until(self._began + HORIZON)
                nursery.stop_all("request", "the end")
                await trio.sleep(IMPATIENCE)
                nursery.stop_all("request", "the end")
        self.machine.crashing = False
        return killed

    def _do(self, nursery: Nursery, tasks: trio.Nursery, act: Act) -> None:
        name, workload = act.name, act.workload
        self.rules.asked.add(name)
        if act.what == "add":
            tasks.start_soon(self._add, nursery, workload)
            return
        if name not in self._present:
            return
        match act.what:
            case "start" | "restart":
                self.rules.down.pop(name, None)
                getattr(nursery, act.what)(name, "somebody")
            case "stop":
                nursery.stop(name, "somebody")
                self.rules.down[name] = self.clocks.since_boot()
            case "reset":
                nursery.reset(name, "somebody")
            case "kill":
                with contextlib.suppress(Refused):
                    nursery.kill(name, 9, "somebody")
            case "policy" | "change":
                assert workload is not None
                self._present[name] = workload
                self.rules.changed(workload)
                nursery.change(workload, restart=act.what == "change")
            case "remove":
                del self._present[name]
                tasks.start_soon(self._remove, nursery, name)

    async def _remove(self, nursery: Nursery, name: str) -> None:
        await nursery.remove(name)
        if name in self.machine.bodies and not self.machine.bodies[name].fate.delete_fails:
            self.rules.fail(f"{name} was removed, and its container is still there")
        self.rules.removed(name)

    async def _add(self, nursery: Nursery, workload: Workload | None) -> None:
        """Once nothing is left of one with that name, as the watcher of directories does it."""
        assert workload is not None
        while workload.name in nursery.keepers:
            if workload.name in self._present:
                return
            await trio.sleep(0.1)
        self._present[workload.name] = self.rules.workloads[workload.name] = workload
        nursery.add(workload)
