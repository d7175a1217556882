"""`linux.resources` in the files of cgroup version 1. Pure.

Source: Documentation/admin-guide/cgroup-v1/ and config-linux.md. Zero means "not set" for every
number here, as in runc, which cannot tell the two apart; engines write zeroes freely.
"""

from __future__ import annotations

from runtime.errors import ConfigError

from .writes import OPTIONAL, OR_NEXT, REQUIRED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, TypeAlias

    from .writes import Write

    Section: TypeAlias = Mapping[str, Any]
    Warn: TypeAlias = Callable[[str], None]

MIN_SHARES = 2
MAX_SHARES = 262144


def memory(section: Section, where: str, path: str, warn: Warn) -> list[Write]:
    """Bytes throughout; -1 is unlimited."""
    writes: list[Write] = []
    limit = section.get("limit") or 0
    swap = section.get("swap") or 0
    check_swap(limit, swap, path)
    if limit:
        writes.append([where, "memory.limit_in_bytes", str(limit), f"{path}.limit", REQUIRED])
    if swap:
        writes.append([where, "memory.memsw.limit_in_bytes", str(swap), f"{path}.swap", REQUIRED])
    elif limit == -1:
        # Unlimited memory below a limited sum of memory and swap is not unlimited.
        writes.append([where, "memory.memsw.limit_in_bytes", "-1", f"{path}.limit", OPTIONAL])
    if section.get("reservation"):
        value = str(section["reservation"])
        writes.append([where, "memory.soft_limit_in_bytes", value, f"{path}.reservation", REQUIRED])
    if section.get("kernel"):
        warn(f"{path}.kernel: ignored, Linux 5.16 removed the limit of kernel memory")
    if section.get("kernelTCP"):
        name = "memory.kmem.tcp.limit_in_bytes"
        writes.append([where, name, str(section["kernelTCP"]), f"{path}.kernelTCP", OPTIONAL])
    if section.get("swappiness") is not None:
        value = check_swappiness(section, path)
        writes.append([where, "memory.swappiness", value, f"{path}.swappiness", REQUIRED])
    if section.get("disableOOMKiller"):
        writes.append([where, "memory.oom_control", "1", f"{path}.disableOOMKiller", REQUIRED])
    if section.get("useHierarchy"):
        # Always on, and the file is gone, since Linux 5.11.
        writes.append([where, "memory.use_hierarchy", "1", f"{path}.useHierarchy", OPTIONAL])
    return writes


def check_swap(limit: int, swap: int, path: str) -> None:
    """`swap` is memory plus swap. Texts as runc's."""
    if limit < -1:
        raise ConfigError(f"{path}.limit", f"invalid memory value: {limit}")
    if swap < -1:
        raise ConfigError(f"{path}.swap", f"invalid memory+swap value: {swap}")
    if swap > 0 and limit > 0 and swap < limit:
        raise ConfigError(f"{path}.swap", "memory+swap limit should be >= memory limit")


def check_swappiness(section: Section, path: str) -> str:
    """Percent, as text."""
    value = section["swappiness"]
    if not 0 <= value <= 100:
        raise ConfigError(f"{path}.swappiness", f"invalid value {value}, expected 0 to 100")
    return str(value)


def cpu(section: Section, where: str, path: str, _warn: Warn) -> list[Write]:
    """Times are microseconds."""
    writes: list[Write] = []
    for key, name in (
        ("realtimePeriod", "cpu.rt_period_us"),
        ("realtimeRuntime", "cpu.rt_runtime_us"),
        ("period", "cpu.cfs_period_us"),
        ("quota", "cpu.cfs_quota_us"),
    ):
        if section.get(key):
            writes.append([where, name, str(section[key]), f"{path}.{key}", REQUIRED])
    if section.get("burst") is not None:
        value = str(section["burst"])
        writes.append([where, "cpu.cfs_burst_us", value, f"{path}.burst", REQUIRED])
    shares = section.get("shares") or 0
    if shares:
        # The kernel would clamp silently.
        if shares < MIN_SHARES:
            raise ConfigError(f"{path}.shares", f"the minimum allowed cpu-shares is {MIN_SHARES}")
        if shares > MAX_SHARES:
            raise ConfigError(f"{path}.shares", f"the maximum allowed cpu-shares is {MAX_SHARES}")
        writes.append([where, "cpu.shares", str(shares), f"{path}.shares", REQUIRED])
    idle(writes, section, where, path)
    return writes


def idle(writes: list[Write], section: Section, where: str, path: str) -> None:
    """Add cpu.idle: after the weight if it is switched on, before if off.

    An idle group refuses a weight (kernel/sched/fair.c, sched_group_set_shares).
    """
    value = section.get("idle")
    if value is None:
        return
    write = [where, "cpu.idle", str(value), f"{path}.idle", REQUIRED]
    if value:
        writes.append(write)
    else:
        writes.insert(0, write)


def cpuset(section: Section, where: str, path: str, _warn: Warn) -> list[Write]:
    """Lists such as `0-3,7`; the files have the same names in both versions."""
    return [
        [where, f"cpuset.{key}", section[key], f"{path}.{key}", REQUIRED]
        for key in ("cpus", "mems")
        if section.get(key)
    ]


def pids(section: Section, where: str, path: str, _warn: Warn) -> list[Write]:
    """-1 is unlimited; 0 becomes 1, because a limit of 0 lets not even the init be cloned in.

    (Linux 6.x: with CLONE_INTO_CGROUP the limit holds for the init as well.)
    """
    limit = section.get("limit")
    if limit is None:
        return []
    value = "max" if limit < 0 else str(max(limit, 1))
    return [[where, "pids.max", value, f"{path}.limit", REQUIRED]]


def check_weight(weight: int, key: str) -> int:
    """A block I/O weight; config-linux.md has it from 10 to 1000."""
    if not 10 <= weight <= 1000:
        raise ConfigError(key, f"invalid value {weight}, expected 10 to 1000")
    return weight


THROTTLES = (
    ("throttleReadBpsDevice", "read_bps", "rbps"),
    ("throttleWriteBpsDevice", "write_bps", "wbps"),
    ("throttleReadIOPSDevice", "read_iops", "riops"),
    ("throttleWriteIOPSDevice", "write_iops", "wiops"),
)


def block_io(section: Section, where: str, path: str, _warn: Warn) -> list[Write]:
    """Weights are those of the cfq scheduler, gone since Linux 5.0, or of bfq; rates per second."""
    writes: list[Write] = []

    def weigh(file: str, fallback: str, value: str, key: str) -> None:
        writes.append([where, file, value, key, OR_NEXT])
        writes.append([where, fallback, value, key, REQUIRED])

    if section.get("weight"):
        key = f"{path}.weight"
        weigh("blkio.weight", "blkio.bfq.weight", str(check_weight(section["weight"], key)), key)
    if section.get("leafWeight"):
        key = f"{path}.leafWeight"
        value = str(check_weight(section["leafWeight"], key))
        writes.append([where, "blkio.leaf_weight", value, key, REQUIRED])
    for index, device in enumerate(section.get("weightDevice") or []):
        key = f"{path}.weightDevice[{index}]"
        number = f"{device['major']}:{device['minor']}"
        if device.get("weight"):
            value = f"{number} {check_weight(device['weight'], key + '.weight')}"
            weigh("blkio.weight_device", "blkio.bfq.weight_device", value, key + ".weight")
        if device.get("leafWeight"):
            value = f"{number} {check_weight(device['leafWeight'], key + '.leafWeight')}"
            file = "blkio.leaf_weight_device"
            writes.append([where, file, value, key + ".leafWeight", REQUIRED])
    for name, old, _new in THROTTLES:
        for index, device in enumerate(section.get(name) or []):
            value = f"{device['major']}:{device['minor']} {device['rate']}"
            file = f"blkio.throttle.{old}_device"
            writes.append([where, file, value, f"{path}.{name}[{index}]", REQUIRED])
    return writes


def page_size(limit: Section, path: str) -> str:
    """The name of a huge page size as the kernel writes it: 64KB, 2MB, 1GB."""
    size = str(limit["pageSize"])
    digits = size[:-2]
    if size[-2:] not in ("KB", "MB", "GB") or not digits.isdigit() or digits.startswith("0"):
        raise ConfigError(f"{path}.pageSize", f"invalid value {size!r}, expected one like 2MB")
    return size


def hugepages(section: list[Section], where: str, path: str, _warn: Warn) -> list[Write]:
    """Bytes; both the use and, since Linux 5.7, the reservation is limited."""
    return huge_page_writes(section, where, path, "limit_in_bytes")


def huge_page_writes(section: list[Section], where: str, path: str, file: str) -> list[Write]:
    """For each page size, its limit; file: what the version calls it."""
    writes: list[Write] = []
    for index, limit in enumerate(section):
        key = f"{path}[{index}]"
        name = f"hugetlb.{page_size(limit, key)}"
        value = str(limit["limit"])
        writes.append([where, f"{name}.{file}", value, f"{key}.limit", REQUIRED])
        writes.append([where, f"{name}.rsvd.{file}", value, f"{key}.limit", OPTIONAL])
    return writes


def net_cls(section: Section, where: str, path: str, _warn: Warn) -> list[Write]:
    """The class that tc(8) sees."""
    if not section.get("classID"):
        return []
    return [[where, "net_cls.classid", str(section["classID"]), f"{path}.classID", REQUIRED]]


def net_prio(section: Section, where: str, path: str, _warn: Warn) -> list[Write]:
    """One line for each interface."""
    return [
        [
            where,
            "net_prio.ifpriomap",
            f"{entry['name']} {entry['priority']}",
            f"{path}.priorities[{index}]",
            REQUIRED,
        ]
        for index, entry in enumerate(section.get("priorities") or [])
    ]


def rdma(section: Mapping[str, Section], where: str, path: str, _warn: Warn) -> list[Write]:
    """The files are the same in both versions."""
    writes: list[Write] = []
    for device, limit in section.items():
        words = [device]
        if limit.get("hcaHandles") is not None:
            words.append(f"hca_handle={limit['hcaHandles']}")
        if limit.get("hcaObjects") is not None:
            words.append(f"hca_object={limit['hcaObjects']}")
        key = f"{path}[{device!r}]"
        if len(words) == 1:
            raise ConfigError(key, "expected hcaHandles or hcaObjects or both, found neither")
        writes.append([where, "rdma.max", " ".join(words), key, REQUIRED])
    return writes
