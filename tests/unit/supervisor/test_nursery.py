"""Workloads come, go, are started and stopped by hand, in virtual time."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from supervisor.container import Exit
from supervisor.machine import Result, State
from supervisor.monitor.types import Signal
from supervisor.nursery import Refused
from supervisor.policy import Policy
from supervisor.record import Intent, Record
from tests.unit.supervisor.simulated import Script, World, running

FAILS = Script(life=1, end=Exit(code=1))


async def test_stopped_by_hand_and_started_again(autojump_clock: MockClock) -> None:
    """A keeper lives on while its workload rests; the intent is recorded at once."""
    async with running(World({"a": [Script()]})) as world:
        nursery = world.nursery
        await nursery.reached("a", "ready")
        nursery.stop("a", "root")
        assert world.records.kept["a"].intent is Intent.DOWN
        await nursery.reached("a", "exited")
        assert nursery.status("a").why == "stopped by root"
        nursery.start("a", "root")
        await nursery.reached("a", "started")
        assert nursery.status("a").attempt == 2
        assert nursery.status("a").intent == "up"
        nursery.restart("a", "root")
        await nursery.reached("a", "exited")
        await nursery.reached("a", "ready")

    assert [what for _, _, what in world.engine.journal].count("deleted") == 3


async def test_restart_waits_until_nothing_is_left(autojump_clock: MockClock) -> None:
    """Create comes after the end of the deletion, however long that takes."""
    async with running(World({"a": [Script(delete=7)]})) as world:
        await world.nursery.reached("a", "ready")
        world.nursery.restart("a", "root")
        await trio.sleep(8)

    journal = [(at, what) for at, _, what in world.engine.journal]
    assert journal.index((7, "deleted")) + 1 == journal.index((7, "create"))


async def test_a_start_that_has_to_wait_tells_who_asked(autojump_clock: MockClock) -> None:
    """It is recorded at once; when its turn comes the reason is who wanted it, not what ended."""
    async with running(World({"a": [Script(life=1, end=Exit(code=1), delete=7)]})) as world:
        await trio.sleep(2)
        assert world.nursery.status("a").state == "cleaning"
        world.nursery.start("a", "ann")
        await trio.sleep(1)
        assert world.records.kept["a"].again
        await trio.sleep(6)

    [noted] = world.named("start-noted")
    assert (noted["cause"], noted["reason"]) == ("request", "started by ann")
    _, second = world.named("creating")
    assert (second["cause"], second["reason"]) == ("request", "started by ann")


@pytest.mark.parametrize("script", [Script(create=9), Script(start=9), Script(delete=9)])
async def test_what_was_stopped_tells_who_asked(autojump_clock: MockClock, script: Script) -> None:
    """Also where a start was cut short, and whoever wanted it started in between."""
    async with running(World({"a": [script]})) as world:
        await trio.sleep(1)
        world.nursery.stop("a", "bob")
        world.nursery.start("a", "ann")
        world.nursery.stop("a", "eve")
        await world.nursery.reached("a", "exited")
        await trio.sleep(10)
        assert world.nursery.status("a").state == "stopped"
        assert world.nursery.status("a").why in ("stopped by bob", "stopped by eve")

    stopped = world.named("stopped")
    assert {event["cause"] for event in stopped} == {"request"}
    assert {event["reason"] for event in stopped} <= {"stopped by bob", "stopped by eve"}


@pytest.mark.parametrize(
    ("end", "result"),
    [(Exit(code=0), Result.SUCCESS), (Exit(code=3), Result.EXIT), (Exit(signal=15), Result.SIGNAL)],
)
async def test_how_what_was_stopped_has_ended(
    autojump_clock: MockClock, end: Exit, result: Result
) -> None:
    """The result of a workload that was stopped is that of its last run, not of one before."""
    bad = Script(monitor=((1, Signal.UNHEALTHY, "probe"),))
    good = Script(dies_of={15: (0.0, end)})
    async with running(World({"a": [bad, good]})) as world:
        await trio.sleep(30)
        assert world.nursery.keepers["a"].result is Result.UNHEALTHY
        world.nursery.stop("a", "ann")
        await world.nursery.reached("a", "exited")
        await trio.sleep(1)

    assert [event["result"] for event in world.named("stopped")] == [result.value]


async def test_what_is_stopped_has_no_next_start(autojump_clock: MockClock) -> None:
    """The one that it waited for is not told any more."""
    policies = {"a": Policy(delay=100, maximum=100, jitter=0)}
    async with running(World({"a": [FAILS]}, policies)) as world:
        await trio.sleep(2)
        assert world.nursery.status("a").next_attempt_at == 101
        assert world.records.kept["a"].next_attempt_at == 101
        world.nursery.stop("a", "ann")
        await trio.sleep(1)
        assert world.nursery.status("a").state == "stopped"
        assert world.nursery.status("a").next_attempt_at is None
        assert world.records.kept["a"].next_attempt_at is None


async def test_readiness_and_health_are_told(autojump_clock: MockClock) -> None:
    """They are in the status; an unhealthy program is ended and the policy has its say."""
    told = ((1, Signal.STATUS, "warm"), (2, Signal.HEALTHY, ""), (9, Signal.UNHEALTHY, "probe"))
    async with running(World({"a": [Script(monitor=told), Script()]})) as world:
        await world.nursery.reached("a", "healthy")
        await trio.sleep(3)
        status = world.nursery.status("a")
        assert (status.ready, status.health, status.status_text) == (True, "healthy", "warm")
        await trio.sleep(7)

    [exited] = world.named("exited")[:1]
    assert (exited["signal"], exited["uptime"]) == ("SIGTERM", 9)
    assert world.named("restart-scheduled")[0]["cause"] == "unhealthy"


async def test_reset_forgets_failures(autojump_clock: MockClock) -> None:
    """A failed workload rests afterwards and starts with the first delay."""
    world = World({"a": [FAILS]}, {"a": Policy(limit=1, jitter=0)})
    async with running(world):
        await world.nursery.reached("a", "failed")
        assert world.nursery.status("a").result == Result.LIMIT
        world.nursery.reset("a", "root")
        world.nursery.start("a", "root")
        await world.nursery.reached("a", "started")
        assert world.nursery.status("a").series == 0


LIMITED = Policy(limit=2, delay=1, factor=1, jitter=0, window=1000)


@pytest.mark.parametrize("act", ["start", "restart"])
async def test_by_hand_it_begins_anew(autojump_clock: MockClock, act: str) -> None:
    """What has used up its restarts gets all of them, not just one run; an event says so."""
    async with running(World({"a": [FAILS]}, policies={"a": LIMITED})) as world:
        await world.nursery.reached("a", "failed")
        assert world.nursery.status("a").attempt == 3
        getattr(world.nursery, act)("a", "ann")
        await world.nursery.reached("a", "started")
        status = world.nursery.status("a")
        assert (status.attempt, status.window_used, status.restarts) == (4, 0, 2)
        await world.nursery.reached("a", "failed")
        assert world.nursery.status("a").attempt == 6

    [reset] = world.named("reset")
    assert (reset["cause"], reset["reason"]) == ("request", f"{act}ed by ann")


async def test_a_start_in_the_middle_of_failing_begins_anew(autojump_clock: MockClock) -> None:
    """In a delay, and while it is cleared up; of what runs a start changes nothing."""
    scripts = [Script(life=1, end=Exit(code=1), delete=1)]
    async with running(World({"a": scripts}, policies={"a": LIMITED})) as world:
        await trio.sleep(4.5)  # the second run is being cleared up: one restart is used up
        assert world.nursery.status("a").state == "cleaning"
        world.nursery.start("a", "ann")
        await world.nursery.reached("a", "started")
        assert world.nursery.status("a").window_used == 1  # the one that was due
        world.nursery.start("a", "ann")
        await trio.sleep(0.5)
        assert world.nursery.status("a").window_used == 1
        assert len(world.named("reset")) == 1


async def test_a_restart_of_what_runs_begins_anew(autojump_clock: MockClock) -> None:
    """Nothing is said where there was nothing to forget."""
    scripts = [FAILS, Script()]
    async with running(World({"a": scripts}, policies={"a": LIMITED})) as world:
        await trio.sleep(5)
        assert world.nursery.status("a").window_used == 1
        for _ in range(2):
            world.nursery.restart("a", "ann")
            await trio.sleep(5)
            assert world.nursery.status("a").window_used == 0
        assert len(world.named("reset")) == 1


async def test_added_changed_and_removed(autojump_clock: MockClock) -> None:
    """While the others run on."""
    async with running(World({"a": [Script()], "b": [Script()]})) as world:
        await world.nursery.remove("b")
        with pytest.raises(KeyError):
            world.nursery.status("b")
        world.nursery.add(world.workloads[1])
        await world.nursery.reached("b", "ready")
        world.nursery.change(world.workloads[1], restart=False)
        await trio.sleep(1)
        assert world.nursery.status("b").attempt == 1
        world.nursery.change(world.workloads[1], restart=True)
        await trio.sleep(1)
        assert world.nursery.status("b").attempt == 2
        assert world.nursery.status("a").attempt == 1
        with pytest.raises(ValueError, match="is there already"):
            world.nursery.add(world.workloads[0])


async def test_what_cannot_be_done_now_is_refused(autojump_clock: MockClock) -> None:
    """With the reason."""
    async with running(World({"a": [Script()], "b": [Script(life=0)]})) as world:
        await world.nursery.reached("b", "completed")
        with pytest.raises(Refused, match="b does not run"):
            world.nursery.kill("b", 15, "root")
        world.nursery.kill("a", 15, "root")
        await world.nursery.reached("a", "exited")
        world.nursery.stop_all("signal", "x")
        with pytest.raises(Refused, match="stopping"):
            world.nursery.start("b", "root")
    assert world.nursery.keepers["b"].state is State.DONE


async def test_records_survive_json(autojump_clock: MockClock) -> None:
    """What is written is what is read."""
    world = World({"a": [FAILS]}, {"a": Policy(limit=2, jitter=0)})
    await world.run()
    record = world.records.kept["a"]

    assert Record.from_json(record.to_json()) == record
    assert record.result is Result.LIMIT
    assert record.ending is not None
    assert record.ending.code == 1
