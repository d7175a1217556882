"""Order and groups in virtual time: who waits for whom, who goes first, who is taken along."""

from __future__ import annotations

import itertools
from random import Random

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from supervisor import groups
from supervisor.container import Exit
from supervisor.directories.cycles import refuse_cycles
from supervisor.groups import Group, Strategy
from supervisor.machine import State
from supervisor.monitor.types import Signal
from supervisor.order import graph
from supervisor.order.leaving import Leaving
from supervisor.order.needs import Need, Target
from supervisor.policy import OnLimit, Policy
from supervisor.workload.directory import Reading
from supervisor.workload.model import Settings
from supervisor.workload.sections.ready import Ready
from supervisor.workload.sections.workload import Placement
from tests.unit.supervisor.simulated import Script, World, running

names = st.sampled_from("abcdefgh")
graphs = st.dictionaries(names, st.frozensets(names, max_size=3), max_size=8)


@given(graphs)
def test_a_cycle_is_a_way_back_to_where_it_begins(needs: dict[str, frozenset[str]]) -> None:
    """Each step is a need; and what has no cycle has an order in which all needs come first."""
    found = graph.cycles(needs)
    for name, way in found.items():
        assert way[0] == way[-1] == name
        assert all(b in needs[a] for a, b in itertools.pairwise(way))
    if not found:
        order = graph.start_order(needs)
        assert sorted(order) == sorted(needs)
        for name in needs:
            assert all(order.index(n) < order.index(name) for n in needs[name] if n in needs)


@given(graphs.filter(lambda needs: not graph.cycles(needs)), st.randoms(use_true_random=False))
def test_everybody_leaves_after_those_who_need_them(
    needs: dict[str, frozenset[str]], random: Random
) -> None:
    """In whatever order they come to their ends, and nobody is forgotten."""
    leaving = Leaving(lambda name: {n for n in needs if name in needs[n]})
    asked = leaving.add(needs)
    gone: list[str] = []
    while asked:
        name = asked.pop(random.randrange(len(asked)))
        gone.append(name)
        asked += leaving.gone(name, needs[name])

    assert sorted(gone) == sorted(needs)
    for name in needs:
        assert all(gone.index(name) < gone.index(n) for n in needs[name] if n in needs)


@given(st.sampled_from(Strategy), st.lists(names, min_size=1, unique=True), st.data())
def test_strategies(strategy: Strategy, members: list[str], data: st.DataObject) -> None:
    """Who is taken along: nobody, all others, those that were started later."""
    name = data.draw(st.sampled_from(members))
    taken = groups.taken_along(Group(strategy), name, members)

    assert name not in taken
    expected = {
        Strategy.ONE_FOR_ONE: [],
        Strategy.ONE_FOR_ALL: [m for m in members if m != name],
        Strategy.REST_FOR_ONE: members[members.index(name) + 1 :],
    }
    assert taken == expected[strategy]


@given(st.lists(st.floats(0, 50), max_size=40), st.integers(1, 4), st.floats(1, 100))
def test_intensity(gaps: list[float], limit: int, window: float) -> None:
    """Never more than the limit in any window."""
    group, now = Group(limit=limit, window=window), 0.0
    recent: tuple[float, ...] = ()
    taken: list[float] = []
    for gap in gaps:
        now += gap
        counted = groups.count(group, recent, now)
        if counted is None:
            assert sum(moment > now - window for moment in taken) == limit
            break
        recent = counted
        taken.append(now)
        assert sum(moment > now - window for moment in taken) <= limit


def settings(
    after: tuple[str, ...] = (),
    requires: tuple[str, ...] = (),
    group: str | None = None,
    start: str = "boot",
    restart: Policy | None = None,
    on: str = "start",
) -> Settings:
    """Settings of a workload with these needs, `NAME:TARGET`."""
    return Settings(
        restart=restart or Policy(jitter=0),
        ready=Ready(on=on),
        workload=Placement(start, _needs(after), _needs(requires), group),
    )


def _needs(written: tuple[str, ...]) -> tuple[Need, ...]:
    split = [need.partition(":") for need in written]
    return tuple(Need(name, Target(target or "ready")) for name, _, target in split)


def starts(world: World) -> list[tuple[float, str]]:
    """When what was started."""
    return [(at, name) for at, name, what in world.engine.journal if what == "start"]


async def test_starts_wait_for_what_they_are_after(autojump_clock: MockClock) -> None:
    """Each target at its moment."""
    ready = ((5.0, Signal.READY, ""),)
    world = World(
        {
            "db": [Script(start=1, monitor=ready)],
            "migrate": [Script(life=2)],
            "s": [Script()], "r": [Script()], "c": [Script()],
        },
        settings={
            "db": settings(on="notify"),
            "migrate": settings(requires=("db",)),
            "s": settings(after=("db:started",)),
            "r": settings(requires=("db:ready",)),
            "c": settings(requires=("migrate:completed",)),
        },
    )  # fmt: skip
    async with running(world):
        assert world.nursery.status("c").waiting_for == ("migrate:completed",)
        await world.nursery.reached("c", "ready")

    assert starts(world)[0] == (0, "db")
    assert set(starts(world)[1:]) == {(1, "s"), (5, "r"), (5, "migrate"), (7, "c")}


async def test_stops_in_reverse(autojump_clock: MockClock) -> None:
    """What needs another has been deleted before the other is asked."""
    slow = Script(delete=3)
    world = World(
        {"a": [slow], "b": [slow], "c": [slow], "free": [slow]},
        settings={"b": settings(after=("a",)), "c": settings(requires=("b",))},
    )
    async with running(world):
        await world.nursery.reached("c", "ready")
        await trio.sleep(10)

    journal = [(at, name) for at, name, what in world.engine.journal if what == "signal SIGTERM"]
    assert sorted(journal) == [(10, "c"), (10, "free"), (13, "b"), (16, "a")]


async def test_a_stopped_requirement_takes_along_and_brings_back(
    autojump_clock: MockClock,
) -> None:
    """Those that require it stop first, wait with the reason shown, and come back with it."""
    world = World(
        {"db": [Script()], "app": [Script(delete=2)], "web": [Script(delete=1)], "x": [Script()]},
        settings={
            "app": settings(requires=("db",)),
            "web": settings(requires=("app",)),
            "x": settings(after=("db",)),
        },
    )
    async with running(world):
        await world.nursery.reached("web", "ready")
        world.nursery.stop("db", "root")
        await world.nursery.reached("db", "exited")
        assert trio.current_time() == 3
        app = world.nursery.status("app")
        assert (app.status, app.intent) == ("waiting", "none")
        assert app.waiting_for == ("db:ready (which is stopped)",)
        assert "db:ready" in app.why
        assert world.nursery.status("x").status == "running"
        world.nursery.start("db", "root")
        await world.nursery.reached("web", "ready")

    assert next(event["reason"] for event in world.named("stopping", "app")) == (
        "needs db, which is stopped"
    )


async def test_a_failed_requirement(autojump_clock: MockClock) -> None:
    """It takes along what requires it; what is only after it does not wait for ever."""
    world = World(
        {
            "db": [Script(life=5, end=Exit(code=78))],
            "app": [Script()],
            "late": [Script(life=1)],
            "log": [Script(life=1)],
        },
        settings={
            "app": settings(requires=("db",)),
            "late": settings(requires=("db:completed",)),
            "log": settings(after=("db:completed",)),
        },
    )
    await world.run(once=True)

    assert sorted(world.nursery.failed) == ["app", "db", "late"]
    assert (5, "log") in starts(world)
    assert world.named("stopping", "app")[0]["cause"] == "requirement"
    assert world.nursery.keepers["log"].state is State.DONE


def test_what_waits_for_itself_is_refused() -> None:
    """With the way, and the file and key to look at; whatever else was read is not touched."""
    made = {w.name: w for w in World({key: [Script()] for key in "abcd"}, settings={
        "a": settings(after=("b",)), "b": settings(requires=("c",)), "c": settings(after=("a",)),
        "d": settings(after=("a",)),
    }).workloads}  # fmt: skip
    readings = {name: Reading(name, made[name]) for name in "bcd"}
    checked = refuse_cycles({"a": made["a"]}, readings)

    assert checked["d"] is readings["d"]
    for name, way in (("b", "b -> c -> a -> b"), ("c", "c -> a -> b -> c")):
        reading = checked[name]
        assert reading is not None
        assert reading.workload is None
        assert f"waits for itself: {way}" in str(reading.error)
        assert f"/workloads/{name}/workload.toml: workload" in str(reading.error)


async def test_manual_starts_wait_for_somebody(autojump_clock: MockClock) -> None:
    """And so does what requires one."""
    world = World(
        {"m": [Script()], "n": [Script()]},
        settings={"m": settings(start="manual"), "n": settings(requires=("m",))},
    )
    async with running(world):
        await trio.sleep(5)
        assert world.nursery.status("m").why == "is started by hand only"
        assert world.nursery.status("n").status == "waiting"
        world.nursery.start("m", "root")
        await world.nursery.reached("n", "ready")
        assert trio.current_time() == 5


@pytest.mark.parametrize(
    ("strategy", "restarted"),
    [
        (Strategy.ONE_FOR_ONE, {"b"}),
        (Strategy.REST_FOR_ONE, {"b", "c"}),
        (Strategy.ONE_FOR_ALL, {"a", "b", "c"}),
    ],
)
async def test_groups_restart_together(
    autojump_clock: MockClock, strategy: Strategy, restarted: set[str]
) -> None:
    """All that go have gone before the first comes back; they come back in order."""
    world = World(
        {
            "a": [Script(delete=3)],
            "b": [Script(life=5, end=Exit(code=1)), Script()],
            "c": [Script(delete=2)],
            "other": [Script()],
        },
        settings={
            "a": settings(group="g"),
            "b": settings(group="g", after=("a",)),
            "c": settings(group="g", after=("b",)),
        },
        groups={"g": Group(strategy)},
    )
    async with running(world):
        await trio.sleep(20)

    again = starts(world)[4:]
    assert {name for _, name in again} == restarted
    assert [name for _, name in again] == sorted(restarted)
    gone = [at for at, name, what in world.engine.journal if what == "deleted" and at < 20]
    assert max(gone) <= min(at for at, _ in again)


async def test_a_group_has_an_intensity_of_its_own(autojump_clock: MockClock) -> None:
    """Restarts of all members count; then the group stops."""
    fails = Script(life=1, end=Exit(code=1))
    world = World(
        {"a": [fails], "b": [Script()], "c": [Script()]},
        settings={"a": settings(group="g"), "b": settings(group="g")},
        groups={"g": Group(Strategy.ONE_FOR_ONE, limit=3, window=100)},
    )
    async with running(world):
        await world.nursery.reached("a", "failed")
        await world.nursery.reached("b", "exited")
        assert world.nursery.status("a").result == "limit"
        assert "3 restarts in group g" in world.nursery.status("a").why
        assert world.nursery.status("c").status == "running"
    assert len(world.named("restart-scheduled", "a")) == 3


async def test_on_limit_may_stop_the_group(autojump_clock: MockClock) -> None:
    """The member has failed, the others are stopped."""
    policy = Policy(limit=1, on_limit=OnLimit.STOP_GROUP, jitter=0)
    world = World(
        {"a": [Script(life=1, end=Exit(code=1))], "b": [Script()]},
        settings={"a": settings(group="g", restart=policy), "b": settings(group="g")},
    )
    async with running(world):
        await world.nursery.reached("b", "exited")
        assert world.nursery.status("a").status == "failed"
        assert world.nursery.status("b").status == "stopped"
