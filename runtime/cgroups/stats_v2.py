"""Statistics from the files of cgroup version 2, under version 1's names as runc maps them.

Source: Documentation/admin-guide/cgroup-v2.rst.
"""

from __future__ import annotations

from .counters import (
    UNLIMITED,
    huge_page_sizes,
    keyed,
    memory_entry,
    number,
    parse_number,
    text,
)
from .counters import without_zeroes as nonzero
from .stats_v1 import BLKIO_KEYS, CPUSET_FLAGS
from .stats_v1 import pids as pids_v1

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Section = dict[str, Any]

NANOSECONDS_PER_MICROSECOND = 1000

_IO = {
    "rbytes": ("ioServiceBytesRecursive", "Read"),
    "wbytes": ("ioServiceBytesRecursive", "Write"),
    "rios": ("ioServicedRecursive", "Read"),
    "wios": ("ioServicedRecursive", "Write"),
}


def cpu_usage(directory: str) -> Section:
    """cpu.stat counts with or without the controller, though not by CPU."""
    counts = keyed(text(directory, "cpu.stat") or "")
    return {
        **nonzero(total=counts.get("usage_usec", 0) * NANOSECONDS_PER_MICROSECOND),
        "kernel": counts.get("system_usec", 0) * NANOSECONDS_PER_MICROSECOND,
        "user": counts.get("user_usec", 0) * NANOSECONDS_PER_MICROSECOND,
    }


def throttling(directory: str) -> Section:
    """Only with the cpu controller."""
    counts = keyed(text(directory, "cpu.stat") or "")
    return nonzero(
        periods=counts.get("nr_periods", 0),
        throttledPeriods=counts.get("nr_throttled", 0),
        throttledTime=counts.get("throttled_usec", 0) * NANOSECONDS_PER_MICROSECOND,
    )


def cpuset(_directory: str) -> Section:
    """runc shows nothing of version 2's cpuset, and leaves none of these keys out."""
    return {
        "cpu_exclusive": 0,
        **dict.fromkeys(CPUSET_FLAGS, 0),
        "sched_relax_domain_level": 0,
    }


def memory(directory: str) -> Section:
    """Bytes. Version 2 counts swap by itself; shown is the sum with memory, as in version 1."""
    raw = keyed(text(directory, "memory.stat") or "")
    limit, usage = number(directory, "memory.max"), number(directory, "memory.current")
    section: Section = nonzero(cache=raw.get("file", 0))
    section["usage"] = memory_entry(limit, usage, number(directory, "memory.peak"), 0)
    # Without swap accounting there are no such files, and no swap is counted.
    swap_limit = parse_number(text(directory, "memory.swap.max") or "0")
    total = UNLIMITED if UNLIMITED in (swap_limit, limit) else swap_limit + limit
    used = usage + number(directory, "memory.swap.current")
    section["swap"] = memory_entry(total, used, 0, 0)
    section["kernel"] = memory_entry(0, 0, 0, 0)
    section["kernelTCP"] = memory_entry(0, 0, 0, 0)
    if raw:
        section["raw"] = raw
    return with_pressure(section, directory, "memory.pressure")


def pids(directory: str) -> Section:
    """Without the controller the processes are counted."""
    if text(directory, "pids.current") is not None:
        return pids_v1(directory)
    listed = text(directory, "cgroup.procs")
    if listed is None:  # a threaded cgroup
        listed = text(directory, "cgroup.threads") or ""
    return nonzero(current=len(listed.split()))


def blkio(directory: str) -> Section:
    """io.stat: lines of `major:minor rbytes=… wbytes=… rios=… wios=…`."""
    found: dict[str, list[Section]] = {}
    for line in (text(directory, "io.stat") or "").splitlines():
        device, *items = line.split()
        major, colon, minor = device.partition(":")
        if not colon:
            continue
        for item in items:
            name, _equals, value = item.partition("=")
            if name not in _IO:
                continue
            key, op = _IO[name]
            found.setdefault(key, []).append(
                nonzero(
                    major=parse_number(major),
                    minor=parse_number(minor),
                    op=op,
                    value=parse_number(value),
                )
            )
    section: Section = {key: found[key] for key in BLKIO_KEYS if key in found}
    return with_pressure(section, directory, "io.pressure")


def hugetlb(directory: str) -> Section:
    """For each page size; by reservation where the kernel counts those (Linux 5.7)."""
    sizes: Section = {}
    for size in huge_page_sizes():
        for kind in (f"hugetlb.{size}.rsvd", f"hugetlb.{size}"):
            used = text(directory, f"{kind}.current")
            if used is not None:
                events = keyed(text(directory, f"hugetlb.{size}.events") or "")
                failures = events.get("max", 0)
                sizes[size] = {**nonzero(usage=parse_number(used)), "failcnt": failures}
                break
    return dict(sorted(sizes.items()))


def with_pressure(section: Section, directory: str, name: str) -> Section:
    """Add how long processes had to wait (Documentation/accounting/psi.rst): percent, and us."""
    content = text(directory, name)
    if content is None:
        return section
    waits = {}
    for line in content.splitlines():
        kind, *items = line.split()
        pairs = dict(item.split("=", 1) for item in items)
        waits[kind] = {
            "avg10": _percent(pairs.get("avg10", "0")),
            "avg60": _percent(pairs.get("avg60", "0")),
            "avg300": _percent(pairs.get("avg300", "0")),
            "total": parse_number(pairs.get("total", "0")),
        }
    section["psi"] = waits
    return section


def _percent(word: str) -> int | float:
    """A whole number has no fraction, as Go's encoder writes it."""
    value = float(word)
    return int(value) if value.is_integer() else value
