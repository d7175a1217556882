"""Descriptors that the caller of the runtime left open stay outside, but for those asked for."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.attack.lab import Inheriting, Lab
from tests.support.runtimes import Runtime

pytestmark = pytest.mark.root

LAST = 200
LIST = "ls /proc/$$/fd; true"


def listed(text: str) -> list[int]:
    return sorted(int(word) for word in text.split())


def open_inside(lab: Lab, runtime: Runtime, command: str, *flags: str) -> list[int]:
    """The descriptors that a program in the container has."""
    hostile = Inheriting(runtime, lab, last=LAST)
    name = lab.name()
    if command == "run":
        return listed(hostile.run(["run", *flags, "-b", lab.bundle(sh=LIST), name]).ok().stdout)
    runtime.run(["run", "-d", "-b", lab.bundle(args=["/bin/sleep", "1000"]), name]).ok()
    result = hostile.run(["exec", *flags, name, "/bin/sh", "-c", LIST]).ok()
    return listed(result.stdout)


def attack(lab: Lab, runtime: Runtime, command: str) -> str:
    surplus = [fd for fd in open_inside(lab, runtime, command) if fd > 2]
    return f"{command}: descriptors {surplus} came along" if surplus else ""


@pytest.mark.parametrize("command", ["run", "exec"])
def test_only_the_standard_streams_come_along(lab: Lab, creche: Runtime, command: str) -> None:
    assert open_inside(lab, creche, command) == [0, 1, 2]
    assert attack(lab, lab.creche("inherited-descriptors"), command)


@pytest.mark.parametrize("command", ["run", "exec"])
def test_as_many_as_asked_for_come_along(lab: Lab, creche: Runtime, command: str) -> None:
    assert open_inside(lab, creche, command, "--preserve-fds=2") == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("stage", ["createRuntime", "createContainer", "startContainer"])
def test_hooks_get_none_either(lab: Lab, creche: Runtime, stage: str) -> None:
    made = lab.bundle(args=["/bin/true"])
    inside = stage == "startContainer"
    output = (made.rootfs if inside else made.path) / "hook-output"
    told = "/hook-output" if inside else str(output)
    hook = made.script("hook", f"exec ls -l /proc/self/fd >{told}", inside=inside)
    path = "/hook" if inside else str(hook)
    made.patch({"hooks": {stage: [{"path": path, "env": ["PATH=/bin:/usr/bin"]}]}})
    Inheriting(creche, lab, last=LAST).run(["run", "-b", made, lab.name()]).ok()

    assert "hook-output" in output.read_text()
    assert str(lab.host) not in output.read_text()


@pytest.mark.parametrize("command", ["run", "exec"])
def test_peers(lab: Lab, peer: Callable[[Callable[[Runtime], str]], str], command: str) -> None:
    peer(lambda runtime: attack(lab, runtime, command))
