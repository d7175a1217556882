"""Slurm with oci.conf: the step daemon of each node calls the runtime, in the foreground."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engines.engine import Place, need
from tests.engines.slurm import NODES, Slurm
from tests.support.bundle import Bundle
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.root, pytest.mark.slow]


@pytest.fixture(scope="module")
def slurm(place: Place) -> Iterator[Slurm]:
    """Give a cluster of two nodes; both have answered."""
    need("slurmctld", "slurmd", "munged", "srun")
    made = Slurm(place)
    try:
        made.wait_for_nodes(made.bundle("first"))
        yield made
    finally:
        made.down()


@pytest.fixture(scope="module")
def bundle(slurm: Slurm) -> Bundle:
    """Give a bundle with a limit of its own."""
    return slurm.bundle("bundle", {"linux": {"resources": {"memory": {"limit": 64 << 20}}}})


@pytest.fixture(autouse=True)
def _no_container_is_left(slurm: Slurm) -> Iterator[None]:
    yield
    if slurm.states.exists():  # the step daemon deletes them after the step has been reported
        wait_for(lambda: not slurm.containers(), slurm.states)


def in_containers(slurm: Slurm, bundle: Bundle, script: str, *options: str) -> list[str]:
    """Run a shell script as a step and return its lines, sorted."""
    argv = ["srun", *options, f"--container={bundle}", "/bin/sh", "-c", script]
    return sorted(slurm(*argv).ok().stdout.splitlines())


def test_two_nodes(slurm: Slurm, bundle: Bundle) -> None:
    """One container on each node: process 1 of its own, with the bundle's host name."""
    script = "echo $SLURM_JOB_NUM_NODES $$ $(hostname) $(readlink /proc/1/exe)"
    found = in_containers(slurm, bundle, script, "-N2", "--label")
    assert found == [f"{rank}: 2 1 crt /bin/busybox" for rank in range(2)]


def test_steps_at_once(slurm: Slurm, bundle: Bundle) -> None:
    """Each has a container, named after node, user, job and step."""
    with slurm.step(bundle, IDLE) as (_, one), slurm.step(bundle, IDLE, "-N2") as (_, two):
        names = [f"{NODES[0]}.root.{one}.0.0", f"{NODES[0]}.root.{two}.0.0"]
        assert sorted(slurm.containers()) == sorted([*names, f"{NODES[1]}.root.{two}.0.0"])


@pytest.mark.parametrize("status", [1, 7, 143])
def test_exit_code(slurm: Slurm, bundle: Bundle, status: int) -> None:
    done = slurm("srun", f"--container={bundle}", "/bin/sh", "-c", f"echo out; exit {status}")
    assert done.failed(status).stdout == "out\n"


def test_ended_by_a_signal(slurm: Slurm, bundle: Bundle) -> None:
    script = "sh -c 'kill -KILL $$'; exit $?"
    slurm("srun", f"--container={bundle}", "/bin/sh", "-c", script).failed(137)


def test_program_that_cannot_run(slurm: Slurm, bundle: Bundle) -> None:
    done = slurm("srun", f"--container={bundle}", "/nope").failed()
    assert "/nope" in done.stderr
    assert "no such file or directory" in done.stderr


def test_bundle_that_is_not_there(slurm: Slurm, tmp_path: Path) -> None:
    slurm("srun", f"--container={tmp_path}", "/bin/true").failed()


def test_streams(slurm: Slurm, bundle: Bundle) -> None:
    argv = ["srun", f"--container={bundle}", "/bin/sh", "-c", "tr a-z A-Z; echo err >&2"]
    done = slurm(*argv, stdin=b"shout\n").ok()
    assert (done.stdout, done.stderr) == ("SHOUT\n", "err\n")
    lines = in_containers(slurm, bundle, "yes line | head -n 100000")
    assert lines == ["line"] * 100000


def test_limits(slurm: Slurm, bundle: Bundle) -> None:
    """The bundle's own settings hold beside what Slurm writes into its configuration."""
    script = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes"
    assert in_containers(slurm, bundle, script) == [f"{64 << 20}"]


def test_batch(slurm: Slurm, bundle: Bundle, tmp_path: Path) -> None:
    """A script in a container, its output in a file, its exit code the job's."""
    script, output = tmp_path / "script", tmp_path / "output"
    script.write_text("#!/bin/sh\necho $(hostname) $SLURM_JOB_NUM_NODES\necho err >&2\nexit 9\n")
    argv = ["sbatch", "--wait", "-N2", f"--output={output}", f"--container={bundle}", str(script)]
    slurm(*argv).failed(9)
    lines = output.read_text().splitlines()  # with, maybe, a word of the step daemon's own
    assert {"crt 2", "err"} <= set(lines)


def test_batch_of_steps(slurm: Slurm, bundle: Bundle, tmp_path: Path) -> None:
    """A script on the node itself, whose steps have containers."""
    step = f"srun -N2 --container={bundle} /bin/sh -c"
    script, output = tmp_path / "script", tmp_path / "output"
    text = f"#!/bin/sh\n{step} 'echo one $(hostname)'\n{step} 'exit 5'\necho then $?\n"
    script.write_text(text)
    slurm("sbatch", "--wait", "-N2", f"--output={output}", str(script)).ok()
    lines = output.read_text().splitlines()
    assert lines.count("one crt") == 2
    assert lines[-1] == "then 5"


IDLE = "trap 'echo ended; exit 3' TERM; echo ready; while :; do sleep 1000 & wait; done"
STUBBORN = "trap '' TERM; echo ready; while :; do sleep 1000; done"


def test_cancel(slurm: Slurm, bundle: Bundle) -> None:
    """The runtime hands SIGTERM on, and the program may clear up."""
    with slurm.step(bundle, IDLE) as (srun, job):
        slurm("scancel", job).ok()
        assert "ended\n" in srun.read_rest()
        assert srun.wait() != 0


def test_cancel_what_does_not_listen(slurm: Slurm, bundle: Bundle) -> None:
    """After KillWait the runtime is killed, and its container has to go with it."""
    with slurm.step(bundle, STUBBORN) as (srun, job):
        slurm("scancel", job).ok()
        assert "CANCELLED" in srun.read_rest()
        srun.wait()  # with 0, of all numbers


def test_cancel_on_two_nodes(slurm: Slurm, bundle: Bundle) -> None:
    with slurm.step(bundle, STUBBORN, "-N2") as (srun, job):
        slurm("scancel", job).ok()
        assert "CANCELLED" in srun.read_rest()
        srun.wait()  # with 0, of all numbers


def test_cancel_by_sigkill(slurm: Slurm, bundle: Bundle) -> None:
    with slurm.step(bundle, IDLE) as (srun, job):
        slurm("scancel", "--signal=KILL", f"{job}.0").ok()
        assert "ended" not in srun.read_rest()
        assert srun.wait() != 0


def test_signal(slurm: Slurm, bundle: Bundle) -> None:
    script = "trap 'echo got; exit 4' USR1; echo ready; while :; do sleep 1000 & wait; done"
    with slurm.step(bundle, script) as (srun, job):
        slurm("scancel", "--signal=USR1", f"{job}.0").ok()
        assert "got\n" in srun.read_rest()
        assert srun.wait() == 4


def test_srun_asked_to_end(slurm: Slurm, bundle: Bundle) -> None:
    with slurm.step(bundle, IDLE) as (srun, _):
        srun.process.terminate()
        srun.read_rest()
        assert srun.wait() != 0
