"""What follows when restarts have not helped; and programs that are not ready in time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from supervisor.container import Exit
from supervisor.machine import State
from supervisor.monitor.types import Signal
from supervisor.policy import Cause, OnLimit, Policy, Rule, Then
from supervisor.workload.model import Settings
from supervisor.workload.sections.ready import Ready
from supervisor.workload.sections.stop import Stop
from tests.unit.supervisor.simulated import Script, World, running

FAILS = Script(life=1, end=Exit(code=1))


async def test_a_cooldown_ends(autojump_clock: MockClock) -> None:
    """It says when, and then everything begins anew."""
    policy = Policy(limit=2, on_limit=OnLimit.COOLDOWN, cooldown=100, jitter=0)
    world = World({"a": [FAILS, FAILS, FAILS, Script(life=1)]}, {"a": policy})
    await world.run()

    starts = [at for at, _, what in world.engine.journal if what == "start"]
    assert starts == [0, 2, 5, 106]
    [cooling] = world.named("cooling-down")
    assert (cooling["after"], cooling["at"], cooling["new"]) == (100, 106, "cooldown")
    assert "2 restarts within 600 s did not help" in str(cooling["reason"])
    assert world.nursery.keepers["a"].state is State.DONE


async def test_started_by_hand_during_a_cooldown(autojump_clock: MockClock) -> None:
    """Nobody has to wait for what he wants now."""
    policy = Policy(limit=1, on_limit=OnLimit.COOLDOWN, cooldown=1000, jitter=0)
    async with running(World({"a": [FAILS, FAILS, Script()]}, {"a": policy})) as world:
        await trio.sleep(10)
        assert world.nursery.status("a").next_attempt_at == 1003
        world.nursery.start("a", "root")
        await world.nursery.reached("a", "ready")
        assert trio.current_time() == 10


async def test_the_supervisor_exits_as_the_workload_says(autojump_clock: MockClock) -> None:
    """Also with 0."""
    for status in (0, 7):
        policy = Policy(limit=1, on_limit=OnLimit.STOP_SUPERVISOR, exit_status=status, jitter=0)
        world = World({"a": [FAILS], "b": [Script()]}, {"a": policy})
        await world.run(once=False)
        assert world.nursery.exit_status == status


async def test_commands_get_the_event(tmp_path: Path) -> None:
    """As JSON on standard input; how it went is reported, and waited for."""
    out = tmp_path / "event.json"
    for script, end in ((f"cat > {out}", "command-ended"), ("exit 3", "command-failed")):
        command = ("/bin/sh", "-c", script)
        policy = Policy(limit=1, delay=0, on_limit=OnLimit.RUN, command=command, jitter=0)
        world = World({"a": [Script(life=0, end=Exit(code=1))]}, {"a": policy})
        await world.run()
        assert [e["command"] for e in world.named(end, "a")] == [list(command)]
    assert out.read_text().endswith("}\n")  # a whole line, for `read` of a shell
    event = json.loads(out.read_text())
    assert (event["event"], event["workload"], event["action"]) == ("gave-up", "a", "run")


async def test_a_reboot_is_requested(tmp_path: Path) -> None:
    """An event; and more only where creched.toml says what."""
    policy = Policy(limit=1, delay=0, on_limit=OnLimit.REBOOT, jitter=0)
    done = tmp_path / "rebooted"
    for command in ((), ("/bin/touch", str(done))):
        world = World(
            {"a": [Script(life=0, end=Exit(code=1))]}, {"a": policy}, reboot_command=command
        )
        await world.run()
        assert [e["command"] for e in world.named("reboot-requested")] == [list(command)]
        assert done.exists() == bool(command)


async def test_rules_decide_before_everything_else(autojump_clock: MockClock) -> None:
    """By status, signal and cause; the delay may be the rule's own."""
    rules = (
        Rule(exit=frozenset({3}), delay=50.0),
        Rule(signal=frozenset({10}), then=Then.STOP),
        Rule(cause=frozenset({Cause.OOM}), then=Then.ESCALATE),
    )
    policy = Policy(rules=rules, jitter=0)
    three, oom = Script(life=0, end=Exit(code=3)), Script(life=0, end=Exit(signal=9, oom_kills=1))
    world = World(
        {"a": [three, Script(life=0, end=Exit(signal=10))], "b": [oom]},
        {"a": policy, "b": policy},
    )
    await world.run()

    assert world.named("restart-scheduled")[0]["after"] == 50
    assert world.nursery.keepers["a"].state is State.DONE
    assert world.nursery.keepers["b"].state is State.FAILED
    assert "restart.rules[2] says escalate" in world.nursery.status("b").why


@pytest.mark.parametrize("code", [78, 125])
async def test_permanent_failures(autojump_clock: MockClock, code: int) -> None:
    """Not even `always` starts them again."""
    world = World({"a": [Script(life=0, end=Exit(code=code))]}, {"a": Policy()})
    await world.run()

    assert world.nursery.status("a").why == f"exit status {code}, which is permanent"


async def test_explicit_delays(autojump_clock: MockClock) -> None:
    """One by one, the last one repeats."""
    policy = Policy(delays=(1.0, 5.0), limit=4, window=1000, jitter=0)
    world = World({"a": [FAILS]}, {"a": policy})
    await world.run()

    assert [e["after"] for e in world.named("restart-scheduled")] == [1, 5, 5, 5]


def starting(script: Script) -> World:
    """One workload that tells when it is ready, for which it has 10 s."""
    settings = Settings(ready=Ready("notify", timeout=10.0), stop=Stop(15, 3.0))
    return World({"a": [script, Script(life=0)]}, settings={"a": settings})


async def test_not_ready_in_time(autojump_clock: MockClock) -> None:
    """It is ended, killed if need be; the cause is what the policy is asked with."""
    async with running(starting(Script(dies_of={}, monitor=()))) as world:
        await world.nursery.reached("a", "exited")

    assert world.story("a")[2:7] == ["started", "start-timeout", "killing", "exited", "cleaned"]
    [exited] = world.named("exited")[:1]
    assert (exited["cause"], exited["signal"], exited["uptime"]) == ("start-timeout", "SIGKILL", 13)
    assert exited["reason"] == "was not ready within 10 s"
    assert world.named("restart-scheduled")[0]["cause"] == "start-timeout"


async def test_more_time_can_be_asked_for(autojump_clock: MockClock) -> None:
    """To start, and to stop; each time from the moment it is asked."""
    told = (
        (9.0, Signal.EXTEND, "20000000"),
        (28.0, Signal.READY, ""),
        (41.0, Signal.EXTEND, "10000000"),
    )
    async with running(starting(Script(dies_of={}, monitor=told))) as world:
        await world.nursery.reached("a", "ready")
        assert trio.current_time() == 28
        await trio.sleep(12)
        world.nursery.stop("a", "root")
        await world.nursery.reached("a", "exited")
        assert trio.current_time() == 51


async def test_a_watchdog_is_a_cause(autojump_clock: MockClock) -> None:
    """As is health."""
    told = ((1.0, Signal.READY, ""), (5.0, Signal.WATCHDOG, "no sign of life for 4 s"))
    async with running(starting(Script(monitor=told))) as world:
        await world.nursery.reached("a", "exited")
        assert world.nursery.status("a").exit is not None
    assert world.named("exited")[0]["cause"] == "watchdog"
    assert world.named("watchdog-expired")[0]["reason"] == "no sign of life for 4 s"
