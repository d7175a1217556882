"""Keepers of simulated containers in virtual time: what is done when, and what is reported."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from supervisor import machine
from supervisor.container import ContainerError, Exit
from supervisor.machine import Result, State
from supervisor.policy import Cause, OnLimit, Policy, When
from supervisor.workload.sections.stop import Stop
from tests.unit.supervisor.simulated import Script, World, hook_error

NO_JITTER = Policy(jitter=0.0)


def check_events(world: World) -> None:
    """Promises every run keeps: no gap in the numbers, each state follows from the one before."""
    assert [event["seq"] for event in world.events] == list(range(1, len(world.events) + 1))
    for name in world.scripts:
        changes = [e for e in world.events if e.get("workload") == name and "old" in e]
        state = State.IDLE.value
        for change in changes:
            assert change["old"] == state, change
            state = str(change["new"])
        assert state in machine.RESTING


async def test_success_ends_it(autojump_clock: MockClock) -> None:
    """A program that ends well is done, under the default policy."""
    world = World({"a": [Script(life=5)]})
    await world.run()

    check_events(world)
    assert world.story("a") == ["creating", "created", "started", "exited", "cleaned", "done"]
    [exited] = world.named("exited")
    assert (exited["code"], exited["signal"], exited["cause"]) == (0, None, "exit")
    assert exited["uptime"] == 5
    assert exited["reason"] == "exit status 0"
    assert world.nursery.keepers["a"].result is Result.SUCCESS
    assert world.nursery.failed == []


async def test_restarts_with_growing_delays_to_the_millisecond(autojump_clock: MockClock) -> None:
    """Starts happen exactly when the policy says."""
    world = World(
        {"a": [Script(life=1, end=Exit(code=1))]},
        {"a": Policy(delay=1, factor=2, maximum=5, limit=5, window=1000, jitter=0)},
    )
    await world.run()

    check_events(world)
    starts = [at for at, _, what in world.engine.journal if what == "start"]
    assert starts == [0, 2, 5, 10, 16, 22]
    [gave_up] = world.named("gave-up")
    assert gave_up["reason"] == "exit status 1; 5 restarts within 1000 s did not help"
    assert (gave_up["result"], gave_up["restarts"], gave_up["cause"]) == ("limit", 5, "limit")
    assert world.nursery.failed == ["a"]
    scheduled = world.named("restart-scheduled")
    assert [event["after"] for event in scheduled] == [1, 2, 4, 5, 5]
    assert [event["at"] for event in scheduled] == starts[1:]


async def test_years_of_crashes(autojump_clock: MockClock) -> None:
    """Thousands of restarts over simulated years: the delay stays at its maximum."""
    runs = 5000
    world = World(
        {"a": [*[Script(life=10, end=Exit(signal=11, core=True))] * runs, Script(life=1)]},
        {"a": Policy(delay=1, factor=3, maximum=86400, jitter=0)},
    )
    await world.run()

    check_events(world)
    assert trio.current_time() > 10 * 365 * 86400
    keeper = world.nursery.keepers["a"]
    assert keeper.history.restarts == runs
    assert keeper.history.recent == ()
    assert keeper.state is State.DONE


async def test_failed_create_and_start_count_as_failures(autojump_clock: MockClock) -> None:
    """A failing hook is the cause; a failed start is cleaned up, a failed create needs no more."""
    world = World(
        {
            "a": [
                Script(create_error=hook_error()),
                Script(start_error=hook_error("error running poststart hook #0: timed out")),
                Script(create_error=ContainerError(Cause.SETUP, "no such file")),
                Script(life=1),
            ]
        }
    )
    await world.run()

    check_events(world)
    story = world.story("a")
    assert story[:3] == ["creating", "create-failed", "restart-scheduled"]
    assert story[3:9] == ["creating", "created", "start-failed", "exited", "cleaned",
                          "restart-scheduled"]  # fmt: skip
    assert story[-1] == "done"
    causes = [(event["cause"], event["reason"]) for event in world.named("restart-scheduled")]
    assert causes == [
        ("hook", "error running prestart hook #0: exit status 1"),
        ("hook", "error running poststart hook #0: timed out"),
        ("setup", "no such file"),
    ]


async def test_an_exit_during_poststart_hooks_is_told_when_it_happens(
    autojump_clock: MockClock,
) -> None:
    """The uptime is the program's, not the hooks'."""
    world = World({"a": [Script(life=2, end=Exit(code=0), start=10)]})
    await world.run()

    check_events(world)
    assert world.story("a") == ["creating", "created", "exited", "cleaning", "cleaned", "done"]
    assert world.named("exited")[0]["uptime"] == 2
    assert world.named("exited")[0]["monotonic"] == 2


async def test_out_of_memory_is_a_cause_of_its_own(autojump_clock: MockClock) -> None:
    """Only if the kernel counted it: SIGKILL alone is a signal."""
    never = Policy(When.NEVER)
    world = World(
        {
            "a": [Script(life=1, end=Exit(signal=9, oom_kills=2))],
            "b": [Script(life=1, end=Exit(signal=9, oom_kills=0))],
            "c": [Script(life=1, end=Exit(code=1, oom_kills=1))],
        },
        {"a": never, "b": never, "c": never},
    )
    await world.run()

    assert [e["cause"] for e in world.named("exited")].count("oom") == 1
    assert world.nursery.keepers["a"].result is Result.OOM
    assert world.nursery.keepers["b"].result is Result.SIGNAL
    assert world.nursery.keepers["c"].result is Result.EXIT


async def test_stop_asks_all_at_once_and_kills_those_that_do_not_hear(
    autojump_clock: MockClock,
) -> None:
    """In parallel: the whole takes as long as the slowest, and no poststop hook is left out."""
    deaf = Script(dies_of={})
    slow = Script(dies_of={15: (3.0, Exit(code=0))}, delete=2)
    world = World(
        {"deaf": [deaf], "deaf2": [deaf], "slow": [slow], "quick": [Script()]},
        stop=Stop(15, 7.0),
    )
    async with trio.open_nursery() as tasks:
        tasks.start_soon(world.run, False)
        await trio.sleep(10)
        world.nursery.stop_all("signal", "SIGTERM")

    check_events(world)
    assert trio.current_time() == 17
    journal = world.engine.journal
    assert {at for at, _, what in journal if what == "signal SIGTERM"} == {10}
    assert {(at, name) for at, name, what in journal if what == "kill"} == {
        (17, "deaf"),
        (17, "deaf2"),
    }
    assert {name: at for at, name, what in journal if what == "deleted"} == {
        "quick": 10,
        "slow": 15,
        "deaf": 17,
        "deaf2": 17,
    }
    assert [event["reason"] for event in world.named("killing", "deaf")] == [
        "did not end within 7 s"
    ]
    assert {keeper.state for keeper in world.nursery.keepers.values()} == {State.STOPPED}


async def test_a_second_stop_hurries(autojump_clock: MockClock) -> None:
    """What runs is killed, hooks are cut short, what waits for a restart is just left."""
    world = World(
        {
            "deaf": [Script(dies_of={})],
            "cleaning": [Script(life=1, delete=1000)],
            "creating": [Script(create=1000)],
            "starting": [Script(start=1000)],
            "backoff": [Script(life=1, end=Exit(code=1))],
        },
        {"backoff": Policy(delay=1000, maximum=1000, jitter=0)},
        stop=Stop(15, 500.0),
    )
    async with trio.open_nursery() as tasks:
        tasks.start_soon(world.run, False)
        await trio.sleep(10)
        world.nursery.stop_all("signal", "SIGTERM")
        await trio.sleep(5)
        states = {name: keeper.state for name, keeper in world.nursery.keepers.items()}
        world.nursery.stop_all("signal", "SIGTERM")

    assert states == {
        "deaf": State.STOPPING,
        "cleaning": State.STOP_CLEANING,
        "creating": State.STOPPED,
        "starting": State.STOPPED,
        "backoff": State.STOPPED,
    }
    check_events(world)
    assert trio.current_time() == 15
    assert {keeper.state for keeper in world.nursery.keepers.values()} == {State.STOPPED}
    assert len(world.named("supervisor-stopping")) == len(world.named("supervisor-hurried")) == 1


@pytest.mark.parametrize("at", [0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5])
async def test_stop_at_any_moment(autojump_clock: MockClock, at: float) -> None:
    """Stopped in whatever state: it ends, is deleted if it was made, and is not started again."""
    world = World({"a": [Script(create=1, start=1, life=2, end=Exit(code=1), delete=1)]})
    async with trio.open_nursery() as tasks:
        tasks.start_soon(world.run, False)
        await trio.sleep(at)
        world.nursery.stop_all("signal", "SIGTERM")

    check_events(world)
    assert world.nursery.keepers["a"].state is State.STOPPED
    whats = [what for _, _, what in world.engine.journal]
    # At 5 s the delay is over as well: either may come first.
    assert whats.count("create") <= (2 if at == 5 else 1)
    assert whats.count("deleted") == whats.count("created")


@pytest.mark.parametrize("broken", ["create_error", "start_error", "wait_error", "delete_error"])
async def test_a_fault_in_one_task_takes_down_no_other(
    autojump_clock: MockClock, broken: str
) -> None:
    """An unexpected exception becomes an event of that workload; the others run on."""
    world = World(
        {
            "bad": [Script(life=1, **{broken: RuntimeError("not foreseen")})],  # type: ignore[arg-type]
            "good": [Script(life=100)],
        }
    )
    await world.run()

    [fault] = world.named("workload-fault")
    assert fault["workload"] == "bad"
    assert "RuntimeError: not foreseen" in str(fault["traceback"])
    assert world.nursery.keepers["bad"].state is State.FAILED
    assert world.nursery.keepers["bad"].result is Result.FAULT
    assert world.nursery.keepers["good"].state is State.DONE
    assert world.story("good")[-1] == "done"
    assert (0 if broken == "create_error" else 1) <= len(
        [what for _, name, what in world.engine.journal if (name, what) == ("bad", "delete")]
    )


async def test_leftovers_are_told_and_end_it(autojump_clock: MockClock) -> None:
    """What cannot be removed is not run again on top of."""
    world = World(
        {"a": [Script(life=1, end=Exit(code=1), delete_error=ContainerError(Cause.SETUP, "busy"))]}
    )
    await world.run()

    assert world.story("a")[-1] == "clean-failed"
    assert world.named("clean-failed")[0]["leftovers"] == "busy"
    assert world.nursery.failed == ["a"]


async def test_on_limit_may_stop_the_supervisor(autojump_clock: MockClock) -> None:
    """Everything is stopped gracefully, and it is known that it was no wish of the operator."""
    world = World(
        {"bad": [Script(life=1, end=Exit(code=1))], "good": [Script()]},
        {"bad": Policy(limit=1, on_limit=OnLimit.STOP_SUPERVISOR, jitter=0)},
    )
    await world.run(once=False)

    check_events(world)
    assert world.nursery.exit_status == 1
    assert world.nursery.keepers["good"].state is State.STOPPED
    assert world.named("supervisor-stopping")[0]["cause"] == "limit"


async def test_jitter_spreads_restarts(autojump_clock: MockClock) -> None:
    """With full jitter and a random source, workloads that fail together do not return together."""
    numbers = iter([0.0, 0.25, 0.5, 0.75])
    names = [f"w{number}" for number in range(4)]
    world = World(
        {name: [Script(life=1, end=Exit(code=1)), Script(life=1)] for name in names},
        {name: Policy(delay=8, jitter=1.0) for name in names},
        jitter=lambda: next(numbers),
    )
    await world.run()

    starts = [at for at, _, what in world.engine.journal if what == "start"]
    assert sorted(starts)[4:] == [3, 5, 7, 9]


async def test_two_thousand_workloads_at_once(autojump_clock: MockClock) -> None:
    """Each has its own task; all are looked after."""
    names = [f"w{number}" for number in range(2000)]
    world = World({name: [Script(create=1, life=1)] for name in names})
    await world.run()

    check_events(world)
    assert trio.current_time() == 2
    assert {keeper.state for keeper in world.nursery.keepers.values()} == {State.DONE}
