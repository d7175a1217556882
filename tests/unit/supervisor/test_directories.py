"""Real directories, simulated containers and virtual time: what changes lead to."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest
import trio
from trio.testing import MockClock

from supervisor.container import Exit
from supervisor.directories.directories import Directories
from supervisor.directories.generations import Generations
from supervisor.groups import Group
from supervisor.machine import State
from supervisor.monitor.types import Signal
from supervisor.nursery import Refused
from supervisor.record import Record, Resumed
from supervisor.watch import Watcher
from supervisor.workload.errors import WorkloadError
from supervisor.workload.model import Workload
from tests.unit.supervisor.simulated import Script, SimulatedContainer, World

C = '[container]\nargs = ["{}"]\n'
UPDATE = '[update]\nrollback = true\nprobation = "30s"\n'
FAILS = Script(life=1, end=Exit(code=7))


class Notices:
    """In the place of the Watcher: the test says what has changed."""

    def __init__(self) -> None:
        self.notes: dict[str, list[Callable[[str | None], None]]] = {}

    def watch_directory(self, fd: int, note: Callable[[str | None], None]) -> Callable[[], None]:
        """As Watcher does."""
        path = os.readlink(f"/proc/self/fd/{fd}")
        self.notes.setdefault(path, []).append(note)

        def undo() -> None:
            self.notes[path].remove(note)

        return undo

    def change(self, path: Path) -> None:
        """Something of this name has changed."""
        for note in tuple(self.notes.get(str(path.parent), ())):
            note(path.name)


class Live:
    """Directories that are followed."""

    def __init__(self, base: Path, **scripts: list[Script]) -> None:
        self.path = base / "workloads"
        self.path.mkdir(exist_ok=True)
        self.path.chmod(0o755)
        self.base = base
        self.scripts = {name: [Script()] for name in "abc"} | scripts
        self.damaged: list[str] = []
        self.groups: dict[str, Group] = {}

    def write(self, name: str, text: str, file: str = "workload.toml") -> Path:
        """A workload's file."""
        path = self.path / name / file
        path.parent.mkdir(exist_ok=True, mode=0o755)
        path.write_text(text)
        path.chmod(0o644)
        return path

    @asynccontextmanager
    async def running(self) -> AsyncIterator[World]:
        """A creched from its start to its end, which is sudden."""
        self.world = World(dict(self.scripts), groups=self.groups)
        self.notices = Notices()
        generations = Generations(str(self.base), lambda *told: self.damaged.append(told[0]))
        self.directories = Directories(
            str(self.path), "/scratch", self.world.nursery, self.world.log, generations
        )
        async with trio.open_nursery() as tasks:
            self.directories.begin(await self.directories.load(), tasks)
            tasks.start_soon(self.world.nursery.run, False)
            tasks.start_soon(self.directories.run, cast(Watcher, self.notices))
            await trio.sleep(2)
            yield self.world
            tasks.cancel_scope.cancel()

    async def edit(self, name: str, text: str, file: str = "workload.toml") -> None:
        """Write, and wait until it has been noticed."""
        self.notices.change(self.write(name, text, file))
        await trio.sleep(0.9)

    def told(self, event: str) -> list[dict[str, object]]:
        """Events of one name."""
        return self.world.named(event)


async def test_only_what_must_be_is_restarted(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Key by key; what means the same changes nothing."""
    live = Live(tmp_path)
    live.write("a", C.format(1))
    live.write("b", C.format(1))
    async with live.running():
        await live.edit("a", C.format(1) + "[restart]\nlimit = 3")
        await live.edit("a", C.format(1) + "# only a remark\n[restart]\nlimit = 3")
        assert live.directories.current["a"].settings.restart.limit == 3
        await live.edit("a", C.format(2))
        await live.edit("a", C.format(1), "workload.d/x.toml")  # not watched: it was not there
        live.notices.change(live.path / "a" / "workload.d")
        await trio.sleep(1)

    changed = [(e["action"], e["keys"], e["generation"]) for e in live.told("workload-changed")]
    assert changed == [
        ("apply", ["restart.limit"], 2),
        ("none", [], 3),
        ("restart", ["restart.limit", "container.args"], 4),
        ("restart", ["container.args"], 5),
    ]
    assert {e["attempt"] for e in live.told("started") if e["workload"] == "a"} == {1, 2, 3}
    assert {e["attempt"] for e in live.told("started") if e["workload"] == "b"} == {1}


async def test_plan_says_what_reload_does(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Word for word, and the second reload has nothing to do."""
    live = Live(tmp_path)
    live.write("a", C.format(1))
    live.write("b", C.format(1))
    async with live.running():
        live.write("a", "nonsense")
        shutil.rmtree(live.path / "b")
        live.write("c", C.format(1))
        plan = await live.directories.plan()
        assert plan.to_json() == (await live.directories.plan()).to_json()
        done = await live.directories.reload()
        again = await live.directories.reload()

    assert [(step.name, step.action) for step in plan.steps] == [
        ("a", "keep"), ("b", "remove"), ("c", "add"),
    ]  # fmt: skip
    assert plan.changed
    assert plan.refused
    assert done.to_json() == plan.to_json()
    assert not again.changed
    assert len(live.told("change-refused")) == 1


async def test_renaming_stops_the_old_one_first(tmp_path: Path, autojump_clock: MockClock) -> None:
    """They may share a port."""
    live = Live(tmp_path, a=[Script(dies_of={15: (5, Exit(code=0))})])
    live.write("a", C.format(1))
    async with live.running():
        (live.path / "a").rename(live.path / "b")
        plan = await live.directories.plan()
        live.notices.change(live.path / "a")
        live.notices.change(live.path / "b")
        await trio.sleep(10)

    assert [(s.name, s.action, s.renamed) for s in plan.steps] == [
        ("a", "remove", "b"),
        ("b", "add", "a"),
    ]
    names = [(e["event"], e.get("workload")) for e in live.world.events]
    assert names.index(("workload-removed", "a")) < names.index(("creating", "b"))


async def test_removed_and_put_back_while_it_still_ends(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """It is started anew, as it is now, when the old one is gone."""
    live = Live(tmp_path, a=[Script(dies_of={15: (5, Exit(code=0))})])
    live.write("a", C.format(1))
    async with live.running():
        shutil.rmtree(live.path / "a")
        live.notices.change(live.path / "a")
        await trio.sleep(1)
        live.write("a", C.format(2))
        live.notices.change(live.path / "a")
        await trio.sleep(1)
        await live.edit("a", C.format(3))
        await trio.sleep(10)
        assert live.directories.current["a"] is live.world.nursery.keepers["a"].workload

    story = [event for event in live.world.story("a") if event in ("workload-removed", "started")]
    assert story == ["started", "workload-removed", "started"]


async def test_a_mistake_is_told_once_and_kept_out(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """Also by the next creched, which begins with the version that was good."""
    live = Live(tmp_path)
    live.write("a", C.format(1))
    async with live.running():
        await live.edit("a", "[container]\nargs = 3")
        await live.edit("a", "[container]\nargs = 3")
        live.write("b", "[nonsense]")
        live.notices.change(live.path / "b")
        await trio.sleep(1)
        assert [(e["line"], e["key"]) for e in live.told("change-refused")] == [
            (2, "container.args")
        ]
        assert [e["workload"] for e in live.told("workload-refused")] == ["b"]
    async with live.running():
        assert len(live.told("started")) == 1
        assert len(live.told("change-refused")) == 1
        await live.edit("a", C.format(1))
        assert len(live.told("workload-mended")) == 1
        assert live.told("workload-changed") == []


async def test_what_is_refused_has_a_status(tmp_path: Path, autojump_clock: MockClock) -> None:
    """It can be asked for, not commanded; that it is mended or has gone is an event."""
    live = Live(tmp_path)
    live.write("a", C.format(1))
    live.write("b", "[nonsense]\n[more]")
    async with live.running() as world:
        assert [(s.name, s.status) for s in world.nursery.statuses()] == [
            ("a", "running"), ("b", "refused"),
        ]  # fmt: skip
        refused = world.nursery.status("b")
        assert [problem.key for problem in refused.problems] == ["nonsense", "more"]
        assert refused.directory == str(live.path / "b")
        assert refused.why.endswith("(and 1 more)")
        for act in (world.nursery.start, world.nursery.stop, world.nursery.reset):
            with pytest.raises(Refused, match=r"b is refused: .*workload\.toml:1: nonsense: "):
                act("b", "somebody")
        with pytest.raises(Refused):
            await world.nursery.reached("b", "ready")

        await live.edit("a", "nonsense")
        status = world.nursery.status("a")
        assert (status.status, len(status.problems)) == ("running", 1)
        world.nursery.restart("a", "somebody")  # the version before
        await trio.sleep(1)
        await live.edit("a", C.format(1))
        assert world.nursery.status("a").problems == ()
        assert len(live.told("workload-mended")) == 1

        await live.edit("b", C.format(1))
        assert world.nursery.status("b").status == "running"
        await live.edit("c", "[nonsense]")
        live.notices.change(live.path / "c")
        await trio.sleep(1)
        assert world.nursery.status("c").status == "refused"
        shutil.rmtree(live.path / "c")
        live.notices.change(live.path / "c")
        await trio.sleep(1)
        assert [e["workload"] for e in live.told("workload-removed")] == ["c"]
        with pytest.raises(KeyError):
            world.nursery.status("c")


async def test_a_refused_directory_goes_and_so_does_what_an_earlier_creched_left(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """Its container is left alone until then."""
    live = Live(tmp_path)
    live.write("a", "[nonsense]")
    async with live.running() as world:
        left = SimulatedContainer("a", Script(), world.engine.journal)
        left.pid, left.started_at = 4711, 0.0
        await left.create()
        record = Record("a", state=State.RUNNING, container="a", pid=4711, attempt=3)
        world.nursery.left["a"] = Resumed(record, left)
        status = world.nursery.status("a")
        assert (status.status, status.pid, status.attempt) == ("refused", 4711, 3)
        assert status.why.endswith("; its container is left as it is")
        shutil.rmtree(live.path / "a")
        live.notices.change(live.path / "a")
        await trio.sleep(60)
        assert "deleted" in [what for _at, _name, what in world.engine.journal]
        assert live.world.story("a")[-1] == "workload-removed"
        assert len(live.told("workload-removed")) == 1


async def test_a_group_that_nobody_declares(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Is a warning, when it is read and when it comes to be; an empty table is enough."""
    live = Live(tmp_path)
    live.groups = {"web": Group()}
    live.write("a", C.format(1) + "[workload]\ngroup = 'webb'\n")
    live.write("b", C.format(1) + "[workload]\ngroup = 'web'\n")
    async with live.running():
        await live.edit("b", C.format(1) + "[workload]\ngroup = 'other'\n")
        warned = [(e["workload"], e["message"]) for e in live.told("workload-warning")]

    assert [name for name, _ in warned] == ["a", "b"]
    assert "no [groups.webb], " in str(warned[0][1])
    assert str(warned[0][1]).endswith("did you mean 'web'?")
    assert str(warned[1][1]).endswith("concerns no other")


async def test_kept_files_that_are_damaged_are_no_reason_to_stop(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """They are reported, and what is in the directory is used."""
    live = Live(tmp_path)
    live.write("a", C.format(1))
    live.write("b", C.format(1))
    async with live.running():
        pass
    (tmp_path / "generations/a/1/workload.toml").write_text("")
    (tmp_path / "generations/b/index.json").write_text("{")
    live.write("a", C.format(2))
    async with live.running():
        assert len(live.told("started")) == 2

    assert [Path(path).name for path in live.damaged] == ["1", "index.json"] or live.damaged


async def test_a_bad_update_is_rolled_back(tmp_path: Path, autojump_clock: MockClock) -> None:
    """At its first failure; the same files are not tried again until others have been there."""
    live = Live(tmp_path, a=[Script(), FAILS, Script(), FAILS, Script()])
    live.write("a", C.format(1) + UPDATE)
    async with live.running():
        await live.edit("a", C.format(2) + UPDATE)
        await trio.sleep(60)
        [back] = live.told("rolled-back")
        assert (back["generation"], back["rejected"]) == (1, 2)
        assert "exit status 7" in str(back["reason"])
        assert live.world.nursery.status("a").state == "running"
        plan = await live.directories.plan()
        assert [(s.action, s.reason[:36]) for s in plan.steps] == [
            ("keep", "this version has failed its probatio")
        ]
        live.notices.change(live.path / "a" / "workload.toml")
        await trio.sleep(60)
        assert len(live.told("started")) == 3
        await live.edit("a", C.format(1) + UPDATE)
        await live.edit("a", C.format(2) + UPDATE)
        await trio.sleep(60)
        assert [e["rejected"] for e in live.told("rolled-back")] == [2, 3]


HOOK = "[[hooks.{}]]\npath = '{}'\nargs = ['{}', 'x']\ntimeout = '{}s'\n"


def hooks(workload: Workload) -> dict[str, list[dict[str, object]]]:
    """Those that its container gets, by stage."""
    found = cast(dict[str, list[dict[str, object]]], workload.config["hooks"])
    return {stage: listed for stage, listed in found.items() if listed}


@pytest.mark.parametrize("killed", [False, True])
async def test_hooks_come_back_with_their_version(
    tmp_path: Path, autojump_clock: MockClock, killed: bool
) -> None:
    """Which there are, with their arguments and deadlines; also if creched is killed meanwhile."""
    live = Live(tmp_path, a=[Script(), *([] if killed else [FAILS]), Script()])
    for name in ("old", "new"):
        live.write("a", "#!/bin/sh\n", name).chmod(0o755)
    live.write("a", C.format(1) + UPDATE + HOOK.format("poststop", "old", "old", 5))
    async with live.running() as world:
        before = hooks(world.nursery.keepers["a"].workload)
        assert before["poststop"][0]["args"] == ["old", "x"]
        await live.edit("a", C.format(2) + UPDATE + HOOK.format("prestart", "new", "new", 9))
        await trio.sleep(0 if killed else 60)
        if not killed:
            assert [e["rejected"] for e in live.told("rolled-back")] == [2]
            assert hooks(world.nursery.keepers["a"].workload) == before
    if killed:
        live.scripts["a"] = [FAILS, Script()]
    async with live.running() as world:
        await trio.sleep(60)
        assert [e["rejected"] for e in live.told("rolled-back")] == [2] * killed
        assert hooks(world.nursery.keepers["a"].workload) == before


async def test_a_rejected_version_stays_rejected(tmp_path: Path, autojump_clock: MockClock) -> None:
    """For the next creched as well."""
    live = Live(tmp_path, a=[Script(), FAILS, Script()])
    live.write("a", C.format(1) + UPDATE)
    async with live.running():
        await live.edit("a", C.format(2) + UPDATE)
        await trio.sleep(10)
    live.scripts["a"] = [Script()]
    async with live.running():
        assert live.directories.current["a"].settings.given["container.args"] == ("1",)
        await trio.sleep(100)

    assert live.told("workload-changed") == []


async def test_a_good_update_is_proven(tmp_path: Path, autojump_clock: MockClock) -> None:
    """When its probation is over; only then the old files are forgotten."""
    live = Live(tmp_path)
    live.write("a", C.format(1) + UPDATE)
    kept = tmp_path / "generations" / "a"
    async with live.running():
        await live.edit("a", C.format(2) + UPDATE)
        await trio.sleep(20)
        assert {path.name for path in kept.iterdir()} == {"1", "2", "index.json"}
        await trio.sleep(20)
        assert [e["generation"] for e in live.told("update-proven")] == [2]

    assert {path.name for path in kept.iterdir()} == {"2", "index.json"}


async def test_probation_goes_on_in_the_next_creched(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """It begins anew, and the version to go back to is still known."""
    live = Live(tmp_path)
    live.write("a", C.format(1) + UPDATE)
    async with live.running():
        await live.edit("a", C.format(2) + UPDATE)
        await trio.sleep(5)
    live.scripts["a"] = [FAILS, Script()]
    async with live.running():
        await trio.sleep(10)
        assert [(e["generation"], e["rejected"]) for e in live.told("rolled-back")] == [(1, 2)]


NEVER_READY = Script(monitor=())
UNHEALTHY = Script(
    monitor=((0, Signal.READY, ""), (1, Signal.HEALTHY, ""), (20, Signal.UNHEALTHY, "no answer"))
)


@pytest.mark.parametrize(
    ("script", "text", "reason"),
    [
        (NEVER_READY, "[ready]\non = 'notify'\ntimeout = 0\n", "was not ready within 30 s"),
        (UNHEALTHY, "[health]\nexec = ['x']\n", "no answer"),
    ],
)
async def test_what_does_not_become_healthy_is_rolled_back(
    tmp_path: Path, autojump_clock: MockClock, script: Script, text: str, reason: str
) -> None:
    """And what does not stay so."""
    live = Live(tmp_path, a=[Script(), script, Script()])
    live.write("a", C.format(1) + UPDATE)
    async with live.running():
        await live.edit("a", C.format(2) + UPDATE + text)
        await trio.sleep(60)
        [back] = live.told("rolled-back")
        assert reason in str(back["reason"])


async def test_another_update_during_probation(tmp_path: Path, autojump_clock: MockClock) -> None:
    """What is gone back to is the last version that was proven."""
    live = Live(tmp_path, a=[Script(), Script(), FAILS, Script()])
    live.write("a", C.format(1) + UPDATE)
    async with live.running():
        await live.edit("a", C.format(2) + UPDATE)
        await trio.sleep(5)
        await live.edit("a", C.format(3) + UPDATE)
        await trio.sleep(60)
        assert [(e["generation"], e["rejected"]) for e in live.told("rolled-back")] == [(1, 3)]
        assert live.told("update-proven") == []


async def test_stopped_by_hand_during_probation(tmp_path: Path, autojump_clock: MockClock) -> None:
    """That says nothing about the version: its next start is watched."""
    live = Live(tmp_path, a=[Script(), Script(), FAILS, Script()])
    live.write("a", C.format(1) + UPDATE)
    async with live.running():
        await live.edit("a", C.format(2) + UPDATE)
        await trio.sleep(5)
        live.world.nursery.stop("a", "somebody")
        await trio.sleep(100)
        assert live.told("rolled-back") == live.told("update-proven") == []
        live.world.nursery.start("a", "somebody")
        await trio.sleep(60)
        assert len(live.told("rolled-back")) == 1


async def test_the_directory_goes_and_comes(tmp_path: Path, autojump_clock: MockClock) -> None:
    """What runs is not touched by that."""
    live = Live(tmp_path)
    live.write("a", C.format(1))
    away = tmp_path / "away"
    async with live.running():
        live.path.rename(away)
        live.notices.change(live.path)
        await trio.sleep(1)
        live.notices.change(live.path)
        await trio.sleep(1)
        with pytest.raises(WorkloadError, match="does not exist"):
            await live.directories.plan()
        away.rename(live.path)
        live.write("a", C.format(2))
        live.notices.change(live.path)
        await trio.sleep(1)
        assert len(live.told("directory-lost")) == len(live.told("directory-found")) == 1
        assert [e["action"] for e in live.told("workload-changed")] == ["restart"]


async def test_editors(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Half-written files, backups and swap files are nobody's business."""
    live = Live(tmp_path)
    path = live.write("a", C.format(1))
    async with live.running():
        for step in ("", "[cont", C.format(2)):  # truncate, write, write more
            path.write_text(step)
            live.notices.change(path)
            await trio.sleep(0.1)
        for name in (".workload.toml.swp", "workload.toml~", "4913", "#workload.toml#"):
            live.notices.change(live.write("a", "[nonsense]", name))
        await trio.sleep(1)

    assert [e["action"] for e in live.told("workload-changed")] == ["restart"]
    assert live.told("change-refused") == []
