"""`linux.resources`, which is worded for cgroup version 1, in the files of version 2. Pure.

Source: Documentation/admin-guide/cgroup-v2.rst; the conversions are those on which runc and crun
agree, so that a container gets the same share of the machine under either.
"""

from __future__ import annotations

from runtime.errors import ConfigError

from .resources_v1 import (
    THROTTLES,
    check_swap,
    check_swappiness,
    check_weight,
    cpuset,
    huge_page_writes,
    idle,
    pids,
    rdma,
)
from .writes import OPTIONAL, OR_NEXT, REQUIRED, UNUSED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .resources_v1 import Section, Warn
    from .writes import Write

__all__ = [
    "block_io",
    "cpu",
    "cpuset",
    "hugepages",
    "io_weight",
    "memory",
    "net_cls",
    "net_prio",
    "pids",
    "rdma",
    "weight_of_shares",
]

DEFAULT_PERIOD = 100000  # microseconds


def memory(section: Section, where: str, path: str, warn: Warn) -> list[Write]:
    """Bytes; version 2 counts swap by itself, so it gets what `swap` exceeds `limit` by."""
    limit = section.get("limit") or 0
    swap = section.get("swap") or 0
    check_swap(limit, swap, path)
    writes: list[Write] = []
    if swap > 0 and limit <= 0:
        raise ConfigError(f"{path}.swap", "unable to set swap limit without memory limit")
    if swap or limit == -1:
        value = str(swap - limit) if swap > 0 else "max"
        # A kernel that does not account swap has nothing to limit or to open up.
        mode = OPTIONAL if value in ("0", "max") else REQUIRED
        key = f"{path}.swap" if swap else f"{path}.limit"
        writes.append([where, "memory.swap.max", value, key, mode])
    if limit:
        value = _or_max(limit)
        mode = UNUSED if section.get("checkBeforeUpdate") else REQUIRED
        writes.append([where, "memory.max", value, f"{path}.limit", mode])
    if section.get("reservation"):
        value = _or_max(section["reservation"])
        writes.append([where, "memory.low", value, f"{path}.reservation", REQUIRED])
    if section.get("swappiness") is not None:
        check_swappiness(section, path)
        warn(f"{path}.swappiness: ignored, cgroup v2 has no such setting")
    for key in ("kernel", "kernelTCP", "disableOOMKiller"):
        if section.get(key):
            warn(f"{path}.{key}: ignored, cgroup v2 has no such setting")
    return writes


def _or_max(number: int) -> str:
    return "max" if number < 0 else str(number)


def weight_of_shares(shares: int) -> int:
    """cpu.weight (1 to 10000, 100 is normal) for cpu.shares (2 to 262144, 1024 is normal).

    A quadratic in log2(shares) that meets all three points; the earlier linear formula gave a
    container with default shares a weight of 39 only.
    """
    if shares <= 2:
        return 1
    if shares >= 262144:
        return 10000
    import math  # an extension module, which version 1 hosts need not load

    level = math.log2(shares)
    return math.ceil(10 ** ((level * level + 125 * level) / 612 - 7 / 34))


def cpu(section: Section, where: str, path: str, _warn: Warn) -> list[Write]:
    """Times are microseconds."""
    for key in ("realtimeRuntime", "realtimePeriod"):
        if section.get(key):
            raise ConfigError(f"{path}.{key}", "not possible on cgroup v2")
    writes: list[Write] = []
    quota = section.get("quota") or 0
    period = section.get("period") or 0
    if quota:
        value = _or_max(quota) + (f" {period}" if period else "")
        writes.append([where, "cpu.max", value, f"{path}.quota", REQUIRED])
    elif period:
        writes.append([where, "cpu.max", f"keep {period}", f"{path}.period", REQUIRED])
    if section.get("burst") is not None:
        writes.append([where, "cpu.max.burst", str(section["burst"]), f"{path}.burst", REQUIRED])
    if section.get("shares"):
        value = str(weight_of_shares(section["shares"]))
        writes.append([where, "cpu.weight", value, f"{path}.shares", REQUIRED])
    idle(writes, section, where, path)
    return writes


def io_weight(weight: int) -> int:
    """io.weight (1 to 10000) for blkio's weight (10 to 1000)."""
    return 1 + (weight - 10) * 9999 // 990


def block_io(section: Section, where: str, path: str, warn: Warn) -> list[Write]:
    """bfq keeps version 1's scale in a file of its own."""
    writes: list[Write] = []

    def weigh(prefix: str, weight: int, key: str) -> None:
        check_weight(weight, key)
        writes.append([where, "io.bfq.weight", f"{prefix}{weight}", key, OR_NEXT])
        writes.append([where, "io.weight", f"{prefix}{io_weight(weight)}", key, REQUIRED])

    if section.get("weight"):
        weigh("", section["weight"], f"{path}.weight")
    if section.get("leafWeight"):
        warn(f"{path}.leafWeight: ignored, cgroup v2 has no such setting")
    for index, device in enumerate(section.get("weightDevice") or []):
        if device.get("weight"):
            prefix = f"{device['major']}:{device['minor']} "
            weigh(prefix, device["weight"], f"{path}.weightDevice[{index}].weight")
    for name, _old, new in THROTTLES:
        for index, device in enumerate(section.get(name) or []):
            value = f"{device['major']}:{device['minor']} {new}={device['rate']}"
            writes.append([where, "io.max", value, f"{path}.{name}[{index}]", REQUIRED])
    return writes


def hugepages(section: list[Section], where: str, path: str, _warn: Warn) -> list[Write]:
    """Bytes; both the use and the reservation is limited."""
    return huge_page_writes(section, where, path, "max")


def net_cls(section: Section, _where: str, path: str, _warn: Warn) -> list[Write]:
    """Version 2 leaves this to iptables and BPF programs."""
    if section.get("classID"):
        raise ConfigError(f"{path}.classID", "not possible on cgroup v2")
    return []


def net_prio(section: Section, _where: str, path: str, _warn: Warn) -> list[Write]:
    """As net_cls."""
    if section.get("priorities"):
        raise ConfigError(f"{path}.priorities", "not possible on cgroup v2")
    return []
