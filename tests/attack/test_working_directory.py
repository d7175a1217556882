"""CVE-2024-21626: a working directory that is a descriptor of one of the host's directories.

The runtime is started with many of these open, and every number is tried as the container's
working directory, `/proc/self/fd/N`. A container that begins in the host's directory could climb
from there to the host's root.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from tests.attack.lab import CANARY, Inheriting, Lab
from tests.support.runtimes import Runtime

pytestmark = pytest.mark.root

OUTSIDE = "current working directory is outside of container mount namespace root"
LOOK = "cat ./canary"
NUMBERS = range(64)


def run_in(lab: Lab, runtime: Runtime, directory: str) -> str:
    """Evidence that a container read the canary in its working directory."""
    made = lab.bundle({"process": {"cwd": directory}}, sh=LOOK)
    return read_canary(lab, runtime, ["run", "-b", made, lab.name()])


def read_canary(lab: Lab, runtime: Runtime, args: list[object], stdin: str = "") -> str:
    fd = os.open(stdin or os.devnull, os.O_RDONLY)
    try:
        result = runtime.run([str(word) for word in args], stdin=fd)
    finally:
        os.close(fd)
    return f"{args} read the canary" if CANARY in result.stdout else ""


@pytest.fixture
def running(lab: Lab, creche: Runtime) -> str:
    """Give a container to exec in."""
    name = lab.name()
    creche.run(["run", "-d", "-b", lab.bundle(args=["/bin/sleep", "1000"]), name]).ok()
    return name


def test_run_no_descriptor_leads_outside(lab: Lab, creche: Runtime) -> None:
    hostile = Inheriting(creche, lab, last=NUMBERS[-1])
    made = lab.bundle(sh=LOOK)
    for number in NUMBERS:
        made.patch({"process": {"cwd": f"/proc/self/fd/{number}"}})
        assert not read_canary(lab, hostile, ["run", "-b", made, lab.name()])


def test_exec_no_descriptor_leads_outside(lab: Lab, creche: Runtime, running: str) -> None:
    hostile = Inheriting(creche, lab, last=NUMBERS[-1])
    for number in NUMBERS:
        words = ["exec", "--cwd", f"/proc/self/fd/{number}", running, "/bin/cat", "./canary"]
        assert not read_canary(lab, hostile, words)


def by_stdin(lab: Lab, runtime: Runtime, running: str) -> str:
    """The one descriptor that stays open by intention is a directory of the host, too."""
    cwd = "/proc/self/fd/0"
    if running:
        words: list[object] = ["exec", "--cwd", cwd, running, "/bin/cat", "./canary"]
    else:
        words = ["run", "-b", lab.bundle({"process": {"cwd": cwd}}, sh=LOOK), lab.name()]
    return read_canary(lab, runtime, words, stdin=str(lab.host))


@pytest.mark.parametrize("command", ["run", "exec"])
def test_the_standard_input_leads_outside(
    lab: Lab, creche: Runtime, running: str, command: str
) -> None:
    name = running if command == "exec" else ""

    assert not by_stdin(lab, creche, name)
    assert by_stdin(lab, lab.creche("unproved-cwd"), name)


def test_the_error_says_what_is_wrong(lab: Lab, creche: Runtime) -> None:
    made = lab.bundle({"process": {"cwd": "/proc/self/fd/0"}}, sh=LOOK)
    fd = os.open(lab.host, os.O_RDONLY)
    try:
        result = creche.run(["run", "-b", made, lab.name()], stdin=fd).failed()
    finally:
        os.close(fd)

    assert OUTSIDE in result.stderr
    assert "process.cwd" in result.stderr


@pytest.mark.parametrize("command", ["run", "exec"])
def test_inherited_descriptors_lead_outside_a_mutant(
    lab: Lab, running: str, command: str
) -> None:
    hostile = Inheriting(lab.creche("inherited-descriptors-unproved-cwd"), lab, last=200)
    cwd = "/proc/self/fd/199"
    if command == "run":
        assert run_in(lab, hostile, cwd)
    else:
        words = ["exec", "--cwd", cwd, running, "/bin/cat", "./canary"]
        assert read_canary(lab, hostile, words)


def test_runc(lab: Lab, peer: Callable[[Callable[[Runtime], str]], str]) -> None:
    def attack(runtime: Runtime) -> str:
        hostile = Inheriting(runtime, lab, last=NUMBERS[-1])
        directories = [f"/proc/self/fd/{number}" for number in range(3, 16)]
        found = [run_in(lab, hostile, directory) for directory in directories]
        return "; ".join([*filter(None, found), by_stdin(lab, runtime, "")]).strip("; ")

    peer(attack)
