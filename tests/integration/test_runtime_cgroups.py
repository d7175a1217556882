"""Limits that hold inside a container, and the life cycle that leans on cgroups."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.bundle import Bundle
from tests.support.inside import DEAF, IDLE, ask, ask_running, cgroups_named, launched, message
from tests.support.mountinfo import cgroup_mounts, cgroup_of
from tests.support.runtimes import Runtime
from tests.support.waiting import reap, wait_exit, wait_for, wait_path, wait_pidfd

pytestmark = pytest.mark.root

Bundles = Callable[..., Bundle]


def resources(**kinds: Any) -> dict[str, Any]:
    return {"linux": {"resources": kinds}}


def directories(pid: int) -> dict[str, Path]:
    """Hierarchy -> the directory of a process there."""
    own = cgroup_of(pid)
    return {
        name: top / own[name].lstrip("/") for name, top in cgroup_mounts().items() if name in own
    }


def setting(pid: int, controller: str, v1: str, v2: str) -> str:
    """A limit as the kernel shows it."""
    found = directories(pid)
    path = found[controller] / v1 if controller in found else found[""] / v2
    return path.read_text().strip()


def test_limits_are_set(runtime: Runtime, bundle: Bundles, container_id: str) -> None:
    cpus = sorted(os.sched_getaffinity(0))
    made = bundle(
        resources(
            memory={"limit": 64 << 20, "reservation": 32 << 20},
            cpu={"quota": 40000, "period": 80000, "shares": 2048, "cpus": str(cpus[0])},
            pids={"limit": 42},
        ),
        sh=IDLE,
    )
    pid = launched(runtime, container_id, made)

    assert setting(pid, "memory", "memory.limit_in_bytes", "memory.max") == str(64 << 20)
    assert setting(pid, "memory", "memory.soft_limit_in_bytes", "memory.low") == str(32 << 20)
    if "cpu" in directories(pid):
        assert setting(pid, "cpu", "cpu.cfs_quota_us", "") == "40000"
        assert setting(pid, "cpu", "cpu.cfs_period_us", "") == "80000"
        assert setting(pid, "cpu", "cpu.shares", "") == "2048"
    else:
        assert setting(pid, "", "", "cpu.max") == "40000 80000"
    assert setting(pid, "cpuset", "cpuset.cpus", "cpuset.cpus") == str(cpus[0])
    assert os.sched_getaffinity(pid) == {cpus[0]}
    assert setting(pid, "pids", "pids.max", "pids.max") == "42"
    inside = ask_running(runtime, container_id, c="cat /proc/self/cgroup")["c"].splitlines()
    assert all(line.endswith(f"/{container_id}") for line in inside if not line.startswith("0:"))


def test_the_default_place_is_below_the_callers_own(
    runtime: Runtime, bundle: Bundles, container_id: str
) -> None:
    pid = launched(runtime, container_id, bundle(sh=IDLE))
    own, found = cgroup_of(), cgroup_of(pid)

    for hierarchy, path in found.items():
        if hierarchy == "" and runtime.name == "runc" and len(found) > 1:
            continue  # runc 1.1 leaves the unified tree of a hybrid machine alone
        assert path == f"{own[hierarchy].rstrip('/')}/{container_id}", hierarchy
    runtime.run(["delete", "--force", container_id]).ok()
    assert cgroups_named(container_id) == []


def test_a_path_of_its_own(
    runtime: Runtime, bundle: Bundles, container_id: str, cgroup_name: str
) -> None:
    made = bundle({"linux": {"cgroupsPath": f"/{cgroup_name}/inner"}}, sh=IDLE)
    pid = launched(runtime, container_id, made)
    found = directories(pid)
    path = next(iter(path for name, path in found.items() if name))
    assert str(path).endswith(f"/{cgroup_name}/inner")
    runtime.run(["delete", "--force", container_id]).ok()
    assert not path.exists()
    for top in cgroup_mounts().values():
        if (top / cgroup_name).exists():
            (top / cgroup_name).rmdir()  # the administrator's, who named it


def test_memory_runs_out(runtime: Runtime, bundle: Bundles, container_id: str) -> None:
    """The program is killed by the kernel, and the runtime says by which signal."""
    made = bundle(
        resources(memory={"limit": 24 << 20, "swap": 24 << 20}),
        args=["/bin/dd", "if=/dev/zero", "of=/dev/null", "bs=200M", "count=1"],
    )
    result = runtime.run(["run", "-b", made, container_id])

    assert result.rc == 128 + signal.SIGKILL, result.describe()


def test_processes_run_out(runtime: Runtime, bundle: Bundles, container_id: str) -> None:
    made = bundle(resources(pids={"limit": 12}))
    script = "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13; do sleep 100 & done"
    inside = ask(runtime, made, container_id, p=f"({script}) || true")

    assert "can't fork" in inside["p"]


def test_affinity_of_the_caller_does_not_leak_in(
    runtime: Runtime, bundle: Bundles, container_id: str
) -> None:
    cpus = os.sched_getaffinity(0)
    if len(cpus) < 2:
        pytest.skip("needs two CPUs")
    os.sched_setaffinity(0, {min(cpus)})
    try:
        pid = launched(runtime, container_id, bundle(sh=IDLE))
        found = os.sched_getaffinity(pid)
    finally:
        os.sched_setaffinity(0, cpus)

    if runtime.name == "creche":  # runc since 1.2
        assert found == cpus


def test_an_inhabited_cgroup_is_refused(
    creche: Runtime, bundle: Bundles, container_id: str, cgroup_name: str
) -> None:
    """runc since 1.2; 1.1 only warns, and shares it."""
    made = bundle({"linux": {"cgroupsPath": f"/{cgroup_name}"}}, sh=IDLE)
    pid = launched(creche, container_id, made)
    result = creche.run(["run", "-b", made, f"{container_id}-b"]).failed(1)
    assert "container's cgroup is not empty" in message(result)
    # And whoever was in it lives.
    assert creche.pid(container_id) == pid
    assert not creche.exists(f"{container_id}-b")


def test_a_limit_that_is_not_kept_here_is_refused(
    creche: Runtime, bundle: Bundles, container_id: str
) -> None:
    made = bundle(resources(hugepageLimits=[{"pageSize": "64TB", "limit": 1}]))
    result = creche.run(["run", "-b", made, container_id]).failed(1)
    assert "linux.resources.hugepageLimits" in message(result)
    made = bundle(resources(memory={"limit": 4096}))
    result = creche.run(["run", "-b", made, container_id])
    assert not creche.exists(container_id)


# kill, pause, delete ------------------------------------------------------------------------------


def test_kill_in_all_its_forms(runtime: Runtime, bundle: Bundles, container_id: str) -> None:
    script = "trap 'exit 0' TERM; trap 'echo usr1 >>/tmp/log' USR1; : >/tmp/ready;"
    made = bundle({"root": {"readonly": False}}, sh=f"{script} while :; do sleep 1000 & wait; done")
    (made.rootfs / "tmp/log").touch()
    pid = launched(runtime, container_id, made)
    wait_path(made.rootfs / "tmp/ready")
    log = made.rootfs / "tmp/log"
    for count, words in enumerate((["USR1"], ["SIGUSR1"], ["10"]), 1):
        runtime.run(["kill", container_id, *words]).ok()
        wait_for(lambda n=count: log.read_text().count("usr1") >= n, log.parent)  # type: ignore[misc]
    runtime.run(["kill", container_id, "0"]).ok()
    assert "invalid" in message(runtime.run(["kill", container_id, "FROB"]).failed(1)) or (
        "unknown signal" in message(runtime.run(["kill", container_id, "FROB"]).failed(1))
    )
    runtime.run(["kill", container_id]).ok()  # TERM
    assert reap(pid) == 0
    assert message(runtime.run(["kill", container_id, "9"]).failed(1)) == "container not running"
    runtime.run(["kill", "--all", container_id, "9"]).ok()


def test_kill_all_reaches_everybody(runtime: Runtime, bundle: Bundles, container_id: str) -> None:
    script = "sleep 1000 & trap : TERM; while :; do sleep 1000 & wait; done"
    pid = launched(runtime, container_id, bundle(sh=script))
    pids = [p for p in runtime.run(["ps", "-f", "json", container_id]).ok().json() if p != pid]
    pidfds = [os.pidfd_open(number) for number in pids]
    try:
        runtime.run(["kill", "-a", container_id, "TERM"]).ok()
        assert all(wait_pidfd(pidfd) for pidfd in pidfds)
    finally:
        for pidfd in pidfds:
            os.close(pidfd)
    assert runtime.status(container_id) == "running"  # init only listened


def test_a_created_container_can_be_signalled_paused_and_deleted(
    runtime: Runtime, bundle: Bundles, container_id: str
) -> None:
    runtime.run(["create", "-b", bundle(), container_id]).ok()
    pid = runtime.pid(container_id)
    runtime.run(["pause", container_id]).ok()
    assert runtime.status(container_id) == "paused"
    runtime.run(["resume", container_id]).ok()
    assert runtime.status(container_id) == "created"
    runtime.run(["kill", container_id, "KILL"]).ok()
    wait_exit(pid)
    assert runtime.status(container_id) == "stopped"
    result = runtime.run(["start", container_id]).failed(1)
    assert message(result) == "cannot start a container that has stopped"
    runtime.run(["delete", container_id]).ok()


def test_a_created_container_obeys_a_polite_signal(
    runtime: Runtime, bundle: Bundles, container_id: str
) -> None:
    runtime.run(["create", "-b", bundle(), container_id]).ok()
    pid = runtime.pid(container_id)
    runtime.run(["kill", container_id, "TERM"]).ok()
    wait_exit(pid)

    assert runtime.status(container_id) == "stopped"


def test_pause_holds_and_force_delete_thaws(
    runtime: Runtime, bundle: Bundles, container_id: str
) -> None:
    made = bundle({"root": {"readonly": False}}, sh=IDLE)
    pid = launched(runtime, container_id, made)
    runtime.run(["pause", container_id]).ok()
    runtime.run(["kill", container_id, "TERM"]).ok()
    assert runtime.status(container_id) == "paused"  # pending until it is resumed
    refused = runtime.run(["delete", container_id]).failed(1)
    assert "that is not stopped: paused" in message(refused)
    runtime.run(["delete", "--force", container_id]).ok()
    wait_exit(pid)
    assert not runtime.exists(container_id)


def test_a_paused_container_ends_when_it_is_killed(
    runtime: Runtime, bundle: Bundles, container_id: str
) -> None:
    pid = launched(runtime, container_id, bundle(sh=DEAF))
    runtime.run(["pause", container_id]).ok()
    runtime.run(["kill", container_id, "KILL"]).ok()
    wait_exit(pid)

    assert runtime.status(container_id) == "stopped"


def test_delete_takes_cgroups_that_were_made_inside(
    runtime: Runtime, bundle: Bundles, container_id: str
) -> None:
    pid = launched(runtime, container_id, bundle(sh=IDLE))
    made = []
    for name, path in directories(pid).items():
        if name != "name=systemd":
            (path / "sub/deeper").mkdir(parents=True)
            made.append(path)
    runtime.run(["delete", "--force", container_id]).ok()

    assert not [path for path in made if path.exists()]
