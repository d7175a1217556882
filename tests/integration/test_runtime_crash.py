"""Interrupted and impossible creations: whatever is killed, `delete --force` leaves nothing."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.bundle import Bundle
from tests.support.inside import DEAF, IDLE, cgroups_named, launched, message, namespace
from tests.support.isolation import mount
from tests.support.mountinfo import mounts
from tests.support.runtimes import Runtime
from tests.support.waiting import wait_exit, wait_path

pytestmark = pytest.mark.root

Bundles = Callable[..., Bundle]

QUIET: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


def hanging(made: Bundle, stage: str) -> Path:
    """Make a hook of this stage that says that it runs, and never ends."""
    inside = stage == "startContainer"
    marker = (made.rootfs if inside else made.path) / "reached"
    name = "/reached" if inside else str(marker)
    hook = {
        "path": "/bin/sh",
        "args": ["sh", "-c", f"echo $$ >{name}; exec sleep 1000"],
        "env": ["PATH=/bin:/usr/bin"],
    }
    made.patch({"hooks": {stage: [hook]}, "root": {"readonly": False}})
    return marker


@pytest.mark.parametrize("stage", ["prestart", "createRuntime", "createContainer"])
@pytest.mark.parametrize("own_pids", [True, False], ids=["pidns", "no-pidns"])
def test_create_killed_in_a_hook(
    creche: Runtime, bundle: Bundles, container_id: str, stage: str, own_pids: bool
) -> None:
    made = bundle()
    if not own_pids:
        kinds = ("mount", "network", "ipc", "uts")
        made.patch({"linux": {"namespaces": [namespace(kind) for kind in kinds]}})
    marker = hanging(made, stage)
    # Not a pipe: the init that is left behind keeps its standard streams.
    process = creche.popen(["create", "-b", made, container_id], **QUIET)
    wait_path(marker)
    assert creche.status(container_id) == "creating"
    refused = creche.run(["delete", container_id]).failed(1)
    assert "that is not stopped: creating" in message(refused)
    process.kill()
    process.wait()
    creche.run(["delete", "--force", container_id]).ok()

    assert not creche.exists(container_id)
    assert list(creche.root.iterdir()) == []
    assert cgroups_named(container_id) == []


def test_a_create_that_hangs_in_a_hook_is_ended_by_delete_force(
    creche: Runtime, bundle: Bundles, container_id: str
) -> None:
    """Nobody killed it: it sees its init die, cleans up, and says so."""
    made = bundle()
    marker = hanging(made, "createContainer")
    process = creche.popen(["create", "-b", made, container_id])
    wait_path(marker)
    creche.run(["delete", "--force", container_id]).ok()
    _, err = process.communicate()

    assert process.returncode == 1
    assert b"create failed" in err
    assert not creche.exists(container_id)
    assert cgroups_named(container_id) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_while_run_creates(
    runtime: Runtime, bundle: Bundles, container_id: str, number: int
) -> None:
    """It is kept and forwarded to the program once that runs."""
    name = signal.Signals(number).name.removeprefix("SIG")
    # Without a pid namespace: the init of one would not even notice, before it has a handler.
    listing = [namespace(kind) for kind in ("mount", "network", "ipc", "uts")]
    made = bundle(
        {"linux": {"namespaces": listing}},
        sh=f"trap 'exit 7' {name}; while :; do sleep 1000 & wait; done",
    )
    gate = made.path / "gate"
    os.mkfifo(gate)
    hook = {"path": "/bin/sh", "args": ["sh", "-c", f"echo >{made.path}/reached; read x <{gate}"]}
    made.patch({"hooks": {"createRuntime": [hook]}})
    process = runtime.popen(["run", "-b", made, container_id])
    wait_path(made.path / "reached")
    process.send_signal(number)
    with open(gate, "w") as file:
        file.write("go\n")
    try:
        process.communicate(timeout=60)
    finally:
        runtime.run(["delete", "--force", container_id])

    # Either the program's handler was there in time, or the signal ended it as it ends others.
    assert process.returncode in (7, 128 + number)


@pytest.mark.parametrize("stage", ["poststart", "startContainer"])
def test_start_killed_in_a_hook(
    creche: Runtime, bundle: Bundles, container_id: str, stage: str
) -> None:
    made = bundle(sh=IDLE)
    marker = hanging(made, stage)
    creche.run(["create", "-b", made, container_id]).ok()
    process = creche.popen(["start", container_id], **QUIET)
    wait_path(marker)
    process.kill()
    process.wait()
    assert creche.status(container_id) in ("created", "running")
    creche.run(["delete", "--force", container_id]).ok()

    assert not creche.exists(container_id)
    assert cgroups_named(container_id) == []


def test_run_killed_leaves_nothing_that_delete_does_not_take(
    runtime: Runtime, bundle: Bundles, container_id: str
) -> None:
    """Slurm's way: SIGKILL of `run`, then `delete --force`. The program dies with its holder."""
    made = bundle({"root": {"readonly": False}}, sh=f"echo >/tmp/ready; {DEAF}")
    process = runtime.popen(["run", "-b", made, container_id], **QUIET)
    wait_path(made.rootfs / "tmp/ready")
    pid = runtime.pid(container_id)
    process.kill()
    process.wait()
    runtime.run(["delete", "--force", container_id]).ok()
    wait_exit(pid)

    assert not runtime.exists(container_id)
    assert cgroups_named(container_id) == []


def test_init_killed_before_start(runtime: Runtime, bundle: Bundles, container_id: str) -> None:
    runtime.run(["create", "-b", bundle(), container_id]).ok()
    pid = runtime.pid(container_id)
    os.kill(pid, signal.SIGKILL)
    wait_exit(pid)
    assert runtime.status(container_id) == "stopped"
    result = runtime.run(["start", container_id]).failed(1)
    assert message(result) == "cannot start a container that has stopped"
    runtime.run(["delete", container_id]).ok()


def test_init_killed_while_create_waits_for_it(
    creche: Runtime, bundle: Bundles, container_id: str
) -> None:
    """The death is reported, with the signal, and everything is undone."""
    made = bundle()
    marker = hanging(made, "createContainer")
    process = creche.popen(["create", "-b", made, container_id])
    wait_path(marker)
    os.kill(creche.pid(container_id), signal.SIGKILL)
    _, err = process.communicate()

    assert process.returncode == 1
    assert b"init died before it was created (signal 9)" in err
    assert list(creche.root.iterdir()) == []
    assert cgroups_named(container_id) == []


# Files that are not what they should be -----------------------------------------------------------


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"version": 99}', b"\xff\xfe"])
def test_a_damaged_state_is_named_and_removed_by_force(
    creche: Runtime, container_id: str, content: bytes
) -> None:
    directory = creche.root / container_id
    directory.mkdir(mode=0o700)
    (directory / "state.json").write_bytes(content)
    result = creche.run(["state", container_id]).failed(1)
    assert "state.json" in message(result)
    assert container_id in creche.run(["list"]).ok().stderr
    creche.run(["delete", "--force", container_id]).ok()

    assert not directory.exists()


def test_a_directory_without_state_is_removed_by_force(creche: Runtime, container_id: str) -> None:
    """What a `create` killed within its first milliseconds leaves."""
    (creche.root / container_id).mkdir(mode=0o700)
    assert "delete --force removes it" in message(creche.run(["state", container_id]).failed(1))
    creche.run(["delete", "--force", container_id]).ok()

    assert not (creche.root / container_id).exists()


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Path]:
    """A state root with room for next to nothing."""
    where = tmp_path / "tiny"
    where.mkdir()
    mount("tiny", str(where), "tmpfs", 0, "size=4k,mode=700,nr_inodes=8")
    yield where
    subprocess.run(["umount", where], check=True)


@pytest.mark.parametrize("room", [0, 4096])
def test_a_full_disk(bundle: Bundles, container_id: str, tiny: Path, room: int) -> None:
    """create fails with the reason; no state, cgroup, mount or process is left."""
    runtime = Runtime("creche", tiny)
    made = bundle({"annotations": {f"key{i}": "x" * 200 for i in range(100)}}, sh=IDLE)
    if not room:
        (tiny / ".fill").write_bytes(b"x" * 4096)
    before = mounts()
    result = runtime.run(["create", "-b", made, container_id]).failed(1)

    assert "no space left on device" in message(result)
    assert [entry.name for entry in tiny.iterdir() if entry.name != ".fill"] == []
    assert mounts() == before
    assert cgroups_named(container_id) == []


def test_a_disk_that_fills_up_later_does_not_keep_anybody_from_deleting(
    bundle: Bundles, container_id: str, tmp_path: Path
) -> None:
    where = tmp_path / "small"
    where.mkdir()
    mount("small", str(where), "tmpfs", 0, "size=64k,mode=700")
    try:
        runtime = Runtime("creche", where)
        pid = launched(runtime, container_id, bundle(sh=IDLE))
        try:
            with open(where / ".fill", "wb", buffering=0) as file:
                while True:
                    file.write(b"x" * 4096)
        except OSError:
            pass
        result = runtime.run(["delete", "--force", container_id]).ok()
        wait_exit(pid)
        assert "no space left on device" in result.stderr
        assert not runtime.exists(container_id)
    finally:
        subprocess.run(["umount", where], check=True)


def test_a_root_that_others_can_change_is_refused(
    creche: Runtime, bundle: Bundles, container_id: str
) -> None:
    creche.root.chmod(0o777)
    result = creche.run(["create", "-b", bundle(), container_id]).failed(1)
    creche.root.chmod(0o700)

    assert "can be changed by other users" in message(result)


def test_a_pid_file_that_cannot_be_written_undoes_all(
    runtime: Runtime, bundle: Bundles, container_id: str
) -> None:
    result = runtime.run(
        ["create", "--pid-file", "/nowhere/pid", "-b", bundle(), container_id]
    ).failed(1)

    assert "/nowhere" in message(result)
    assert not runtime.exists(container_id)
    assert cgroups_named(container_id) == []


def test_two_at_once_for_one_id(creche: Runtime, bundle: Bundles, container_id: str) -> None:
    """One wins, the others are told; nothing of the winner's is touched.

    With runC 1.1.5 two of them meet at its exec FIFO now and then, and an init is left.
    """
    made = bundle(sh=IDLE)
    # Files, since the winner's init keeps its standard streams.
    errors = [made.path / f"errors{number}" for number in range(4)]
    processes = []
    for path in errors:
        with path.open("wb") as file:
            words = ["create", "-b", str(made), container_id]
            processes.append(creche.popen(words, stdout=subprocess.DEVNULL, stderr=file))
    results = [process.wait() for process in processes]

    assert sorted(results) == [0, 1, 1, 1]
    for path, status in zip(errors, results, strict=True):
        if status:
            assert "container with given ID already exists" in path.read_text()
    assert creche.status(container_id) == "created"
    creche.run(["start", container_id]).ok()
