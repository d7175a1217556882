"""A keeper begins where an earlier creched has left its workload."""

from __future__ import annotations

from dataclasses import replace

import pytest
import trio
from trio.testing import MockClock

from supervisor.container import Exit
from supervisor.machine import Result, State
from supervisor.monitor.types import Signal
from supervisor.policy import Cause, Ending, History, Policy
from supervisor.record import Intent, Record, Resumed
from tests.unit.supervisor.simulated import Script, World, running
from tests.unit.supervisor.test_order import settings

BOOT = "boot"


def world_with(script: Script, **options: object) -> World:
    """One workload, `a`, not added yet."""
    made = World({"a": [script]}, **options)  # type: ignore[arg-type]
    made.add_at_start = False
    return made


async def left(world: World, script: Script, **what: object) -> Resumed:
    """What an earlier creched that was killed has left: a container that runs."""
    container = world.engine.container(world.workloads[0], lambda: None)
    await container.create()
    await container.start()
    record = Record("a", state=State.RUNNING, boot=BOOT, attempt=3, ready=True, started_at=0)
    return Resumed(replace(record, **what), container)  # type: ignore[arg-type]


async def test_a_container_that_runs_is_adopted(autojump_clock: MockClock) -> None:
    """It is not touched; its end is told with its uptime and decided upon."""
    script = Script(life=10, end=Exit(code=1), monitor=((8, Signal.STATUS, "old"),))
    world = world_with(script)
    async with running(world):
        undecided = Ending(Cause.UNKNOWN)
        resumed = await left(world, script, ready_at=1.0, history=History(2, 7), ending=undecided)
        await trio.sleep(5)
        world.nursery.add(world.workloads[0], resumed)
        await world.nursery.reached("a", "ready")
        assert trio.current_time() == 5
        await trio.sleep(4)
        status = world.nursery.status("a")
        assert (status.attempt, status.status_text, status.started_at) == (3, "old", 0)
        assert status.exit is None  # it has not ended yet
        await world.nursery.reached("a", "exited")

    assert world.story("a")[:4] == ["adopted", "exited", "cleaned", "restart-scheduled"]
    [exited] = world.named("exited")[:1]
    assert (exited["code"], exited["uptime"]) == (1, 10)
    [scheduled] = world.named("restart-scheduled")
    assert (scheduled["after"], scheduled["restarts"]) == (4, 8)


@pytest.mark.parametrize("state", [State.RUNNING, State.STOPPING])
async def test_it_has_been_so_for_as_long_as_it_has(
    autojump_clock: MockClock, state: State
) -> None:
    """A new creched changes neither since when nor why; what comes after that does."""
    world = world_with(Script(life=9))
    async with running(world):
        await trio.sleep(5)
        resumed = await left(world, Script(), state=state, since=2.0, why="said READY=1")
        world.nursery.add(world.workloads[0], resumed)
        if state is State.RUNNING:
            await world.nursery.reached("a", "ready")
            status = world.nursery.status("a")
            assert (status.since, status.why) == (2.0, "said READY=1")
            assert world.records.kept["a"].since == 2.0
        world.nursery.stop("a", "ann")
        await world.nursery.reached("a", "exited")
        status = world.nursery.status("a")
        assert status.since >= 5
        assert status.why in ("stopped by ann", "said READY=1")

    [adopted] = world.named("adopted")
    assert adopted["reason"] == "creched was started again"


@pytest.mark.parametrize(
    ("state", "story"),
    [
        (State.STOPPING, ["adopted", "stopping", "start-noted", "exited", "stopped", "creating"]),
        (State.FAILING, ["adopted", "unhealthy", "exited", "cleaned", "restart-scheduled"]),
    ],
)
async def test_what_was_under_way_goes_on(
    autojump_clock: MockClock, state: State, story: list[str]
) -> None:
    """A stop, a failure."""
    cause = Cause.UNHEALTHY if state is State.FAILING else Cause.SIGNAL
    ending = None if state is State.STOPPING else Ending(cause, signal=9, text="so")
    script = Script()
    world = world_with(script)
    async with running(world):
        resumed = await left(world, script, state=state, ending=ending, why="so")
        world.nursery.add(world.workloads[0], resumed)
        await trio.sleep(0.5)

    assert world.story("a")[: len(story)] == story


async def test_a_restart_under_way_starts_again(autojump_clock: MockClock) -> None:
    """What it was stopped for is not forgotten."""
    world = world_with(Script())
    async with running(world):
        resumed = await left(world, Script(), state=State.STOPPING, again=True)
        world.nursery.add(world.workloads[0], resumed)
        await trio.sleep(0.5)
        assert world.nursery.status("a").status == "running"
        assert world.nursery.status("a").attempt == 4


@pytest.mark.parametrize(
    ("record", "end", "story"),
    [
        (Record("a", state=State.RUNNING), Exit(code=3), ["exited", "restart-scheduled"]),
        (Record("a", state=State.RUNNING), None, ["exited", "restart-scheduled"]),
        (Record("a", state=State.RUNNING), Exit(code=0), ["exited", "done"]),
        # A creched that was stopping everything was killed: the next one starts everything.
        (Record("a", state=State.STOPPING), Exit(code=3), ["exited", "creating"]),
        (Record("a", state=State.STOP_CLEANING), None, ["stopped", "creating"]),
        (Record("a", state=State.STOPPING, intent=Intent.DOWN), Exit(code=3), ["exited"]),
        (
            Record("a", state=State.CLEANING, ending=Ending(Cause.EXIT, 3)),
            None,
            ["resumed", "restart-scheduled"],
        ),
        (Record("a", state=State.CREATING), None, ["creating"]),
        (Record("a", state=State.DONE, result=Result.SUCCESS), None, ["resumed"]),
        (Record("a", state=State.FAILED, result=Result.LIMIT), None, ["resumed"]),
        (Record("a", state=State.RUNNING, intent=Intent.DOWN), Exit(code=3), ["exited"]),
        (Record("a", state=State.STOPPED, intent=Intent.DOWN), None, ["stopped"]),
        (Record("a", state=State.BACKOFF, intent=Intent.DOWN), None, ["stopped"]),
        (Record("a", state=State.STOPPED), None, ["creating"]),
        # Another boot: only what the operator has stopped is remembered.
        (Record("a", state=State.FAILED, boot="other"), None, ["creating"]),
        (Record("a", state=State.RUNNING, intent=Intent.DOWN, boot="other"), None, ["stopped"]),
    ],
)
async def test_without_a_container(
    autojump_clock: MockClock, record: Record, end: Exit | None, story: list[str]
) -> None:
    """From every state there is a way that keeps what was decided and what was asked for."""
    world = world_with(Script())
    async with running(world):
        record = replace(record, boot=record.boot or BOOT)
        world.nursery.add(world.workloads[0], Resumed(record, None, end))
        await trio.sleep(0.5)

    assert world.story("a")[: len(story)] == story
    settled = {"exited", "done", "resumed", "stopped"}
    if story[-1] in settled and "restart-scheduled" not in story:
        assert world.story("a") == story


async def test_a_backoff_ends_when_it_would_have(autojump_clock: MockClock) -> None:
    """Not a moment later; and not at once."""
    world = world_with(Script())
    async with running(world):
        await trio.sleep(100)
        record = Record("a", state=State.BACKOFF, boot=BOOT, next_attempt_at=130.0, why="so")
        world.nursery.add(world.workloads[0], Resumed(record))
        await trio.sleep(1)
        status = world.nursery.status("a")
        assert (status.status, status.next_attempt_at, status.why) == ("restarting", 130, "so")
        await world.nursery.reached("a", "ready")
        assert trio.current_time() == 130


async def test_manual_and_started_by_hand(autojump_clock: MockClock) -> None:
    """Comes back with creched, not with the machine."""
    for boot, story in ((BOOT, "creating"), ("other", "stopped")):
        world = world_with(Script(), settings={"a": settings(start="manual")})
        async with running(world):
            record = Record("a", intent=Intent.UP, state=State.STOPPED, boot=boot)
            world.nursery.add(world.workloads[0], Resumed(record))
            await trio.sleep(1)
        assert world.story("a")[0] == story


async def test_limits_count_across_creched(autojump_clock: MockClock) -> None:
    """The window is a matter of time, not of the process that looks."""
    world = world_with(Script(), policies={"a": Policy(limit=2, window=100, jitter=0)})
    async with running(world):
        await trio.sleep(10)
        record = Record("a", state=State.RUNNING, boot=BOOT, history=History(2, 2, (4.0, 6.0)))
        world.nursery.add(world.workloads[0], Resumed(record, None, Exit(code=1)))
        await world.nursery.reached("a", "failed")
        assert world.nursery.status("a").result == "limit"
        assert world.nursery.status("a").window_used == 2
