"""`update` on the real kernel; what runc does too is asked of both."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runtime.cgroups import UNIFIED, Hierarchy, discover
from runtime.cgroups.layout import parse_own
from tests.support.bundle import Bundle
from tests.support.runtimes import CRECHE, Runtime
from tests.support.waiting import wait_exit, wait_text

pytestmark = pytest.mark.root

Bundles = Callable[..., Bundle]

IDLE = "while :; do sleep 1000 & wait; done"
MIB = 1 << 20
NO_LIMIT = {"max", "9223372036854771712"}


def cgroups_of(pid: int) -> dict[str, Path]:
    """Return the directory of each hierarchy that a process is in."""
    own = parse_own(Path(f"/proc/{pid}/cgroup").read_text())
    found = {}
    for name, hierarchy in discover().hierarchies.items():
        here = Hierarchy(name, hierarchy.mountpoint, hierarchy.root, own[name])
        found[name] = Path(here.own_directory())
    return found


class Limits:
    """What holds for a container, by the files of whichever version has the controller."""

    def __init__(self, pid: int) -> None:
        self._paths = cgroups_of(pid)

    def _file(self, controller: str, old: str, new: str) -> tuple[str, bool]:
        for name, path in self._paths.items():
            if controller in name.split(","):
                return (path / old).read_text().strip(), False
        return (self._paths[UNIFIED] / new).read_text().strip(), True

    @property
    def memory(self) -> str:
        return self._file("memory", "memory.limit_in_bytes", "memory.max")[0]

    @property
    def memory_and_swap(self) -> str:
        value, modern = self._file("memory", "memory.memsw.limit_in_bytes", "memory.swap.max")
        return value if value in NO_LIMIT or not modern else str(int(value) + int(self.memory))

    @property
    def reservation(self) -> str:
        return self._file("memory", "memory.soft_limit_in_bytes", "memory.low")[0]

    @property
    def quota(self) -> tuple[str, str]:
        value, modern = self._file("cpu", "cpu.cfs_quota_us", "cpu.max")
        if modern:
            quota, period = value.split()
            return ("-1" if quota == "max" else quota), period
        return value, self._file("cpu", "cpu.cfs_period_us", "")[0]

    @property
    def idle(self) -> str:
        return self._file("cpu", "cpu.idle", "cpu.idle")[0]

    @property
    def cpus(self) -> str:
        return self._file("cpuset", "cpuset.cpus", "cpuset.cpus")[0]

    @property
    def pids(self) -> str:
        return self._file("pids", "pids.max", "pids.max")[0]

    def all(self) -> tuple[object, ...]:
        return (self.memory, self.memory_and_swap, self.quota, self.cpus, self.pids, self.idle)


RESOURCES = {
    "devices": [{"allow": False, "access": "rwm"}],
    "memory": {"limit": 32 * MIB, "reservation": 24 * MIB},
    "cpu": {"shares": 100, "quota": 500000, "period": 1000000},
    "pids": {"limit": 20},
}


class Running:
    """A running container with limits."""

    def __init__(self, runtime: Runtime, container: str) -> None:
        self.runtime = runtime
        self.id = container
        self.limits = Limits(runtime.pid(container))

    def update(self, *words: str) -> None:
        self.runtime.run(["update", *words, self.id]).ok()

    def send(self, resources: dict[str, Any]) -> None:
        document = json.dumps(resources).encode()
        self.runtime.run(["update", "-r", "-", self.id], stdin=document).ok()

    def refused(self, *words: str) -> str:
        return self.runtime.run(["update", *words, self.id]).failed(1).stderr


@pytest.fixture
def make(bundle: Bundles, container_id: str) -> Callable[..., Running]:
    """Give a maker of a running container: ``make(runtime, sh="…")``."""

    def run(runtime: Runtime, sh: str = IDLE, **linux: Any) -> Running:
        patch = {"linux": {"resources": RESOURCES, **linux}, "root": {"readonly": False}}
        runtime.run(["run", "-d", "-b", bundle(patch, sh=sh), container_id]).ok()
        return Running(runtime, container_id)

    return run


@pytest.fixture
def running(runtime: Runtime, make: Callable[..., Running]) -> Iterator[Running]:
    """Give a running container with limits, of each runtime."""
    yield make(runtime)


def test_memory(running: Running) -> None:
    limits = running.limits
    assert (limits.memory, limits.reservation) == (str(32 * MIB), str(24 * MIB))

    running.update("--memory", "67108864")
    assert limits.memory == str(64 * MIB)
    running.update("--memory", "50M", "--memory-reservation", "33554432")
    assert (limits.memory, limits.reservation) == (str(50 * MIB), str(32 * MIB))
    running.update("--memory", "50M", "--memory-swap", "-1")
    assert limits.memory_and_swap in NO_LIMIT
    # Up and down, both at once: the kernel takes them in one order only, each time another.
    for limit, total in ((30, 50), (60, 80), (20, 25)):
        running.update("--memory", f"{limit}M", "--memory-swap", f"{total}M")
        assert (limits.memory, limits.memory_and_swap) == (str(limit * MIB), str(total * MIB))
    running.update("--memory", "-1")
    assert limits.memory in NO_LIMIT
    assert limits.memory_and_swap in NO_LIMIT


def test_quota_and_period_keep_each_other(running: Running) -> None:
    limits = running.limits
    assert limits.quota == ("500000", "1000000")

    for words, expected in (
        (["--cpu-period", "900000"], ("500000", "900000")),
        (["--cpu-quota", "600000"], ("600000", "900000")),
        (["--cpu-quota", "-1"], ("-1", "900000")),
        (["--cpu-quota", "-1", "--cpu-period", "100000"], ("-1", "100000")),
        (["--cpu-period", "10000", "--cpu-quota", "3000"], ("3000", "10000")),
    ):
        running.update(*words)
        assert limits.quota == expected


def test_pids(running: Running) -> None:
    for given, held in (("10", "10"), ("-1", "max")):
        running.update("--pids-limit", given)
        assert running.limits.pids == held


def test_a_limit_of_no_processes_is_one(creche: Runtime, make: Callable[..., Running]) -> None:
    """As today's runc; 1.1.5 takes 0 for no limit."""
    running = make(creche)

    running.update("--pids-limit", "0")
    assert running.limits.pids == "1"


def test_from_standard_input_with_keys_in_any_case(running: Running) -> None:
    running.send({"CPU": {"Cpus": "0", "QUOTA": 600000}, "memory": {"Limit": 40 * MIB}})

    limits = running.limits
    assert (limits.cpus, limits.quota) == ("0", ("600000", "1000000"))
    assert (limits.memory, limits.pids) == (str(40 * MIB), "20")


def test_a_file_overrides_the_other_options(running: Running, tmp_path: Path) -> None:
    file = tmp_path / "resources.json"
    file.write_text('{"pids": {"limit": 11}}')

    running.update("-r", str(file), "--pids-limit", "12", "--memory", "50M")

    assert (running.limits.pids, running.limits.memory) == ("11", str(32 * MIB))


def test_flags_may_follow_the_id(running: Running) -> None:
    running.runtime.run(["update", running.id, "--pids-limit", "13", "--cpuset-cpus=0"]).ok()

    assert (running.limits.pids, running.limits.cpus) == ("13", "0")


@pytest.mark.parametrize(
    "words",
    [
        ["--memory", "5X"],
        ["--cpu-share", "1x"],
        ["--cpu-period", "1"],
        ["--cpuset-cpus", "4000"],
        ["--l3-cache-schema", "L3:0=f"],
        ["-r", "/none"],
    ],
)
def test_bad_values_change_nothing(running: Running, words: list[str]) -> None:
    before = running.limits.all()

    running.refused(*words)

    assert running.limits.all() == before


def test_idle(creche: Runtime, make: Callable[..., Running]) -> None:
    running = make(creche)
    for value in ("1", "0", "1"):
        running.update("--cpu-idle", value)
        assert running.limits.idle == value
    running.update("--cpu-period", "900000")
    assert running.limits.idle == "1"
    for bad in ("-1", "2", "3"):
        assert "cpu.idle" in running.refused("--cpu-idle", bad)
        assert running.limits.idle == "1"


def test_all_or_nothing(creche: Runtime, make: Callable[..., Running]) -> None:
    """The kernel refuses one of the values; those written before it are taken back.

    runc takes back what its configuration had, so that a limit which that did not name stays.
    """
    running = make(creche)
    before = running.limits.all()

    running.refused("--memory", "60M", "--memory-swap", "50M")
    assert running.limits.all() == before

    words = ["--memory", "60M", "--memory-swap", "70M", "--pids-limit", "7", "--cpuset-cpus", "0"]
    running.refused(*words, "--cpu-idle", "3")
    assert running.limits.all() == before
    running.refused(*words, "--cpu-period", "1")
    assert running.limits.all() == before
    running.update(*words)
    assert running.limits.all() != before


def test_what_holds_is_saved(creche: Runtime, make: Callable[..., Running]) -> None:
    running = make(creche)

    running.update("--memory", "50M", "--cpu-quota", "600000", "--blkio-weight", "0")
    running.refused("--memory", "60M", "--cpu-idle", "3")

    state = json.loads((creche.root / running.id / "state.json").read_text())
    resources = state["config"]["linux"]["resources"]
    assert resources["memory"] == {"limit": 50 * MIB, "reservation": 24 * MIB}
    assert resources["cpu"] == {"shares": 100, "quota": 600000, "period": 1000000}
    assert resources["devices"] == RESOURCES["devices"]


def test_updates_at_once_lose_nothing(creche: Runtime, make: Callable[..., Running]) -> None:
    running = make(creche)
    words = {
        "pids": ["--pids-limit", "31"],
        "shares": ["--cpu-share", "200"],
        "memory": ["--memory", "40M"],
        "quota": ["--cpu-quota", "300000"],
        "cpus": ["--cpuset-cpus", "0"],
    }

    calls = [creche.popen(["update", *each, running.id]) for each in words.values()]
    for call in calls:
        assert call.communicate()[1] == b""
        assert call.returncode == 0

    state = json.loads((creche.root / running.id / "state.json").read_text())
    resources = state["config"]["linux"]["resources"]
    assert resources["pids"]["limit"] == 31
    assert resources["memory"]["limit"] == 40 * MIB
    assert resources["cpu"] == {"shares": 200, "quota": 300000, "period": 1000000, "cpus": "0"}


def test_a_paused_container_stays_paused(running: Running) -> None:
    running.runtime.run(["pause", running.id]).ok()

    running.update("--pids-limit", "30")

    assert running.runtime.status(running.id) == "paused"
    assert running.limits.pids == "30"
    running.runtime.run(["resume", running.id]).ok()


def test_devices_stay_closed_and_open(creche: Runtime, make: Callable[..., Running]) -> None:
    """All the while the container uses what it may, and tries what it may not."""
    running = make(
        creche,
        sh="while :; do head -c 1 /dev/kmsg 2>/dev/null && echo open; echo x >/dev/null || echo no;"
        " done >/tmp/seen 2>&1",
        devices=[{"path": "/dev/kmsg", "type": "c", "major": 1, "minor": 11, "fileMode": 0o666}],
    )
    state = json.loads((creche.root / running.id / "state.json").read_text())
    rootfs = Path(state["rootfs"])
    creche.run(["exec", running.id, "test", "-c", "/dev/kmsg"]).ok()

    devices = [{"allow": True, "access": "rwm"}]
    for limit in range(20, 40):
        running.send({"pids": {"limit": limit}, "devices": devices})

    assert (rootfs / "tmp/seen").read_text() == ""


def test_created_containers_can_be_updated(
    runtime: Runtime, bundle: Bundles, container_id: str
) -> None:
    runtime.run(["create", "-b", bundle(sh=IDLE), container_id]).ok()

    runtime.run(["update", "--pids-limit", "21", container_id]).ok()

    assert Limits(runtime.pid(container_id)).pids == "21"
    assert runtime.status(container_id) == "created"


def test_a_stopped_container_is_refused(
    runtime: Runtime, bundle: Bundles, container_id: str
) -> None:
    runtime.run(["run", "-d", "-b", bundle(sh=IDLE), container_id]).ok()
    pid = runtime.pid(container_id)
    runtime.run(["kill", container_id, "KILL"]).ok()
    wait_exit(pid)

    result = runtime.run(["update", "--pids-limit", "21", container_id]).failed(1)

    assert "container not running" in result.stderr


def test_of_nothing(runtime: Runtime) -> None:
    result = runtime.run(["update", "--pids-limit", "5", "none"]).failed(1)

    assert "container does not exist" in result.stderr


def test_a_poststart_hook_may_update(
    creche: Runtime, bundle: Bundles, container_id: str, tmp_path: Path
) -> None:
    """It runs while `start` still holds the container."""
    words = ["creche", "--root", str(creche.root), "update", "--pids-limit", "33", container_id]
    hook = {"path": str(CRECHE), "args": words, "env": ["PATH=/usr/bin:/bin"]}

    creche.run(["run", "-d", "-b", bundle({"hooks": {"poststart": [hook]}}, sh=IDLE), container_id])

    assert Limits(creche.pid(container_id)).pids == "33"


def test_a_container_below_its_new_limit_lives_on(running: Running) -> None:
    """A limit below what is used is refused, or reclaims; nobody is killed for it."""
    running.runtime.run(["update", "--memory", "4k", running.id])

    assert running.runtime.status(running.id) == "running"


def test_processes_over_a_new_limit_stay(running: Running) -> None:
    running.update("--pids-limit", "1")

    assert running.runtime.status(running.id) == "running"
    refused = running.runtime.run(["exec", running.id, "true"])
    assert refused.rc != 0 or running.runtime.name == "runc"
    running.update("--pids-limit", "20")
    running.runtime.run(["exec", running.id, "true"]).ok()


def test_unified_is_refused_where_it_cannot_hold(
    creche: Runtime, make: Callable[..., Running]
) -> None:
    layout = discover()
    if layout.mode == "v2":
        pytest.skip("unified files can be set here")
    running = make(creche)

    document = json.dumps({"unified": {"pids.max": "9"}}).encode()
    result = creche.run(["update", "-r", "-", running.id], stdin=document).failed(1)

    assert "invalid configuration" in result.stderr
    assert running.limits.pids == "20"


def test_the_program_sees_its_new_limit(creche: Runtime, make: Callable[..., Running]) -> None:
    """The limit is the kernel's, not a number in a file of ours."""
    running = make(
        creche,
        sh="while [ ! -e /tmp/go ]; do sleep 0.01; done; "
        "dd if=/dev/zero of=/dev/null bs=40M count=1 2>/dev/null; echo $? >/tmp/status; " + IDLE,
    )
    state = json.loads((creche.root / running.id / "state.json").read_text())
    rootfs = Path(state["rootfs"])

    running.update("--memory", "10M", "--memory-swap", "10M")
    (rootfs / "tmp/go").touch()

    assert wait_text(rootfs / "tmp/status", "\n") == "137\n"


def test_help_names_every_flag_of_runc(creche: Runtime, runc: Runtime) -> None:
    shown = creche.run(["update", "--help"]).ok().stdout
    theirs = subprocess.run(["runc", "update", "--help"], capture_output=True, text=True).stdout

    flags = {word for word in theirs.split() if word.startswith("--")}
    assert flags
    assert {flag for flag in flags if flag.rstrip(",") not in shown} == set()
