"""creched killed after each of its effects: the next one goes on, and nothing is lost or doubled.

The effects are found by watching it (tests/support/effects.py), in scenes from a start to the
taking over of what another creched has left. An ordinary run walks a part of each scene, evenly
spread; CRECHE_WALK_ALL=1 walks all.
"""

from __future__ import annotations

import json
import os
import re
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import pytest

from supervisor.ctl.client import Client
from supervisor.ctl.problem import Problem
from tests.integration.supervised import Creched, Event
from tests.support.mountinfo import mounts
from tests.support.walk import evenly

pytestmark = [pytest.mark.root, pytest.mark.slow]

MOST = 4  # points of one scene in an ordinary run
STAGES = ("prestart", "createRuntime", "poststart", "poststop")
SETTINGS = """
[restart]
policy = "on-failure"
delay = 0
limit = 0
[stop]
timeout = "30s"
[update]
rollback = true
probation = "1m"
[logs]
to = "file"
"""
HOOK = '[[hooks.{0}]]\npath = "{1}"\nargs = ["hook", "{0}"]\n'
PROGRAM = """
[container]
args = ["busybox", "sh", "-c", '''
trap 'exit 41' USR1; trap 'exit 0' TERM
while :; do sleep 100000 & wait $!; done
''']
"""
FAILS = '[container]\nargs = ["busybox", "false"]\n'
LIVES = re.compile(r"((prestart (createRuntime (poststart )?)?)?poststop )*")
"""What hooks say: of each container as many stages as it has come to, and poststop in the end."""


class Stage:
    """One creched with one workload, `a`."""

    def __init__(self, base: Path) -> None:
        base.mkdir()
        self.base = base
        self.begin = base / "begin"
        self.said = base / "said"
        self.creched = Creched(base)
        hook = base / "hook"  # not in the workload's directory, which goes in one scene
        hook.write_text(f"#!/bin/sh\necho $1 >> {self.said}\n")
        hook.chmod(0o755)
        self.settings = SETTINGS + "".join(HOOK.format(stage, hook) for stage in STAGES)
        self.path = self.creched.add("a", self.settings + PROGRAM)
        self.seen = 0
        """So many events are not those of the creched that runs."""

    def start(self, *program: str) -> None:
        """creched, or another program that becomes one."""
        self.seen = len(self.creched.events)
        self.creched.program = [*program] or ["supervisor.creched"]
        self.creched.start()

    def kill(self) -> None:
        """By SIGKILL, if it has not come to that."""
        self.creched.signal(signal.SIGKILL)
        assert self.creched.finish() == -signal.SIGKILL

    def until(self, *states: str) -> None:
        """Until `a` is said to be in one of these states."""
        self.creched.pump(lambda: self.state() in states)

    def state(self) -> str:
        """The last that this creched has told of `a`."""
        told = [e["new"] for e in self.creched.events[self.seen :] if "new" in e]
        return str(told[-1]) if told else ""

    def listening(self) -> int:
        """Until its program runs and has set its traps, or a signal would be lost; its pid."""
        self.until("running")
        pid = self.pid()
        try:
            while not _catches(pid, signal.SIGTERM):
                os.sched_yield()
        except (FileNotFoundError, ProcessLookupError):  # it has ended; is started again
            self.creched.pump(lambda: self.state() != "running")
            return self.listening()
        return pid

    def pid(self) -> int:
        """Of the last container that was told of."""
        told = [e for e in self.creched.events if e["event"] in ("started", "adopted")]
        return int(told[-1]["pid"])

    def ask(self, *path: str) -> None:
        """A request on the control socket, which may be cut short."""
        client = Client(str(self.creched.root / ".creched/control.sock"))
        try:
            client.post(*path)
        except (Problem, OSError):
            pass
        finally:
            client.close()

    def journal(self) -> list[Event]:
        """All events as they were kept."""
        files = sorted((self.creched.root / ".creched/journal").glob("*.jsonl"))
        return [json.loads(line) for file in files for line in file.read_bytes().splitlines()]


def _catches(pid: int, number: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    [caught] = re.findall(r"^SigCgt:\s*(\w+)", status, re.MULTILINE)
    return bool(int(caught, 16) >> (number - 1) & 1)


# --- scenes ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scene:
    """One walk. act: begins it; until: waits for its end; then: waits, with the next creched, for
    what was declared. before: a creched that starts `a` and is killed, or goes on in the scene."""

    act: Callable[[Stage], object]
    until: Callable[[Stage], object]
    then: Callable[[Stage], object]
    before: str = "goes on"


def _nothing(stage: Stage) -> None:
    pass


def _fail(stage: Stage) -> None:
    os.kill(stage.listening(), signal.SIGUSR1)


def _failed(stage: Stage) -> None:
    stage.creched.wait_for("started", "a", 2)


def _stop(stage: Stage) -> None:
    stage.listening()
    stage.ask("workloads", "a", "stop")


def _as_intended(stage: Stage) -> None:
    """What was asked for holds from the moment on that it was noted."""
    if (stage.creched.state / "intent/a.json").exists():
        stage.until("stopped")
    else:
        stage.listening()


def _remove(stage: Stage) -> None:
    stage.listening()
    stage.path.rename(stage.base / "elsewhere")


def _forgotten(stage: Stage) -> None:
    """That it was removed is told, perhaps by the one before; and it is up by now."""
    stage.creched.pump(
        lambda: "supervisor-started" in [e["event"] for e in stage.creched.events[stage.seen :]]
    )
    stage.creched.pump(lambda: "workload-removed" in [e["event"] for e in stage.journal()])


def _update(stage: Stage) -> None:
    stage.listening()
    new = stage.path / ".new"
    new.write_text(stage.settings + FAILS)
    new.chmod(0o644)
    new.rename(stage.path / "workload.toml")


def _rolled_back(stage: Stage) -> None:
    """The version that has failed is known for that, and the one before runs."""
    index = stage.creched.state / "generations/a/index.json"
    stage.creched.pump(lambda: json.loads(index.read_text())["rejected"] is not None)
    stage.listening()


def _end(stage: Stage) -> None:
    stage.listening()
    stage.creched.signal(signal.SIGTERM)


def _ended(stage: Stage) -> None:
    stage.creched.pump(lambda: False)


SCENES = {
    "start": Scene(_nothing, Stage.listening, Stage.listening, before="is not there"),
    "adoption": Scene(_nothing, Stage.listening, Stage.listening, before="is killed"),
    "failure": Scene(_fail, _failed, Stage.listening),
    "stop": Scene(_stop, lambda stage: stage.until("stopped"), _as_intended),
    "removal": Scene(_remove, lambda s: s.creched.wait_for("workload-removed", "a"), _forgotten),
    "update": Scene(_update, _rolled_back, _rolled_back),
    "end": Scene(_end, _ended, Stage.listening),
}


def play(scene: Scene, stage: Stage, point: str) -> list[str]:
    """A scene up to a point, or to its end; the points that it has passed."""
    if scene.before == "is killed":
        stage.start()
        stage.listening()
        stage.kill()
    if scene.before != "goes on":
        stage.begin.touch()
    points = stage.base / "points"
    stage.start("tests.support.effects", str(points), str(stage.begin), point)
    try:
        if scene.before == "goes on":
            stage.listening()
            stage.begin.touch()
        scene.act(stage)
        scene.until(stage)
    except (EOFError, FileNotFoundError, ProcessLookupError):
        if not point and scene.until is not _ended:
            raise
    return points.read_text().splitlines()


def problems(stage: Stage) -> list[str]:
    """What is wrong when everything has come to an end."""
    found = []
    events = stage.journal()
    numbers = [event["seq"] for event in events]
    if numbers != list(range(1, len(numbers) + 1)):
        found.append(f"gaps: {numbers}")
    ends = Counter(e["attempt"] for e in events if e["event"] == "exited")
    made = {e["attempt"]: e["pid"] for e in events if e["event"] in ("created", "adopted")}
    if dict.fromkeys(made, 1) != ends:
        found.append(f"made {sorted(made)}, ended {sorted(ends.elements())}")
    for event in events:
        if event["event"] in ("started", "adopted") and event["pid"] != made[event["attempt"]]:
            found.append(f"another process: {event}")
        if event["event"] in ("workload-fault", "workload-warning", "container-warning") and (
            "no state saved" not in event["message"]  # its directory had just been made
        ):
            found.append(f"told: {event}")
        if event["event"] == "hook-failed":
            found.append(f"told: {event}")
        if event["event"] == "exited" and event["signal"]:
            found.append(f"killed: {event}")
    said = stage.said.read_text().split()
    lives = "".join(f"{stage} " for stage, _ in groupby(said))
    aborted = [e["event"] for e in events].count("aborting")  # perhaps with poststop hooks alone
    if len(said) - len(lives.split()) > 1 + aborted or not LIVES.fullmatch(lives):
        found.append(f"hooks: {said}")
    if lives.count("poststart") < len({e["attempt"] for e in events if e["event"] == "started"}):
        found.append(f"programs without poststart hooks: {said}")
    if events[-1]["event"] != "supervisor-stopped":
        found.append(f"the last event is {events[-1]}")
    removed = [e["event"] for e in events].count("workload-removed")
    if removed != (not stage.path.exists()):
        found.append(f"{removed} times removed")
    kept = {str(path.relative_to(stage.creched.state)) for path in stage.creched.state.glob("*/*")}
    if removed and kept - {"logs/a"}:
        found.append(f"kept: {kept}")
    try:
        stage.creched.check_files()
    except AssertionError as error:
        found.append(str(error))
    return found


@pytest.mark.parametrize("name", SCENES)
def test_killed_after_each_effect(tmp_path: Path, name: str) -> None:
    scene = SCENES[name]
    before = mounts()
    stage = Stage(tmp_path / "all")
    points = play(scene, stage, "")
    if stage.creched.process is not None:
        stage.creched.stop()
    assert problems(stage) == []
    assert len(points) > 10
    found = {}
    cut = 0
    chosen = evenly(points, MOST)
    for number, point in enumerate(chosen):
        stage = Stage(tmp_path / str(number))
        try:
            play(scene, stage, point)
            stage.creched.signal(signal.SIGKILL)
            cut += stage.creched.finish() == -signal.SIGKILL
            stage.start()
            scene.then(stage)
            stage.creched.stop()
            wrong = problems(stage)
        except Exception as error:
            wrong = [repr(error)]
        finally:
            stage.creched.clean()
        if wrong:
            found[point] = [*wrong, stage.creched.tail()]
    print(f"{name}: {cut} of {len(chosen)} of {len(points)} points")
    for point, wrong in found.items():
        print(point, *wrong, sep="\n    ")
    assert list(found) == []
    assert mounts() == before
