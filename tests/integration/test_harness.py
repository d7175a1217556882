"""The harness keeps its promises: the machine is out of reach, and leaks are found."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import _session_key
from tests.support.bundle import Bundle
from tests.support.isolation import PREFIX, mount
from tests.support.leaks import Snapshot, collect, interfaces
from tests.support.mountinfo import mounts
from tests.support.network import HandMadeNetwork, ip, ping
from tests.support.repository import REPOSITORY
from tests.support.runtimes import Runtime
from tests.support.waiting import DEADLINE, reap

pytestmark = pytest.mark.root


def test_the_session_has_left_the_machine(request: pytest.FixtureRequest) -> None:
    """Mounts, network and host name are not those that pytest was started with."""
    outside = request.config.stash[_session_key].outside
    assert sorted(outside) == ["mnt", "net", "uts"]
    for kind, name in outside.items():
        assert os.readlink(f"/proc/self/ns/{kind}") != name
    assert interfaces() == {"lo"}
    assert socket.gethostname().startswith(PREFIX)
    (run,) = [entry for entry in mounts() if entry.target == "/run"][-1:]
    assert run.fstype == "tmpfs"


def test_loopback_works() -> None:
    """A server on 127.0.0.1 can be reached within the session."""
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()),
    ):
        pass


def test_every_kind_of_leak_is_found(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """A snapshot names a process, descriptor, mount, control group, file and interface."""
    session = request.config.stash[_session_key]
    before = Snapshot.take(session)
    group = next(iter(session.cgroups.values())) / "leaked"
    stray = Path("/run/leaked")
    group.mkdir()
    stray.touch()
    mount("tmpfs", str(tmp_path), "tmpfs", 0)
    ip("link", "add", f"{PREFIX}leak", "type", "bridge")
    fd = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    # A grandchild whose parent has ended: the subreaper gets it.
    orphan = _orphan()
    try:
        leaks = "\n".join(before.leaked())
    finally:
        os.close(fd)
        ip("link", "del", f"{PREFIX}leak")
        subprocess.run(["umount", tmp_path], check=True)
        stray.unlink()
        group.rmdir()

    assert f"process {orphan}: sleep 1000" in leaks
    assert f"descriptor {fd} -> /dev/null" in leaks
    assert f"mount {tmp_path} (tmpfs, root /)" in leaks
    assert f"control group {group}" in leaks
    assert "file /run/leaked" in leaks
    assert f"network interface {PREFIX}leak" in leaks
    assert before.leaked() == []


def _orphan() -> int:
    """Start a process whose parent ends at once, and return its number."""
    script = "sleep 1000 >/dev/null 2>&1 & echo $!"
    done = subprocess.run(["/bin/sh", "-c", script], check=True, capture_output=True, text=True)
    return int(done.stdout)


def test_orphans_can_be_reaped() -> None:
    """The true end of a detached process is known to the tests."""
    pid = _orphan()
    os.kill(pid, signal.SIGTERM)

    assert reap(pid) == -signal.SIGTERM


_KILLED_PYTEST = """
import os, signal, subprocess
from tests.support.reaper import continue_below_a_reaper
continue_below_a_reaper()
daemon = "trap '' TERM; sleep 1000 & echo $! $$ >&2; wait"
process = subprocess.Popen(["setsid", "/bin/sh", "-c", daemon], stderr=subprocess.PIPE)
print(process.stderr.readline().decode(), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_nothing_outlives_a_pytest_that_was_killed() -> None:
    """Its daemons, and theirs, end with it, and it is seen that it was killed."""
    done = subprocess.run(
        [sys.executable, "-c", _KILLED_PYTEST],
        cwd=REPOSITORY,
        capture_output=True,
        timeout=DEADLINE,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    pids = done.stdout.split()
    assert len(pids) == 2
    assert not any(Path(f"/proc/{int(pid)}").exists() for pid in pids)


def test_a_container_runs_in_the_harness(
    runc: Runtime, bundle: Callable[..., Bundle], container_id: str
) -> None:
    """The bundle maker's default is a config that runc accepts, in the session's control groups."""
    made = bundle(sh="id -u; cat /proc/self/cgroup; exit 3")

    result = runc.run(["run", "--bundle", made, container_id])

    assert result.rc == 3, result.describe()
    assert result.stdout.startswith("0\n")
    assert f"/{PREFIX}{os.getpid()}/" in result.stdout


def test_a_detached_container_is_adopted(
    runc: Runtime, bundle: Callable[..., Bundle], container_id: str
) -> None:
    """The exit status of a detached container's init can be read."""
    made = bundle(sh="exit 7")
    runc.run(["create", "--bundle", made, container_id]).ok()
    pid = runc.pid(container_id)
    runc.run(["start", container_id]).ok()

    assert reap(pid) == 7

    runc.run(["delete", container_id]).ok()
    assert not runc.exists(container_id)


def test_the_hand_made_network(network: HandMadeNetwork) -> None:
    """The host and the namespace reach each other."""
    assert network.path.exists()
    assert ping(network.container)
    assert ping(network.host, netns=network.name)


def test_a_signal_is_not_lost_in_a_collection_of_garbage() -> None:
    """What its handler raises ends the test, though it comes while a finaliser runs."""

    class Signalled(Exception):
        pass

    class Garbage:
        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            os.kill(os.getpid(), signal.SIGUSR1)

    def give_up(_number: int, _frame: object) -> None:
        raise Signalled

    previous = signal.signal(signal.SIGUSR1, give_up)
    try:
        Garbage()
        with pytest.raises(Signalled):
            collect()
    finally:
        signal.signal(signal.SIGUSR1, previous)
