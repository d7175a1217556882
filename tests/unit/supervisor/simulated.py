"""A simulated container: it takes virtual time, fails and dies as its script says."""

from __future__ import annotations

import itertools
import signal
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio
from trio.testing import wait_all_tasks_blocked

from supervisor.container import Container, ContainerError, Exit, Report
from supervisor.events import EventLog
from supervisor.groups import Group
from supervisor.monitor.types import Monitor, Signal, Tell
from supervisor.nursery import Nursery
from supervisor.policy import Cause, Policy
from supervisor.record import MemoryRecords
from supervisor.workload.model import Settings, Workload
from supervisor.workload.sections.stop import Stop
from tests.support.events import check


@dataclass
class Script:
    """What one run of a container does. Times in seconds; `life` None: until it is killed."""

    life: float | None = None
    end: Exit = field(default_factory=lambda: Exit(code=0))
    create: float = 0.0
    create_error: Exception | None = None
    start: float = 0.0
    start_error: Exception | None = None
    wait_error: Exception | None = None
    delete: float = 0.0
    delete_error: Exception | None = None
    output: tuple[str, ...] = ()
    monitor: tuple[tuple[float, Signal, str], ...] | None = None
    """What its monitor tells, and when after the start; None: it has none."""
    dies_of: dict[int, tuple[float, Exit]] = field(
        default_factory=lambda: {15: (0.0, Exit(signal=15))}
    )
    """Signals it reacts to: how long it takes, and how it then ends."""


class SimulatedContainer:
    """Implements supervisor.container.Container, and checks how it is used."""

    def __init__(self, name: str, script: Script, journal: list[tuple[float, str, str]]) -> None:
        self.id = name
        self.pid: int | None = None
        self.start_time: int | None = None
        self.started_at: float | None = None
        self.script = script
        self._journal = journal
        self._gone = trio.Event()
        self._end = Exit()
        self._hurried = trio.Event()
        self._exists = False
        self._timers: list[tuple[float, Exit]] = []
        self._changed = trio.Event()

    def _note(self, what: str) -> None:
        self._journal.append((trio.current_time(), self.id, what))

    async def create(self) -> None:
        """Take the script's time; being cancelled undoes it."""
        self._note("create")
        await trio.sleep(self.script.create)
        if self.script.create_error is not None:
            raise self.script.create_error
        self._exists = True
        self._note("created")
        self.pid = 4711
        self.start_time = 1

    async def start(self) -> None:
        """Let the program go, then take the time the poststart hooks take."""
        assert self._exists
        self._note("start")
        self.started_at = trio.current_time()
        if self.script.life is not None:
            self._due(self.script.life, self.script.end)
        await trio.sleep(self.script.start)
        if self.script.start_error is not None:
            raise self.script.start_error

    def _due(self, after: float, end: Exit) -> None:
        self._timers.append((trio.current_time() + after, end))
        self._changed.set()

    async def wait(self) -> Exit:
        """Until the earliest of the ends that are due."""
        if self.script.wait_error is not None:
            raise self.script.wait_error
        while True:
            at, end = min(self._timers, key=lambda timer: timer[0], default=(None, Exit()))
            self._changed = trio.Event()
            if at is not None and at <= trio.current_time():
                break
            with trio.move_on_at(float("inf") if at is None else at):
                await self._changed.wait()
        self._note("exit")
        self._gone.set()
        return end

    def signal(self, number: int) -> None:
        """React as the script says."""
        self._note(f"signal {signal.Signals(number).name}")
        if number in self.script.dies_of:
            self._due(*self.script.dies_of[number])

    async def kill(self) -> None:
        """It dies at once."""
        self._note("kill")
        self._due(0, Exit(signal=9))

    async def delete(self) -> None:
        """Kill, run the poststop hooks, be gone."""
        self._note("delete")
        if not self._gone.is_set():
            self._due(0, Exit(signal=9))
        with trio.move_on_after(self.script.delete):
            await self._hurried.wait()
        if self.script.delete_error is not None:
            raise self.script.delete_error
        self._exists = False
        self._note("deleted")

    def hurry(self) -> None:
        """Cut the hooks short."""
        self._note("hurry")
        self._hurried.set()

    def last_output(self) -> list[str]:
        """What the script says it wrote."""
        return list(self.script.output)


class SimulatedMonitor:
    """Implements supervisor.monitor.types.Monitor: tells what the script says."""

    def __init__(self, told: tuple[tuple[float, Signal, str], ...]) -> None:
        self._told = told

    async def watch(self, container: Container, tell: Tell) -> None:
        """Until everything was told; then on, as a real one would."""
        began = container.started_at
        assert began is not None
        for after, signal_, text in self._told:
            await trio.sleep_until(began + after)
            tell(signal_, text)
        await trio.sleep_forever()


class SimulatedEngine:
    """Gives each run of a workload the next of its scripts; the last one repeats."""

    def __init__(self, scripts: dict[str, Iterable[Script]]) -> None:
        self.journal: list[tuple[float, str, str]] = []
        self.scripts = {
            name: _last_repeats(list(of_workload)) for name, of_workload in scripts.items()
        }

    def container(self, workload: Workload, report: Report) -> SimulatedContainer:
        """The next run."""
        return SimulatedContainer(workload.name, next(self.scripts[workload.name]), self.journal)

    def monitor(self, workload: Workload, container: Container) -> Monitor | None:
        """The one of its script."""
        assert isinstance(container, SimulatedContainer)
        told = container.script.monitor
        return None if told is None else SimulatedMonitor(told)

    def forget(self, workload: Workload) -> None:
        """It was removed."""
        self.journal.append((trio.current_time(), workload.name, "forget"))


def _last_repeats(scripts: list[Script]) -> itertools.chain[Script]:
    return itertools.chain(scripts[:-1], itertools.repeat(scripts[-1]))


@dataclass
class World:
    """A nursery of simulated workloads and everything it reported."""

    scripts: dict[str, Iterable[Script]]
    policies: dict[str, Policy] = field(default_factory=dict)
    stop: Stop = field(default_factory=Stop)
    events: list[dict[str, object]] = field(default_factory=list)
    jitter: Callable[[], float] = lambda: 0.0
    settings: dict[str, Settings] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    reboot_command: tuple[str, ...] = ()
    add_at_start: bool = True

    def __post_init__(self) -> None:
        self.engine = SimulatedEngine(self.scripts)
        self.log = EventLog(
            lambda level, event: self.events.append(event),
            timestamp=lambda: "2026-01-01T00:00:00.000000Z",
            monotonic=trio.current_time,
            boot="boot",
            run="run",
        )
        self.records = MemoryRecords()
        self.nursery = Nursery(
            self.engine, self.log, self.jitter, self.records, self.groups, self.reboot_command
        )

    @property
    def workloads(self) -> list[Workload]:
        """One for each script, with its policy."""
        return [
            Workload(
                name,
                f"/workloads/{name}",
                self.settings.get(name)
                or Settings(restart=self.policies.get(name, Policy(jitter=0.0)), stop=self.stop),
                {},
            )
            for name in self.scripts
        ]

    async def run(self, once: bool = True) -> None:
        """Run the nursery to its end."""
        for workload in self.workloads if self.add_at_start else ():
            self.nursery.add(workload)
        await self.nursery.run(once)

    def named(self, event: str, workload: str | None = None) -> list[dict[str, object]]:
        """Events of one name."""
        return [
            found
            for found in self.events
            if found["event"] == event and workload in (None, found.get("workload"))
        ]

    def story(self, workload: str) -> list[str]:
        """Names of the events of one workload, in order."""
        return [str(found["event"]) for found in self.events if found.get("workload") == workload]


@asynccontextmanager
async def running(world: World) -> AsyncIterator[World]:
    """The world's nursery at work, stopped at the end; a hang of (virtual) days fails."""
    with trio.fail_after(1_000_000):
        async with trio.open_nursery() as tasks:
            tasks.start_soon(world.run, False)
            await wait_all_tasks_blocked()
            yield world
            world.nursery.stop_all("signal", "the end")
    check(world.events)


def hook_error(text: str = "error running prestart hook #0: exit status 1") -> ContainerError:
    """The failure of a hook."""
    return ContainerError(Cause.HOOK, text)
