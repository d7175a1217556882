"""CVE-2024-21626: a working directory that is a descriptor of one of the host's directories.

The runtime is started with many of these open, and every number is tried as the container's
working directory, `/proc/self/fd/N`. A container that begins in the host's directory could climb
from there to the host's root.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.attack.lab import CANARY, Inheriting, Lab
from tests.support.runtimes import Runtime

pytestmark = pytest.mark.root

OUTSIDE = "current working directory is outside of container mount namespace root"
LOOK = "cat ./canary"
NUMBERS = range(64)


def run_in(lab: Lab, runtime: Runtime, directory: str, *flags: str) -> str:
    """Evidence that a container read the canary in its working directory."""
    made = lab.bundle({"process": {"cwd": directory}}, sh=LOOK)
    return read_canary(runtime, ["run", *flags, "-b", str(made), lab.name()])


def exec_in(runtime: Runtime, running: str, directory: str, *flags: str) -> str:
    """The same for exec in a running container."""
    words = ["exec", *flags, "--cwd", directory, running, "/bin/cat", "./canary"]
    return read_canary(runtime, words)


def read_canary(runtime: Runtime, args: list[str]) -> str:
    result = runtime.run(args)
    return f"{' '.join(args)} read the canary" if CANARY in result.stdout else ""


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
        assert not read_canary(hostile, ["run", "-b", str(made), lab.name()])


def test_exec_no_descriptor_leads_outside(lab: Lab, creche: Runtime, running: str) -> None:
    hostile = Inheriting(creche, lab, last=NUMBERS[-1])
    for number in NUMBERS:
        assert not exec_in(hostile, running, f"/proc/self/fd/{number}")


def by_intention(lab: Lab, runtime: Runtime, running: str) -> str:
    """A directory of the host that is handed over on purpose still is no working directory."""
    hostile = Inheriting(runtime, lab, last=3)
    if running:
        return exec_in(hostile, running, "/proc/self/fd/3", "--preserve-fds=1")
    return run_in(lab, hostile, "/proc/self/fd/3", "--preserve-fds=1")


@pytest.mark.parametrize("command", ["run", "exec"])
def test_a_preserved_descriptor_does_not_lead_outside(
    lab: Lab, creche: Runtime, running: str, command: str
) -> None:
    name = running if command == "exec" else ""

    assert not by_intention(lab, creche, name)
    assert by_intention(lab, lab.creche("unproved-cwd"), name)


def making(lab: Lab, runtime: Runtime) -> str:
    """A working directory that is missing is made; here it would be on the host, by root."""
    run_in(lab, Inheriting(runtime, lab, last=3), "/proc/self/fd/3/new", "--preserve-fds=1")
    return lab.damage()


def test_no_directory_is_made_outside(lab: Lab, creche: Runtime) -> None:
    assert making(lab, creche) == ""
    assert "new" in making(lab, lab.creche("makes-cwd-by-name"))


def test_peers_making(lab: Lab, peer: Callable[[Callable[[Runtime], str]], str]) -> None:
    peer(lambda runtime: making(lab, runtime))


def test_the_error_says_what_is_wrong(lab: Lab, creche: Runtime) -> None:
    made = lab.bundle({"process": {"cwd": "/proc/self/fd/3"}}, sh=LOOK)
    hostile = Inheriting(creche, lab, last=3)
    result = hostile.run(["run", "--preserve-fds=1", "-b", made, lab.name()]).failed()

    assert OUTSIDE in result.stderr
    assert "process.cwd" in result.stderr


@pytest.mark.parametrize("command", ["run", "exec"])
def test_inherited_descriptors_lead_outside_a_mutant(lab: Lab, running: str, command: str) -> None:
    hostile = Inheriting(lab.creche("inherited-descriptors-unproved-cwd"), lab, last=200)
    cwd = "/proc/self/fd/199"
    if command == "run":
        assert run_in(lab, hostile, cwd)
    else:
        assert exec_in(hostile, running, cwd)


def test_peers(lab: Lab, peer: Callable[[Callable[[Runtime], str]], str]) -> None:
    def attack(runtime: Runtime) -> str:
        hostile = Inheriting(runtime, lab, last=NUMBERS[-1])
        directories = [f"/proc/self/fd/{number}" for number in range(3, 16)]
        found = [run_in(lab, hostile, directory) for directory in directories]
        return "; ".join([*filter(None, found), by_intention(lab, runtime, "")]).strip("; ")

    peer(attack)
