"""Each command killed at each of its steps: `delete --force` then succeeds and leaves nothing.

The steps are found from the code (tests/support/walk.py). An ordinary run walks a part of them,
evenly spread, and every step of the lifecycle's protocol; CRECHE_WALK_ALL=1 walks all.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.bundle import Bundle
from tests.support.inside import cgroups_named, launched
from tests.support.isolation import PREFIX
from tests.support.mountinfo import mounts
from tests.support.repository import REPOSITORY
from tests.support.runtimes import Runtime
from tests.support.waiting import wait_exit
from tests.support.walk import Walked, evenly

pytestmark = [pytest.mark.root, pytest.mark.slow]

Bundles = Callable[..., Bundle]

MOST = 20  # points of one command in an ordinary run
STAGES = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
STATUSES = ("creating", "created", "running", "paused", "stopped")


@dataclass(frozen=True)
class Case:
    """words: of the command, with the container's id at the end. before: what has been done."""

    words: tuple[str, ...]
    before: str = "running"
    after: tuple[str, ...] = ()


CASES = {
    "create": Case(("create", "-b", "{bundle}"), before=""),
    "run": Case(("run", "-d", "-b", "{bundle}"), before=""),
    "start": Case(("start",), before="created"),
    "exec": Case(("exec", "-d"), after=("/bin/sleep", "1000")),
    "pause": Case(("pause",)),
    "resume": Case(("resume",), before="paused"),
    "update": Case(("update", "--pids-limit", "20", "--memory", "64M")),
    "kill": Case(("kill",), after=("KILL",)),
    "delete": Case(("delete", "--force")),
    "delete of a paused one": Case(("delete", "--force"), before="paused"),
}


def prepare(creche: Runtime, case: Case, made: Bundle, name: str) -> None:
    """Bring a container to where the command begins."""
    if case.before == "created":
        creche.run(["create", "-b", made, name]).ok()
    elif case.before:
        launched(creche, name, made)
    if case.before == "paused":
        creche.run(["pause", name]).ok()


def left(creche: Runtime, name: str) -> list[str]:
    """What there still is of a container. Processes are the session's to find (leaks.py)."""
    found = [str(creche.root / name)] if (creche.root / name).exists() else []
    return found + cgroups_named(name)


@pytest.fixture
def walked(tmp_path: Path, creche: Runtime) -> Walked:
    """Give creche with the profiler in it, with the same state directory."""
    return Walked(tmp_path, creche.root)


def reached(points: list[str]) -> set[str]:
    """The kinds of step of the protocol among the points."""
    return {point.split("perform ")[1].partition("(")[0] for point in points if "perform " in point}


@pytest.mark.parametrize("what", CASES)
def test_killed_at_each_step(
    creche: Runtime, walked: Walked, bundle: Bundles, tmp_path: Path, what: str
) -> None:
    case = CASES[what]
    hook = {"path": "/bin/busybox", "args": ["true"]}
    made = bundle({"hooks": {stage: [hook] for stage in STAGES}}, args=["/bin/sleep", "1000"])
    errors = tmp_path / "errors"
    before = mounts()

    def words(name: str) -> list[str]:
        return [word.format(bundle=made) for word in case.words] + [name, *case.after]

    prepare(creche, case, made, f"{PREFIX}walk0")
    points = walked.points(words(f"{PREFIX}walk0"), errors)
    creche.run(["delete", "--force", f"{PREFIX}walk0"]).ok()
    assert len(points) > 20
    steps = [point for point in points if "perform " in point]
    chosen = list(dict.fromkeys([*evenly(points, MOST), *steps]))
    problems = []
    for number, point in enumerate(chosen, 1):
        name = f"{PREFIX}walk{number}"
        prepare(creche, case, made, name)
        walked.call(words(name), point, errors)
        if creche.run(["list", "-f", "json"]).rc:
            problems.append(f"{point}: list failed")
        state = creche.run(["state", name])
        if state.rc == 0 and json.loads(state.stdout)["status"] not in STATUSES:
            problems.append(f"{point}: {state.stdout}")
        result = creche.run(["delete", "--force", name])
        if result.rc or (remains := left(creche, name)):
            remains = left(creche, name)
            problems.append(f"{point}: {result.describe()} left {remains}")
            creche.run(["delete", "--force", name])

    assert problems == []
    assert mounts() == before
    assert list(creche.root.iterdir()) == []


def test_every_step_of_the_protocol_is_walked(
    creche: Runtime, walked: Walked, bundle: Bundles, tmp_path: Path
) -> None:
    """But Warn, which only says something, and Restore, which needs a CRIU that works here."""
    source = (REPOSITORY / "runtime/lifecycle/protocol.py").read_text()
    kinds = {
        node.name
        for node in ast.parse(source).body
        if isinstance(node, ast.ClassDef) and any(isinstance(b, ast.Name) for b in node.bases)
    }
    made = bundle(args=["/bin/sleep", "1000"])
    name = f"{PREFIX}walk"
    seen: set[str] = set()
    commands: list[list[Any]] = [
        ["create", "-b", made, name],
        ["start", name],
        ["delete", "-f", name],
    ]
    for command in commands:
        seen |= reached(walked.points(command, tmp_path / "errors"))

    assert kinds - seen == {"Restore", "Warn"}


def test_a_killed_command_of_the_caller_kills_no_container(
    creche: Runtime, walked: Walked, bundle: Bundles, tmp_path: Path, container_id: str
) -> None:
    """state killed half-way is of no consequence at all."""
    pid = launched(creche, container_id, bundle(args=["/bin/sleep", "1000"]))
    for point in walked.points(["state", container_id], tmp_path / "errors"):
        assert walked.call(["state", container_id], point, tmp_path / "errors") == -9
        assert creche.pid(container_id) == pid
    creche.run(["delete", "--force", container_id]).ok()
    wait_exit(pid)
