"""A container in the foreground and the process that holds it there."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable

import pytest

from tests.support.bundle import Bundle
from tests.support.runtimes import Runtime
from tests.support.waiting import read_all, read_until, wait_pidfd

pytestmark = pytest.mark.root

Bundles = Callable[..., Bundle]


def test_a_killed_foreground_run_takes_its_container_along(
    creche: Runtime, bundle: Bundles, container_id: str
) -> None:
    """Whoever waits for the end of its output gets it; Slurm waits for nothing else."""
    made = bundle({"process": {"args": ["sh", "-c", "echo up; exec sleep 1000"]}})
    quiet = subprocess.DEVNULL
    process = creche.popen(
        ["run", "-b", made, container_id], stdin=quiet, stdout=subprocess.PIPE, stderr=quiet
    )
    assert process.stdout is not None
    with process.stdout as output:
        read_until(output.fileno(), b"up\n")
        pidfd = os.pidfd_open(creche.pid(container_id))
        try:
            process.kill()
            process.wait()
            assert wait_pidfd(pidfd)
        finally:
            os.close(pidfd)
        assert read_all(output.fileno()) == b""

    assert creche.status(container_id) == "stopped"
    creche.run(["delete", container_id]).ok()


def test_a_detached_container_outlives_its_run(
    runtime: Runtime, bundle: Bundles, container_id: str
) -> None:
    made = bundle({"process": {"args": ["sleep", "1000"]}})
    quiet = subprocess.DEVNULL
    process = runtime.popen(
        ["run", "-d", "-b", made, container_id], stdin=quiet, stdout=quiet, stderr=quiet
    )
    assert process.wait() == 0

    assert runtime.status(container_id) == "running"
    runtime.run(["delete", "--force", container_id]).ok()
