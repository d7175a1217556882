"""What a container uses, in few numbers: for `crechectl top`, the page, and /metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

NANOSECONDS = 1e9


@dataclass(frozen=True, slots=True)
class Pressure:
    """Waits for a resource (Documentation/accounting/psi.rst): kind is `some` or `full`."""

    resource: str
    kind: str
    avg10: float
    """Percent of the last ten seconds."""
    seconds: float
    """In all."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Of one container since its start. Seconds and bytes; limits are None where there is none."""

    workload: str
    cpu: float
    throttled: float
    memory: int
    memory_limit: int | None
    memory_peak: int
    swap: int
    pids: int
    pids_limit: int | None
    read_bytes: int
    written_bytes: int
    pressure: tuple[Pressure, ...]


_NO_LIMIT = 1 << 62
"""Above this a limit is the kernel's largest number: none (version 1 rounds it to pages)."""


def usage_of(workload: str, stats: Mapping[str, Any]) -> Usage:
    """Out of runtime.cgroups.stats.collect; what is not counted on this machine is 0."""
    cpu, memory = stats.get("cpu", {}), stats.get("memory", {})
    used, swap = memory.get("usage", {}), memory.get("swap", {})
    limit, pids = used.get("limit", 0), stats.get("pids", {})
    read, written = _io(stats.get("blkio", {}))
    return Usage(
        workload=workload,
        cpu=cpu.get("usage", {}).get("total", 0) / NANOSECONDS,
        throttled=cpu.get("throttling", {}).get("throttledTime", 0) / NANOSECONDS,
        memory=used.get("usage", 0),
        memory_limit=limit if 0 < limit < _NO_LIMIT else None,
        memory_peak=used.get("max", 0),
        swap=max(0, swap.get("usage", 0) - used.get("usage", 0)),
        pids=pids.get("current", 0),
        pids_limit=pids.get("limit") or None,
        read_bytes=read,
        written_bytes=written,
        pressure=tuple(
            Pressure(resource, kind, float(waits["avg10"]), waits["total"] / 1e6)
            for resource, section in (("cpu", "cpu"), ("memory", "memory"), ("io", "blkio"))
            for kind, waits in sorted(stats.get(section, {}).get("psi", {}).items())
        ),
    )


def _io(blkio: Mapping[str, Any]) -> tuple[int, int]:
    sums = {"read": 0, "write": 0}
    for entry in blkio.get("ioServiceBytesRecursive", ()):
        operation = entry.get("op", "").lower()
        if operation in sums:
            sums[operation] += entry.get("value", 0)
    return sums["read"], sums["write"]
