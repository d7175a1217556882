"""The simulated machine: containers that live on when the creched that made them is gone."""

from __future__ import annotations

import itertools
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

import trio

from supervisor.container import Container, ContainerError, Exit, Report
from supervisor.monitor.types import Monitor, Signal, Tell
from supervisor.policy import Cause
from supervisor.workload.model import Workload


@dataclass(frozen=True)
class Fate:
    """What becomes of one run. Times in seconds; `life` None: until somebody ends it."""

    create: float = 0.0
    create_fails: Cause | None = None
    start: float = 0.0
    start_fails: Cause | None = None
    life: float | None = None
    end: Exit = field(default_factory=lambda: Exit(code=0))
    heeds: float | None = 0.0
    """How long it takes to end after a stop signal; None: it does not."""
    delete: float = 0.0
    delete_fails: bool = False
    told: tuple[tuple[float, Signal, str], ...] = ()
    """What a monitor sees of it, and when after its start."""


class Stage(StrEnum):
    """How far a container has come."""

    MAKING = "making"
    CREATED = "created"
    RUNNING = "running"
    DEAD = "dead"
    GONE = "gone"


class Body:
    """A container as the kernel and the state directory have it."""

    def __init__(self, machine: Machine, name: str, fate: Fate, pid: int) -> None:
        self.machine = machine
        self.name = name
        self.fate = fate
        self.pid = pid
        self.stage = Stage.MAKING
        self.began: float | None = None
        self.exit: Exit | None = None
        self.deleting = False
        self.died = trio.Event()
        self._due: tuple[float, Exit] | None = None
        self._changed = trio.Event()

    def let_go(self) -> None:
        """Its program runs."""
        self.stage = Stage.RUNNING
        self.began = trio.current_time()
        if self.fate.life is not None:
            self.end_by(self.began + self.fate.life, self.fate.end)

    def end_by(self, when: float, how: Exit) -> None:
        """It ends then, if it has not by that time."""
        if self._due is None or when < self._due[0]:
            self._due = (when, how)
            self._changed.set()

    async def live(self) -> None:
        """Its task: the machine runs it."""
        while True:
            self._changed = trio.Event()
            if self._due is None:
                await self._changed.wait()
                continue
            when, how = self._due
            with trio.move_on_at(when):
                await self._changed.wait()
                continue
            if self.stage is Stage.GONE:
                return
            self.exit = how
            if self.stage is not Stage.MAKING:
                self.machine.note_death(self)
            self.stage = Stage.DEAD
            self.died.set()
            return


class Machine:
    """All containers; `fate` decides on each run's."""

    def __init__(self, fate: Callable[[Workload], Fate], broken: Callable[[str], None]) -> None:
        self.bodies: dict[str, Body] = {}
        self.deaths: list[Body] = []
        self.swept: list[str] = []
        self.crashing = False
        """creched is being killed: whatever is under way stays as it is."""
        self.tasks: trio.Nursery | None = None
        self._fate = fate
        self._broken = broken
        self._pids = itertools.count(1000)

    def make(self, workload: Workload) -> Body:
        """Begin a container."""
        if workload.name in self.bodies:
            self._broken(f"{workload.name}: a second container while there is one")
        body = Body(self, workload.name, self._fate(workload), next(self._pids))
        self.bodies[workload.name] = body
        assert self.tasks is not None
        self.tasks.start_soon(body.live)
        return body

    def note_death(self, body: Body) -> None:
        """Whatever became a container has an end, which is to be reported."""
        self.deaths.append(body)

    def sweep(self, name: str) -> None:
        """Kill and remove a container; if its end has not been told by now, nobody tells it."""
        body = self.bodies.get(name)
        if body is not None:
            self.remove(body)
            self.swept.append(name)
            body.end_by(trio.current_time(), Exit(signal=9))

    def remove(self, body: Body) -> None:
        """Nothing of it is left."""
        body.stage = Stage.GONE
        if self.bodies.get(body.name) is body:
            del self.bodies[body.name]


class Handle:
    """supervisor.container.Container: what one creched has in its hands of a body."""

    def __init__(self, machine: Machine, workload: Workload, body: Body | None = None) -> None:
        self.id = workload.name
        self.pid: int | None = None
        self.start_time: int | None = None
        self.started_at: float | None = None
        self._machine = machine
        self._workload = workload
        self._body = body
        self._hurried = trio.Event()
        if body is not None:
            self.pid = self.start_time = body.pid
            self.started_at = body.began

    async def create(self) -> None:
        """See Container."""
        body = self._body = self._machine.make(self._workload)
        try:
            await trio.sleep(body.fate.create)
            if body.fate.create_fails is not None:
                raise ContainerError(body.fate.create_fails, "simulated")
        except BaseException:
            if not self._machine.crashing:
                self._machine.remove(body)
            raise
        body.stage = Stage.CREATED
        self.pid = self.start_time = body.pid

    async def start(self) -> None:
        """See Container."""
        body = self._the_body()
        body.let_go()
        self.started_at = body.began
        await trio.sleep(body.fate.start)
        if body.fate.start_fails is not None:
            raise ContainerError(body.fate.start_fails, "simulated")

    async def wait(self) -> Exit:
        """See Container."""
        body = self._the_body()
        await body.died.wait()
        assert body.exit is not None
        return body.exit

    def signal(self, number: int) -> None:
        """See Container."""
        body = self._body
        if body is None or body.stage not in (Stage.CREATED, Stage.RUNNING):
            return
        if number == signal.SIGKILL:
            body.end_by(trio.current_time(), Exit(signal=9))
        elif body.fate.heeds is not None:
            body.end_by(trio.current_time() + body.fate.heeds, Exit(signal=number))

    async def kill(self) -> None:
        """See Container."""
        self.signal(signal.SIGKILL)
        await trio.lowlevel.checkpoint()

    async def delete(self) -> None:
        """See Container."""
        body = self._the_body()
        if body.stage is Stage.GONE:
            return
        body.deleting = True
        if body.stage is Stage.MAKING:
            body.end_by(trio.current_time(), Exit(signal=9))
        self.signal(signal.SIGKILL)
        await body.died.wait()
        with trio.move_on_after(body.fate.delete):
            await self._hurried.wait()
        if body.fate.delete_fails:
            raise ContainerError(Cause.SETUP, "simulated")
        self._machine.remove(body)

    def hurry(self) -> None:
        """See Container."""
        self._hurried.set()

    def last_output(self) -> list[str]:
        """See Container."""
        return []

    @property
    def body(self) -> Body:
        """For the simulated monitor."""
        return self._the_body()

    def _the_body(self) -> Body:
        assert self._body is not None
        return self._body


class Watch:
    """supervisor.monitor.types.Monitor: tells what the run's fate says."""

    async def watch(self, container: Container, tell: Tell) -> None:
        """See Monitor."""
        assert isinstance(container, Handle)
        began = container.started_at
        assert began is not None
        for after, what, text in container.body.fate.told:
            if began + after >= trio.current_time():
                await trio.sleep_until(began + after)
                tell(what, text)
        await trio.sleep_forever()


class Engine:
    """supervisor.container.Engine on that machine."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def container(self, workload: Workload, report: Report) -> Handle:
        """See Engine."""
        return Handle(self._machine, workload)

    def monitor(self, workload: Workload, container: Container) -> Monitor | None:
        """See Engine."""
        settings = workload.settings
        return None if settings.ready.on == "start" and settings.health is None else Watch()

    def forget(self, workload: Workload) -> None:
        """See Engine."""
