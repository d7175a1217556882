"""Statistics from directories that are laid out as the kernel lays them out."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from runtime.cgroups import counters, stats
from runtime.cgroups.oom import OomWatch
from runtime.jsonio import dumps
from tests.support.waiting import wait_readable

UNLIMITED = 18446744073709551615

V1 = {
    "cpu,cpuacct": {
        "cpu.stat": "nr_periods 7\nnr_throttled 3\nthrottled_time 1500\nnr_bursts 0\n",
        "cpuacct.usage": "5000000\n",
        "cpuacct.stat": "user 2\nsystem 3\n",
        "cpuacct.usage_percpu": "2000000 3000000 \n",
        "cpuacct.usage_all": "cpu user system\n0 11 12\n1 21 22\n",
    },
    "cpuset": {
        "cpuset.cpus": "0-1,3\n",
        "cpuset.mems": "0\n",
        "cpuset.cpu_exclusive": "0\n",
        "cpuset.mem_hardwall": "0\n",
        "cpuset.mem_exclusive": "1\n",
        "cpuset.memory_migrate": "0\n",
        "cpuset.memory_spread_page": "0\n",
        "cpuset.memory_spread_slab": "0\n",
        "cpuset.memory_pressure": "4\n",
        "cpuset.sched_load_balance": "1\n",
        "cpuset.sched_relax_domain_level": "-1\n",
    },
    "memory": {
        "memory.stat": "rss 10\ncache 20\n",
        "memory.limit_in_bytes": "1000\n",
        "memory.usage_in_bytes": "100\n",
        "memory.max_usage_in_bytes": "200\n",
        "memory.failcnt": "5\n",
        "memory.memsw.limit_in_bytes": "2000\n",
        "memory.memsw.usage_in_bytes": "110\n",
        "memory.memsw.max_usage_in_bytes": "210\n",
        "memory.memsw.failcnt": "0\n",
        "memory.kmem.usage_in_bytes": "9\n",
        "memory.kmem.max_usage_in_bytes": "9\n",
        "memory.kmem.failcnt": "0\n",
    },
    "pids": {"pids.current": "2\n", "pids.max": "20\n"},
    "blkio": {
        "blkio.throttle.io_serviced_recursive": "8:0 Read 3\n8:0 Write 0\nTotal 3\n",
        "blkio.throttle.io_service_bytes_recursive": "8:0 Read 4096\nTotal 4096\n",
    },
    "hugetlb": {
        "hugetlb.2MB.rsvd.usage_in_bytes": "2097152\n",
        "hugetlb.2MB.rsvd.max_usage_in_bytes": "4194304\n",
        "hugetlb.2MB.rsvd.failcnt": "1\n",
        "hugetlb.1GB.usage_in_bytes": "0\n",
        "hugetlb.1GB.max_usage_in_bytes": "0\n",
        "hugetlb.1GB.failcnt": "0\n",
    },
}

V1_SHOWN = {
    "cpu": {
        "usage": {
            "total": 5000000,
            "percpu": [2000000, 3000000],
            "percpu_kernel": [12, 22],
            "percpu_user": [11, 21],
            "kernel": 30000000,
            "user": 20000000,
        },
        "throttling": {"periods": 7, "throttledPeriods": 3, "throttledTime": 1500},
    },
    "cpuset": {
        "cpus": [0, 1, 3],
        "cpu_exclusive": 0,
        "mems": [0],
        "mem_hardwall": 0,
        "mem_exclusive": 1,
        "memory_migrate": 0,
        "memory_spread_page": 0,
        "memory_spread_slab": 0,
        "memory_pressure": 4,
        "sched_load_balance": 1,
        "sched_relax_domain_level": -1,
    },
    "memory": {
        "cache": 20,
        "usage": {"limit": 1000, "usage": 100, "max": 200, "failcnt": 5},
        "swap": {"limit": 2000, "usage": 110, "max": 210, "failcnt": 0},
        "kernel": {"limit": 0, "usage": 9, "max": 9, "failcnt": 0},
        "kernelTCP": {"limit": 0, "failcnt": 0},
        "raw": {"cache": 20, "rss": 10},
    },
    "pids": {"current": 2, "limit": 20},
    "blkio": {
        "ioServiceBytesRecursive": [{"major": 8, "op": "Read", "value": 4096}],
        "ioServicedRecursive": [
            {"major": 8, "op": "Read", "value": 3},
            {"major": 8, "op": "Write"},
        ],
    },
    "hugetlb": {
        "1GB": {"failcnt": 0},
        "2MB": {"usage": 2097152, "max": 4194304, "failcnt": 1},
    },
    "intel_rdt": {},
    "network_interfaces": None,
}

V2 = {
    "unified": {
        "cpu.stat": (
            "usage_usec 5000\nuser_usec 2000\nsystem_usec 3000\n"
            "nr_periods 7\nnr_throttled 3\nthrottled_usec 15\n"
        ),
        "cpu.pressure": "some avg10=1.50 avg60=0.00 avg300=0.25 total=77\n",
        "memory.stat": "anon 10\nfile 20\n",
        "memory.current": "100\n",
        "memory.max": "1000\n",
        "memory.peak": "200\n",
        "memory.swap.current": "10\n",
        "memory.swap.max": "500\n",
        "pids.current": "2\n",
        "pids.max": "max\n",
        "io.stat": "8:16 rbytes=4096 wbytes=0 rios=3 wios=0 dbytes=0 dios=0\n",
        "hugetlb.2MB.current": "2097152\n",
        "hugetlb.2MB.events": "max 3\n",
    }
}

V2_SHOWN = {
    "cpu": {
        "usage": {"total": 5000000, "kernel": 3000000, "user": 2000000},
        "throttling": {"periods": 7, "throttledPeriods": 3, "throttledTime": 15000},
        "psi": {"some": {"avg10": 1.5, "avg60": 0, "avg300": 0.25, "total": 77}},
    },
    "cpuset": {
        "cpu_exclusive": 0,
        "mem_hardwall": 0,
        "mem_exclusive": 0,
        "memory_migrate": 0,
        "memory_spread_page": 0,
        "memory_spread_slab": 0,
        "memory_pressure": 0,
        "sched_load_balance": 0,
        "sched_relax_domain_level": 0,
    },
    "memory": {
        "cache": 20,
        "usage": {"limit": 1000, "usage": 100, "max": 200, "failcnt": 0},
        "swap": {"limit": 1500, "usage": 110, "failcnt": 0},
        "kernel": {"limit": 0, "failcnt": 0},
        "kernelTCP": {"limit": 0, "failcnt": 0},
        "raw": {"anon": 10, "file": 20},
    },
    "pids": {"current": 2},
    "blkio": {
        "ioServiceBytesRecursive": [
            {"major": 8, "minor": 16, "op": "Read", "value": 4096},
            {"major": 8, "minor": 16, "op": "Write"},
        ],
        "ioServicedRecursive": [
            {"major": 8, "minor": 16, "op": "Read", "value": 3},
            {"major": 8, "minor": 16, "op": "Write"},
        ],
    },
    "hugetlb": {"2MB": {"usage": 2097152, "failcnt": 3}},
    "intel_rdt": {},
    "network_interfaces": None,
}


def lay_out(top: Path, hierarchies: dict[str, dict[str, str]]) -> dict[str, str]:
    paths = {}
    for name, files in hierarchies.items():
        directory = top / name
        directory.mkdir()
        for file, content in files.items():
            (directory / file).write_text(content)
        paths[name] = str(directory)
    return paths


@pytest.fixture(autouse=True)
def _page_sizes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    sizes = tmp_path / "hugepages"
    for kilobytes in (2048, 1048576):
        (sizes / f"hugepages-{kilobytes}kB").mkdir(parents=True)
    monkeypatch.setattr(counters, "_HUGE_PAGES", str(sizes))


@pytest.mark.parametrize(("files", "shown"), [(V1, V1_SHOWN), (V2, V2_SHOWN)], ids=["v1", "v2"])
def test_everything_is_shown_in_runcs_order(
    tmp_path: Path, files: dict[str, dict[str, str]], shown: dict[str, Any]
) -> None:
    collected = stats.collect(lay_out(tmp_path, files))

    # As text, because the order of the keys counts, and 0 is not 0.0.
    assert dumps(collected) == json.dumps(shown, separators=(",", ":"))


def test_a_hybrid_host_shows_each_controller_from_where_it_is(tmp_path: Path) -> None:
    old = {name: V1[name] for name in ("memory", "pids")}

    collected = stats.collect(lay_out(tmp_path, {**old, **V2}))

    assert collected["memory"] == V1_SHOWN["memory"]
    assert collected["pids"] == V1_SHOWN["pids"]
    for name in ("cpu", "cpuset", "blkio", "hugetlb"):
        assert collected[name] == V2_SHOWN[name]


@pytest.mark.parametrize("names", [[], ["unified"], list(V1)])
def test_a_cgroup_that_is_gone_has_used_nothing(tmp_path: Path, names: list[str]) -> None:
    collected = stats.collect({name: str(tmp_path / "gone" / name) for name in names})

    assert list(collected) == list(V1_SHOWN)
    assert collected["cpu"] == {"usage": {"kernel": 0, "user": 0}, "throttling": {}}
    assert collected["memory"]["usage"] == {"limit": 0, "failcnt": 0}
    assert collected["pids"] == {}
    assert "raw" not in collected["memory"]


def test_without_limits_version_2_shows_the_largest_number(tmp_path: Path) -> None:
    files = {**V2["unified"], "memory.max": "max\n", "memory.swap.max": "max\n"}

    memory = stats.collect(lay_out(tmp_path, {"unified": files}))["memory"]

    assert memory["usage"]["limit"] == UNLIMITED
    assert memory["swap"]["limit"] == UNLIMITED


def test_processes_are_counted_where_no_controller_does_it(tmp_path: Path) -> None:
    paths = lay_out(tmp_path, {"unified": {"cgroup.procs": "12\n13\n14\n"}})

    assert stats.collect(paths)["pids"] == {"current": 3}


def test_only_blkio_files_with_entries_count(tmp_path: Path) -> None:
    """bfq's files exist wherever it is compiled in, and are empty where nobody uses it."""
    files = {**V1["blkio"], "blkio.bfq.io_serviced_recursive": ""}

    collected = stats.collect(lay_out(tmp_path, {"blkio": files}))

    assert collected["blkio"] == V1_SHOWN["blkio"]


# OOM on version 2 (version 1: tests/integration/test_events.py) ---------------------------------


@pytest.fixture
def events(tmp_path: Path) -> Path:
    """Give a memory.events that has counted an OOM kill before anybody watched."""
    lay_out(tmp_path, {"unified": {"memory.events": "low 0\noom 1\noom_kill 1\n"}})
    return tmp_path / "unified" / "memory.events"


def write(file: Path, content: str) -> None:
    # In place, as the kernel changes it.
    fd = os.open(file, os.O_WRONLY)
    os.pwrite(fd, content.encode(), 0)
    os.close(fd)


def test_an_oom_kill_wakes_and_is_told_once(events: Path) -> None:
    watch = OomWatch({"unified": str(events.parent)})

    assert not watch.take()
    write(events, "low 0\noom 2\noom_kill 3\n")
    assert wait_readable(watch.fileno())
    assert watch.take()
    assert not watch.take()
    watch.close()


def test_other_memory_events_are_not_told(events: Path) -> None:
    watch = OomWatch({"unified": str(events.parent)})

    write(events, "low 9\noom 1\noom_kill 1\n")
    assert wait_readable(watch.fileno())
    assert not watch.take()
    watch.close()


def test_without_a_memory_controller_nothing_happens(tmp_path: Path) -> None:
    watch = OomWatch({"unified": str(tmp_path)})

    assert watch.fileno() == -1
    assert not watch.take()
    watch.close()
