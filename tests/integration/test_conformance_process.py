"""What config.json says of a process, seen in one: scheduling, placement, keys, sockets."""

from __future__ import annotations

import ctypes
import json
import os
import platform
import socket
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.bundle import MINIMAL, Bundle
from tests.support.inside import IDLE, ask, ask_running, launched, message, parse_status
from tests.support.mountinfo import cgroup_mounts
from tests.support.runtimes import Runtime
from tests.support.waiting import DEADLINE, wait_exit

pytestmark = pytest.mark.root

Bundles = Callable[..., Bundle]

AFFINITY = "grep Cpus_allowed_list /proc/self/status"
STAT = "cut -d')' -f2 /proc/self/stat"


def scheduling(stat: str) -> tuple[int, int, int]:
    """(nice, real-time priority, policy) from what follows the name in /proc/PID/stat, proc(5)."""
    fields = stat.split()
    return int(fields[16]), int(fields[37]), int(fields[38])


# execCPUAffinity ----------------------------------------------------------------------------------


def allowed(text: str) -> set[int]:
    """The CPUs of a Cpus_allowed_list line."""
    found: set[int] = set()
    for part in text.partition(":")[2].strip().split(","):
        first, _, last = part.partition("-")
        found |= set(range(int(first), int(last or first) + 1))
    return found


@pytest.mark.parametrize(
    ("places", "expected"),
    [(("initial", "final"), 1), (("initial",), 0), (("final",), 1), ((), None)],
    ids=["both", "initial", "final", "neither"],
)
def test_affinity_is_that_of_exec_only(
    creche: Runtime,
    bundle: Bundles,
    container_id: str,
    places: tuple[str, ...],
    expected: int | None,
) -> None:
    """The final one wins in the program; init may use every CPU. runc has it since 1.2."""
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        pytest.skip("needs two CPUs")
    numbers = {"initial": str(cpus[0]), "final": f"{cpus[1]}-{cpus[1]}"}
    affinity = {place: numbers[place] for place in places}
    made = bundle({"process": {"execCPUAffinity": affinity}}, sh=IDLE)
    pid = launched(creche, container_id, made)
    inside = ask_running(creche, container_id, a=AFFINITY)["a"]

    assert set(cpus) <= os.sched_getaffinity(pid)
    if expected is None:
        assert set(cpus) <= allowed(inside)
    else:
        assert allowed(inside) == {cpus[expected]}


# Scheduling ---------------------------------------------------------------------------------------

RESET_ON_FORK = 0x40000000
SCHED_DEADLINE = 6


@pytest.mark.parametrize(
    ("scheduler", "expected"),
    [
        ({"policy": "SCHED_OTHER", "nice": 5}, (5, 0, os.SCHED_OTHER)),
        ({"policy": "SCHED_OTHER", "nice": -3}, (-3, 0, os.SCHED_OTHER)),
        ({"policy": "SCHED_BATCH", "nice": 9}, (9, 0, os.SCHED_BATCH)),
        ({"policy": "SCHED_IDLE"}, (0, 0, os.SCHED_IDLE)),
    ],
    ids=["other", "other-negative", "batch", "idle"],
)
def test_policies_of_the_scheduler(
    creche: Runtime,
    bundle: Bundles,
    container_id: str,
    scheduler: dict[str, Any],
    expected: tuple[int, int, int],
) -> None:
    """For init and, as runc has it, for what exec starts as well."""
    made = bundle({"process": {"scheduler": scheduler}}, sh=IDLE)
    pid = launched(creche, container_id, made)
    stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2]

    assert scheduling(stat) == expected
    assert scheduling(ask_running(creche, container_id, s=STAT)["s"]) == expected


def test_a_flag_of_the_scheduler(creche: Runtime, bundle: Bundles, container_id: str) -> None:
    scheduler = {"policy": "SCHED_BATCH", "nice": 4, "flags": ["SCHED_FLAG_RESET_ON_FORK"]}
    pid = launched(creche, container_id, bundle({"process": {"scheduler": scheduler}}, sh=IDLE))

    assert os.sched_getscheduler(pid) == os.SCHED_BATCH | RESET_ON_FORK


def test_a_deadline(creche: Runtime, bundle: Bundles, container_id: str) -> None:
    """SCHED_DEADLINE in nanoseconds; such a process forks only with RESET_ON_FORK (sched(7))."""
    scheduler = {
        "policy": "SCHED_DEADLINE",
        "flags": ["SCHED_FLAG_RESET_ON_FORK"],
        "runtime": 2_000_000,
        "deadline": 50_000_000,
        "period": 100_000_000,
    }
    made = bundle({"process": {"scheduler": scheduler}}, sh=IDLE)
    pid = launched(creche, container_id, made)
    number = {"x86_64": 315, "aarch64": 275}.get(platform.machine())

    assert os.sched_getscheduler(pid) == SCHED_DEADLINE | RESET_ON_FORK
    if number is not None:  # sched_getattr(2)
        attributes = ctypes.create_string_buffer(48)
        assert ctypes.CDLL(None).syscall(number, pid, attributes, 48, 0) == 0
        found = struct.unpack("=IIQiIQQQ", attributes.raw)
        assert found[5:] == (2_000_000, 50_000_000, 100_000_000)


def test_real_time_with_a_share_of_the_cgroups(
    creche: Runtime, bundle: Bundles, container_id: str, cgroup_name: str
) -> None:
    """SCHED_FIFO and SCHED_RR; where the kernel shares out real time by cgroup v1, with a share."""
    tops = cgroup_mounts()
    shared = [top for top in tops.values() if (top / "cpu.rt_runtime_us").exists()]
    linux: dict[str, Any] = {}
    if shared:
        if int((shared[0] / "cpu.rt_runtime_us").read_text()) < 2000:
            pytest.skip("no real time is left for control groups here")
        linux["cgroupsPath"] = f"/{cgroup_name}"
        linux["resources"] = {"cpu": {"realtimePeriod": 1_000_000, "realtimeRuntime": 1000}}
    for policy, number, priority in (
        ("SCHED_FIFO", os.SCHED_FIFO, 1),
        ("SCHED_RR", os.SCHED_RR, 7),
    ):
        scheduler = {"policy": policy, "priority": priority}
        made = bundle({"process": {"scheduler": scheduler}, "linux": linux})
        assert scheduling(ask(creche, made, container_id, s=STAT)["s"]) == (0, priority, number)


@pytest.mark.parametrize(
    ("name", "priority", "expected"),
    [
        ("IOPRIO_CLASS_BE", 6, "best-effort: prio 6"),
        ("IOPRIO_CLASS_RT", 2, "realtime: prio 2"),
        ("IOPRIO_CLASS_IDLE", 0, "idle"),
    ],
)
def test_priorities_of_input_and_output(
    creche: Runtime, bundle: Bundles, container_id: str, name: str, priority: int, expected: str
) -> None:
    made = bundle({"process": {"ioPriority": {"class": name, "priority": priority}}}, sh=IDLE)
    pid = launched(creche, container_id, made)
    found = subprocess.run(
        ["ionice", "-p", str(pid)], check=True, capture_output=True, text=True
    ).stdout

    assert found.strip().startswith(expected)


# Memory, personality ------------------------------------------------------------------------------


@pytest.mark.skipif(not Path("/proc/self/numa_maps").exists(), reason="needs CONFIG_NUMA")
@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ({"mode": "MPOL_BIND", "nodes": "0"}, "bind:0"),
        ({"mode": "MPOL_PREFERRED", "nodes": "0"}, "prefer:0"),
        ({"mode": "MPOL_INTERLEAVE", "nodes": "0-0"}, "interleave:0"),
        (
            {"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]},
            "bind=static:0",
        ),
        ({"mode": "MPOL_LOCAL"}, "local"),
        ({"mode": "MPOL_DEFAULT"}, "default"),
    ],
    ids=["bind", "preferred", "interleave", "static", "local", "default"],
)
def test_memory_policy(
    creche: Runtime, bundle: Bundles, container_id: str, policy: dict[str, Any], expected: str
) -> None:
    """As the kernel shows it for each mapping of the program (numa(7)). runc has it since 1.4."""
    made = bundle({"linux": {"memoryPolicy": policy}})
    lines = ask(creche, made, container_id, m="cat /proc/self/numa_maps")["m"].splitlines()

    assert {line.split()[1] for line in lines if "stack" in line or "heap" in line} == {expected}


def test_a_node_that_is_not_there_is_named(
    creche: Runtime, bundle: Bundles, container_id: str
) -> None:
    made = bundle({"linux": {"memoryPolicy": {"mode": "MPOL_BIND", "nodes": "900"}}})
    result = creche.run(["run", "-b", made, container_id]).failed(1)

    assert "linux.memoryPolicy" in message(result)
    assert not creche.exists(container_id)


@pytest.mark.parametrize(("domain", "number"), [("LINUX", 0), ("LINUX32", 8)])
def test_personality(
    creche: Runtime, bundle: Bundles, container_id: str, domain: str, number: int
) -> None:
    """runc has it since 1.2."""
    made = bundle({"linux": {"personality": {"domain": domain}}})
    inside = ask(creche, made, container_id, p="cat /proc/self/personality")

    assert int(inside["p"], 16) == number


# Keys ---------------------------------------------------------------------------------------------


@pytest.mark.skipif(not Path("/proc/keys").exists(), reason="needs CONFIG_KEYS")
def test_a_session_keyring_of_its_own(runtime: Runtime, bundle: Bundles, container_id: str) -> None:
    """Under the container's name, the same for exec; the caller's with --no-new-keyring."""
    name = f"_ses.{container_id}"
    made = bundle(base=MINIMAL, sh=IDLE)
    launched(runtime, container_id, made)
    assert name in ask_running(runtime, container_id, k="cat /proc/keys")["k"]
    runtime.run(["delete", "--force", container_id]).ok()

    # Under another name: the kernel removes a keyring some time after its last process.
    other = f"{container_id}-other"
    made.config["process"]["args"] = ["/bin/cat", "/proc/keys"]
    made.write()
    result = runtime.run(["run", "--no-new-keyring", "-b", made, other]).ok()
    assert f"_ses.{other}" not in result.stdout


# Socket activation --------------------------------------------------------------------------------


def test_sockets_of_the_caller_are_handed_on(
    runtime: Runtime, bundle: Bundles, container_id: str, tmp_path: Path
) -> None:
    """sd_listen_fds(3): the program is told of them under its own process id."""
    path = tmp_path / "listen"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(1)
        script = "readlink /proc/self/fd/3; echo $LISTEN_FDS $LISTEN_PID $$"
        words = runtime.argv(["run", "-b", bundle(sh=script), container_id])
        shell = 'export LISTEN_FDS=1 LISTEN_PID=$$; exec "$@"'
        done = subprocess.run(
            ["/bin/sh", "-c", shell, "sh", *words],
            pass_fds=[3],
            preexec_fn=lambda: os.dup2(listener.fileno(), 3),
            capture_output=True,
            text=True,
        )
    assert done.returncode == 0, done.stderr
    found, told = done.stdout.splitlines()

    assert found.startswith("socket:[")
    assert told == "1 1 1"


def test_sockets_of_somebody_else_are_not(
    runtime: Runtime, bundle: Bundles, container_id: str
) -> None:
    made = bundle(sh="echo ${LISTEN_FDS-none}; ls /proc/self/fd")
    env = {"PATH": "/usr/sbin:/usr/bin:/bin", "LISTEN_FDS": "1", "LISTEN_PID": "1"}
    result = runtime.run(["run", "-b", made, container_id], env=env).ok()

    assert result.stdout.split() == ["none", "0", "1", "2", "3"]


def test_exec_sends_a_pidfd(
    creche: Runtime, bundle: Bundles, container_id: str, tmp_path: Path
) -> None:
    """To --pidfd-socket, of the process that was started; runc has it since 1.2."""
    launched(creche, container_id, bundle(sh=IDLE))
    pid_file = tmp_path / "pid"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(tmp_path / "socket"))
        listener.listen(1)
        listener.settimeout(DEADLINE)
        words = ["exec", "-d", "--pid-file", str(pid_file)]
        words += ["--pidfd-socket", str(tmp_path / "socket")]
        creche.run([*words, container_id, "sleep", "1000"]).ok()
        connection, _ = listener.accept()
        with connection:
            _, fds, _, _ = socket.recv_fds(connection, 4096, 2)
    (pidfd,) = fds
    try:
        info = Path(f"/proc/self/fdinfo/{pidfd}").read_text()
    finally:
        os.close(pidfd)

    assert f"Pid:\t{int(pid_file.read_text())}\n" in info


# What may be left out -----------------------------------------------------------------------------


def test_without_a_process_there_is_nothing_to_start(
    creche: Runtime, bundle: Bundles, container_id: str
) -> None:
    """runtime.md#start: create may do without `process`, start may not."""
    creche.run(["create", "-b", bundle({"process": None}), container_id]).ok()

    assert "process" in message(creche.run(["start", container_id]).failed(1))
    assert creche.status(container_id) == "created"


def test_a_later_change_of_the_configuration_has_no_effect(
    runtime: Runtime, bundle: Bundles, container_id: str
) -> None:
    """runtime.md#create: what was read then is what holds."""
    made = bundle({"root": {"readonly": False}}, sh="hostname >/tmp/said; echo before >>/tmp/said")
    runtime.run(["create", "-b", made, container_id]).ok()
    made.patch({"hostname": "later", "annotations": {"later": "yes"}})
    made.config["process"]["args"] = ["/bin/false"]
    made.write()
    pid = runtime.pid(container_id)
    runtime.run(["start", container_id]).ok()
    wait_exit(pid)
    assert "later" not in json.dumps(runtime.state(container_id).get("annotations", {}))
    assert (made.rootfs / "tmp/said").read_text() == "crt\nbefore\n"


def test_what_other_platforms_have_is_ignored(
    runtime: Runtime, bundle: Bundles, container_id: str
) -> None:
    """commandLine, and the sections of other systems."""
    made = bundle({"process": {"commandLine": "nonsense"}})
    for section in ("windows", "solaris", "vm", "freebsd", "zos"):
        made.config[section] = {"frobnicate": [1, {"x": None}]}
    if runtime.name == "runc":  # it knows the shape of some
        for section in ("windows", "solaris", "vm", "freebsd", "zos"):
            made.config[section] = {}
    inside = ask(runtime, made, container_id, s="cat /proc/self/status")

    assert parse_status(inside["s"])["Name"] == "cat"
