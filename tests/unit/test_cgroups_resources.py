"""`linux.resources` compiled to writes, for both versions and for hybrid hosts."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.cgroups import Hierarchy, Layout, compile_resources
from runtime.cgroups.resources_v2 import io_weight, weight_of_shares
from runtime.errors import ConfigError

_V1 = ("memory", "cpu,cpuacct", "cpuset", "pids", "blkio", "hugetlb", "net_cls,net_prio", "rdma")
_V2 = ["cpuset", "cpu", "io", "memory", "hugetlb", "pids", "rdma"]


def layout(*names: str, available: list[str] | None = None) -> Layout:
    return Layout({n: Hierarchy(n, f"/cg/{n}", "/", "/") for n in names}, available or [])


V1 = layout(*_V1)
V2 = layout("unified", available=_V2)
HYBRID = layout("memory", "cpu", "unified", available=["hugetlb", "pids"])


def pairs(resources: dict[str, Any], where: Layout) -> list[tuple[str, str]]:
    return [(write[1], write[2]) for write in compile_resources(resources, where)]


MIB = 1 << 20
DEVICE = {"major": 8, "minor": 0}

CASES: list[tuple[dict[str, Any], list[tuple[str, str]], list[tuple[str, str]]]] = [
    ({}, [], []),
    (
        {"memory": {"limit": 64 * MIB, "swap": 96 * MIB, "reservation": 32 * MIB}},
        [
            ("memory.limit_in_bytes", "67108864"),
            ("memory.memsw.limit_in_bytes", "100663296"),
            ("memory.soft_limit_in_bytes", "33554432"),
        ],
        [
            ("memory.swap.max", "33554432"),
            ("memory.max", "67108864"),
            ("memory.low", "33554432"),
        ],
    ),
    (
        {"memory": {"limit": MIB, "swap": MIB}},
        [("memory.limit_in_bytes", "1048576"), ("memory.memsw.limit_in_bytes", "1048576")],
        [("memory.swap.max", "0"), ("memory.max", "1048576")],
    ),
    (
        {"memory": {"limit": -1}},
        [("memory.limit_in_bytes", "-1"), ("memory.memsw.limit_in_bytes", "-1")],
        [("memory.swap.max", "max"), ("memory.max", "max")],
    ),
    ({"memory": {"limit": 0, "swap": 0, "reservation": 0}}, [], []),
    ({"memory": {"swappiness": 10}}, [("memory.swappiness", "10")], []),
    (
        {"cpu": {"shares": 1024, "quota": 20000, "period": 50000, "burst": 1000}},
        [
            ("cpu.cfs_period_us", "50000"),
            ("cpu.cfs_quota_us", "20000"),
            ("cpu.cfs_burst_us", "1000"),
            ("cpu.shares", "1024"),
        ],
        [("cpu.max", "20000 50000"), ("cpu.max.burst", "1000"), ("cpu.weight", "100")],
    ),
    ({"cpu": {"quota": -1}}, [("cpu.cfs_quota_us", "-1")], [("cpu.max", "max")]),
    ({"cpu": {"period": 50000}}, [("cpu.cfs_period_us", "50000")], [("cpu.max", "keep 50000")]),
    (
        {"cpu": {"shares": 2, "idle": 1}},
        [("cpu.shares", "2"), ("cpu.idle", "1")],
        [("cpu.weight", "1"), ("cpu.idle", "1")],
    ),
    (
        {"cpu": {"shares": 2, "idle": 0}},
        [("cpu.idle", "0"), ("cpu.shares", "2")],
        [("cpu.idle", "0"), ("cpu.weight", "1")],
    ),
    (
        {"cpu": {"cpus": "0-1", "mems": "0"}},
        [("cpuset.cpus", "0-1"), ("cpuset.mems", "0")],
        [("cpuset.cpus", "0-1"), ("cpuset.mems", "0")],
    ),
    ({"pids": {"limit": 20}}, [("pids.max", "20")], [("pids.max", "20")]),
    ({"pids": {"limit": 0}}, [("pids.max", "1")], [("pids.max", "1")]),
    ({"pids": {"limit": -1}}, [("pids.max", "max")], [("pids.max", "max")]),
    ({"blockIO": {"weight": 0, "leafWeight": 0}}, [], []),
    (
        {"blockIO": {"weight": 500}},
        [("blkio.weight", "500"), ("blkio.bfq.weight", "500")],
        [("io.bfq.weight", "500"), ("io.weight", "4950")],
    ),
    (
        {"blockIO": {"throttleReadBpsDevice": [{**DEVICE, "rate": 100}]}},
        [("blkio.throttle.read_bps_device", "8:0 100")],
        [("io.max", "8:0 rbps=100")],
    ),
    (
        {"blockIO": {"throttleWriteIOPSDevice": [{**DEVICE, "rate": 7}]}},
        [("blkio.throttle.write_iops_device", "8:0 7")],
        [("io.max", "8:0 wiops=7")],
    ),
    (
        {"blockIO": {"weightDevice": [{**DEVICE, "weight": 10}]}},
        [("blkio.weight_device", "8:0 10"), ("blkio.bfq.weight_device", "8:0 10")],
        [("io.bfq.weight", "8:0 10"), ("io.weight", "8:0 1")],
    ),
    (
        {"hugepageLimits": [{"pageSize": "2MB", "limit": 4 * MIB}]},
        [
            ("hugetlb.2MB.limit_in_bytes", "4194304"),
            ("hugetlb.2MB.rsvd.limit_in_bytes", "4194304"),
        ],
        [("hugetlb.2MB.max", "4194304"), ("hugetlb.2MB.rsvd.max", "4194304")],
    ),
    (
        {"rdma": {"mlx5_1": {"hcaHandles": 3, "hcaObjects": 10000}}},
        [("rdma.max", "mlx5_1 hca_handle=3 hca_object=10000")],
        [("rdma.max", "mlx5_1 hca_handle=3 hca_object=10000")],
    ),
]


@pytest.mark.parametrize(("resources", "v1", "v2"), CASES, ids=[str(case[0]) for case in CASES])
def test_compiled(
    resources: dict[str, Any], v1: list[tuple[str, str]], v2: list[tuple[str, str]]
) -> None:
    """File and value in each version."""
    assert pairs(resources, V1) == v1
    assert pairs(resources, V2) == v2


def test_network_and_realtime_are_version_1_only() -> None:
    """Version 2 has no file that could keep them, so they are errors there."""
    resources = {
        "network": {"classID": 5, "priorities": [{"name": "eth0", "priority": 3}]},
        "cpu": {"realtimeRuntime": 950, "realtimePeriod": 1000},
    }
    assert pairs(resources, V1) == [
        ("cpu.rt_period_us", "1000"),
        ("cpu.rt_runtime_us", "950"),
        ("net_cls.classid", "5"),
        ("net_prio.ifpriomap", "eth0 3"),
    ]
    for section in resources:
        with pytest.raises(ConfigError, match="not possible on cgroup v2"):
            compile_resources({section: resources[section]}, V2)


def test_hybrid_decides_controller_by_controller() -> None:
    """Each limit goes where its controller is bound, in that version's words."""
    resources = {
        "memory": {"limit": MIB},
        "pids": {"limit": 5},
        "hugepageLimits": [{"pageSize": "2MB", "limit": 0}],
    }
    assert [write[:3] for write in compile_resources(resources, HYBRID)] == [
        ["memory", "memory.limit_in_bytes", "1048576"],
        ["unified", "pids.max", "5"],
        ["unified", "hugetlb.2MB.max", "0"],
        ["unified", "hugetlb.2MB.rsvd.max", "0"],
    ]


def test_unified_goes_in_as_it_is() -> None:
    """Even where creche knows nothing of the file."""
    resources = {"unified": {"memory.high": "1048576", "cgroup.max.depth": "3"}}
    assert pairs(resources, V2) == [("memory.high", "1048576"), ("cgroup.max.depth", "3")]
    assert pairs({"unified": {"hugetlb.2MB.max": "0"}}, HYBRID) == [("hugetlb.2MB.max", "0")]


REFUSED: list[tuple[dict[str, Any], Layout, str, str]] = [
    ({"memory": {"limit": 2, "swap": 1}}, V1, "memory.swap", "should be >= memory limit"),
    ({"memory": {"limit": 2, "swap": 1}}, V2, "memory.swap", "should be >= memory limit"),
    ({"memory": {"swap": 1}}, V2, "memory.swap", "without memory limit"),
    ({"memory": {"limit": -2}}, V1, "memory.limit", "invalid memory value: -2"),
    ({"memory": {"swappiness": 101}}, V2, "memory.swappiness", "expected 0 to 100"),
    ({"cpu": {"shares": 1}}, V1, "cpu.shares", "minimum allowed cpu-shares is 2"),
    ({"cpu": {"shares": 262145}}, V1, "cpu.shares", "maximum allowed cpu-shares is 262144"),
    ({"blockIO": {"weight": 9}}, V2, "blockIO.weight", "expected 10 to 1000"),
    ({"hugepageLimits": [{"pageSize": "2M", "limit": 0}]}, V2, "hugepageLimits[0].pageSize", "2MB"),
    ({"hugepageLimits": [{"pageSize": "../x", "limit": 0}]}, V1, "hugepageLimits[0].pageSize", ""),
    ({"rdma": {"mlx": {}}}, V2, "rdma['mlx']", "found neither"),
    ({"unified": {"memory.high": "1"}}, V1, "unified", "invalid configuration"),
    ({"unified": {"memory.high": "1"}}, HYBRID, "unified['memory.high']", "invalid configuration"),
    ({"unified": {"../x": "1"}}, V2, "unified['../x']", "without '/'"),
    ({"unified": {"": "1"}}, V2, "unified['']", "without '/'"),
    ({"unified": {"cgroup.procs": "1"}}, V2, "unified['cgroup.procs']", "not a setting"),
    ({"unified": {"misc.max": "1"}}, V2, "unified['misc.max']", "'misc' not available"),
    ({"pids": {"limit": 1}}, layout("memory"), "pids.limit", "needs the pids cgroup controller"),
    ({"memory": {"limit": 1}}, layout("unified"), "memory.limit", "needs the memory cgroup"),
]


@pytest.mark.parametrize(("resources", "where", "key", "words"), REFUSED)
def test_refused(resources: dict[str, Any], where: Layout, key: str, words: str) -> None:
    """With the JSON path and the reason."""
    with pytest.raises(ConfigError) as caught:
        compile_resources(resources, where)
    assert caught.value.path == f"linux.resources.{key}"
    assert words in caught.value.message


def test_what_does_nothing_any_more_is_a_warning() -> None:
    """Settings that the kernel has dropped do not stop a container."""
    warnings: list[str] = []
    memory = {"kernel": 1, "kernelTCP": 1, "swappiness": 1, "disableOOMKiller": True}
    assert compile_resources({"memory": memory}, V2, warnings.append) == []
    assert len(warnings) == 4
    warnings.clear()
    compile_resources({"memory": memory}, V1, warnings.append)
    assert [text.partition(":")[0] for text in warnings] == ["linux.resources.memory.kernel"]


@pytest.mark.parametrize(
    ("shares", "weight"), [(0, 1), (2, 1), (1024, 100), (262144, 10000), (10**6, 10000)]
)
def test_weight_of_shares_meets_the_three_points(shares: int, weight: int) -> None:
    """Least, normal and most."""
    assert weight_of_shares(shares) == weight


def test_weights_grow_with_shares() -> None:
    """And stay in range."""
    values = [weight_of_shares(shares) for shares in range(2, 262145, 37)]
    assert values == sorted(values)
    assert min(values) == 1
    assert max(values) <= 10000
    assert [io_weight(10), io_weight(1000)] == [1, 10000]


def test_every_write_is_five_strings() -> None:
    """They have to survive JSON."""
    for resources, _v1, _v2 in CASES:
        for where in (V1, V2):
            for write in compile_resources(resources, where):
                assert len(write) == 5
                assert all(isinstance(part, str) for part in write)
                assert write[3].startswith("linux.resources.")
