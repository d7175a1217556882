"""`linux.resources` in properties of systemd's units, as runc translates them."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.cgroups import compile_devices
from runtime.errors import ConfigError
from runtime.systemd.properties import (
    INFINITY,
    changed,
    devices,
    limits,
    mask,
    quota_per_second,
)

MIB = 1 << 20


def values(resources: dict[str, Any], modern: bool = True, version: int = 252) -> dict[str, Any]:
    return {name: value for name, (_kind, value) in limits(resources, modern, version)}


@pytest.mark.parametrize(
    ("resources", "v2", "v1"),
    [
        ({}, {}, {}),
        (
            {"memory": {"limit": 64 * MIB, "swap": 96 * MIB, "reservation": 32 * MIB}},
            {"MemoryMax": 64 * MIB, "MemorySwapMax": 32 * MIB, "MemoryLow": 32 * MIB},
            {"MemoryLimit": 64 * MIB},
        ),
        (
            {"memory": {"limit": -1}},
            {"MemoryMax": INFINITY, "MemorySwapMax": INFINITY},
            {"MemoryLimit": INFINITY},
        ),
        ({"memory": {"limit": 0, "swap": 0}}, {}, {}),
        ({"pids": {"limit": 20}}, {"TasksMax": 20}, {"TasksMax": 20}),
        ({"pids": {"limit": 0}}, {"TasksMax": 1}, {"TasksMax": 1}),
        ({"pids": {"limit": -1}}, {"TasksMax": INFINITY}, {"TasksMax": INFINITY}),
        ({"cpu": {"shares": 1024}}, {"CPUWeight": 100}, {"CPUShares": 1024}),
        ({"cpu": {"shares": 1024, "idle": 1}}, {"CPUWeight": 0}, {"CPUShares": 1024}),
        (
            {"cpu": {"quota": 50000, "period": 100000}},
            {"CPUQuotaPeriodUSec": 100000, "CPUQuotaPerSecUSec": 500000},
            {"CPUQuotaPeriodUSec": 100000, "CPUQuotaPerSecUSec": 500000},
        ),
        (
            {"cpu": {"quota": -1}},
            {"CPUQuotaPerSecUSec": INFINITY},
            {"CPUQuotaPerSecUSec": INFINITY},
        ),
        (
            {"cpu": {"cpus": "0-3,8", "mems": "0"}},
            {"AllowedCPUs": b"\x0f\x01", "AllowedMemoryNodes": b"\x01"},
            {},
        ),
        ({"blockIO": {"weight": 500}}, {"IOWeight": 4950}, {"BlockIOWeight": 500}),
        ({"unified": {"memory.high": "1048576"}}, {"MemoryHigh": MIB}, {}),
        ({"unified": {"cpu.max": "max 200000"}},
         {"CPUQuotaPeriodUSec": 200000, "CPUQuotaPerSecUSec": INFINITY}, {}),
        ({"unified": {"cpuset.cpus": "1", "hugetlb.2MB.max": "0"}}, {"AllowedCPUs": b"\x02"}, {}),
    ],
)  # fmt: skip
def test_limits(resources: dict[str, Any], v2: dict[str, Any], v1: dict[str, Any]) -> None:
    assert values(resources) == v2
    assert values(resources, modern=False) == v1


def test_a_named_file_wins_over_the_section() -> None:
    """It is written last."""
    resources = {"memory": {"limit": MIB}, "unified": {"memory.max": "max"}}

    assert values(resources) == {"MemoryMax": INFINITY}


def test_an_older_systemd_is_not_told_what_it_does_not_know() -> None:
    resources = {"cpu": {"quota": 50000, "period": 100000, "cpus": "0", "idle": 1}}

    assert values(resources, version=241) == {"CPUQuotaPerSecUSec": 500000}


@pytest.mark.parametrize(
    ("quota", "period", "expected"),
    [(12345, 100000, 130000), (1000, 1000000, 10000), (100000, 0, 1000000), (0, 1000, INFINITY)],
)
def test_a_quota_is_rounded_up_to_a_hundredth(quota: int, period: int, expected: int) -> None:
    assert quota_per_second(quota, period) == expected


def test_a_list_of_cpus_is_a_mask() -> None:
    assert mask("0,9-10", "key") == b"\x01\x06"
    with pytest.raises(ConfigError, match=r"linux\.resources\.cpu\.cpus"):
        limits({"cpu": {"cpus": "3-1"}}, True, 252)


def test_only_what_differs_is_set() -> None:
    """systemd would round what it is told again; what is gone gets its default."""
    before = limits(
        {"memory": {"limit": MIB}, "pids": {"limit": 5}, "cpu": {"cpus": "0"}}, True, 252
    )
    after = limits({"memory": {"limit": MIB, "reservation": 4}, "pids": {"limit": 6}}, True, 252)

    assert dict(changed(before, after)) == {
        "MemoryLow": ("t", 4),
        "TasksMax": ("t", 6),
        "AllowedCPUs": ("ay", b""),
    }
    assert dict(changed(after, before))["MemoryLow"] == ("t", 0)
    assert changed(before, before) == []


KNOWN = "Character devices:\n  1 mem\n136 pts\n\nBlock devices:\n  8 sd\n"


def test_devices_of_version_1() -> None:
    """systemd opens all of them up when it reloads, if it is told of none."""
    rules = compile_devices(
        [
            {"allow": False, "access": "rwm"},
            {"allow": True, "type": "b", "major": 8, "access": "r"},
            {"allow": True, "type": "c", "major": 10, "minor": 200, "access": "rw"},
            {"allow": True, "type": "c", "major": 99, "access": "rw"},
        ]
    )
    policy, (name, (signature, allowed)) = devices(rules, KNOWN)

    assert policy == ("DevicePolicy", ("s", "strict"))
    assert (name, signature) == ("DeviceAllow", "a(ss)")
    assert {("block-sd", "r"), ("/dev/char/10:200", "rw"), ("char-pts", "rwm")} <= set(allowed)
    assert not [entry for entry in allowed if "99" in entry[0]]


def test_all_devices() -> None:
    policy, allowed = devices([[True, "a", -1, -1, "rwm"]], KNOWN)

    assert policy == ("DevicePolicy", ("s", "auto"))
    assert allowed == ("DeviceAllow", ("a(ss)", []))
