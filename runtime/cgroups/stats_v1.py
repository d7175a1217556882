"""Statistics from the files of cgroup version 1. A directory of "" stands for none."""

from __future__ import annotations

from runtime.spec.ranges import parse_ranges

from .counters import huge_page_sizes, keyed, memory_entry, number, parse_number, text
from .counters import without_zeroes as nonzero

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Section = dict[str, Any]

# USER_HZ, in which cpuacct.stat counts: a constant of the kernel's interface (100 everywhere).
NANOSECONDS_PER_TICK = 1_000_000_000 // 100

_MOST_NUMBERS = 1 << 16  # CPUs or nodes; runc counts them in 16 bits

# cpuset's flags in runc's order, with the names of the files.
CPUSET_FLAGS = (
    "mem_hardwall",
    "mem_exclusive",
    "memory_migrate",
    "memory_spread_page",
    "memory_spread_slab",
    "memory_pressure",
    "sched_load_balance",
)

BLKIO_KEYS = (
    "ioServiceBytesRecursive",
    "ioServicedRecursive",
    "ioQueueRecursive",
    "ioServiceTimeRecursive",
    "ioWaitTimeRecursive",
    "ioMergedRecursive",
    "ioTimeRecursive",
    "sectorsRecursive",
)
_ALL_BLKIO = (
    ("sectors_recursive", "sectorsRecursive"),
    ("io_service_time_recursive", "ioServiceTimeRecursive"),
    ("io_wait_time_recursive", "ioWaitTimeRecursive"),
    ("io_merged_recursive", "ioMergedRecursive"),
    ("io_queued_recursive", "ioQueueRecursive"),
    ("time_recursive", "ioTimeRecursive"),
    ("io_serviced_recursive", "ioServicedRecursive"),
    ("io_service_bytes_recursive", "ioServiceBytesRecursive"),
)
# Which scheduler counts decides which files have anything in them: bfq (with debugging, without),
# cfq, else the throttling layer. The first set whose first file has an entry is taken.
_BLKIO_SETS = (
    ("blkio.bfq.", _ALL_BLKIO),
    ("blkio.bfq.", _ALL_BLKIO[-2:]),
    ("blkio.", _ALL_BLKIO),
    ("blkio.throttle.", _ALL_BLKIO[-2:]),
    (
        "blkio.throttle.",
        (("io_serviced", "ioServicedRecursive"), ("io_service_bytes", "ioServiceBytesRecursive")),
    ),
)


def cpu_usage(directory: str) -> Section:
    """cpuacct: nanoseconds in all, and on each CPU."""
    ticks = keyed(text(directory, "cpuacct.stat") or "")
    user, kernel = [], []
    for line in (text(directory, "cpuacct.usage_all") or "").splitlines()[1:]:
        fields = line.split()
        if len(fields) >= 3:
            user.append(parse_number(fields[1]))
            kernel.append(parse_number(fields[2]))
    each = (text(directory, "cpuacct.usage_percpu") or "").split()
    return {
        **nonzero(
            total=number(directory, "cpuacct.usage"),
            percpu=[parse_number(word) for word in each],
            percpu_kernel=kernel,
            percpu_user=user,
        ),
        "kernel": ticks.get("system", 0) * NANOSECONDS_PER_TICK,
        "user": ticks.get("user", 0) * NANOSECONDS_PER_TICK,
    }


def throttling(directory: str) -> Section:
    """cpu.stat; the time is in nanoseconds here, in microseconds in version 2."""
    counts = keyed(text(directory, "cpu.stat") or "")
    return nonzero(
        periods=counts.get("nr_periods", 0),
        throttledPeriods=counts.get("nr_throttled", 0),
        throttledTime=counts.get("throttled_time", 0),
    )


def cpuset(directory: str) -> Section:
    """Lists of numbers, and flags."""
    level = (text(directory, "cpuset.sched_relax_domain_level") or "0").strip()
    return {
        **nonzero(cpus=_numbers(directory, "cpuset.cpus")),
        "cpu_exclusive": number(directory, "cpuset.cpu_exclusive"),
        **nonzero(mems=_numbers(directory, "cpuset.mems")),
        **{name: number(directory, f"cpuset.{name}") for name in CPUSET_FLAGS},
        "sched_relax_domain_level": int(level),  # -1: the system's default
    }


def _numbers(directory: str, name: str) -> list[int]:
    content = (text(directory, name) or "").strip()
    return parse_ranges(content, _MOST_NUMBERS) if content else []


def memory(directory: str) -> Section:
    """Bytes. swap counts memory and swap together."""
    raw = keyed(text(directory, "memory.stat") or "")
    section: Section = nonzero(cache=raw.get("cache", 0))
    for key, kind in (
        ("usage", "memory"),
        ("swap", "memory.memsw"),
        ("kernel", "memory.kmem"),
        ("kernelTCP", "memory.kmem.tcp"),
    ):
        section[key] = memory_entry(
            number(directory, f"{kind}.limit_in_bytes"),
            number(directory, f"{kind}.usage_in_bytes"),
            number(directory, f"{kind}.max_usage_in_bytes"),
            number(directory, f"{kind}.failcnt"),
        )
    if raw:
        section["raw"] = raw
    return section


def pids(directory: str) -> Section:
    """No limit is shown as none."""
    limit = (text(directory, "pids.max") or "max").strip()
    return nonzero(
        current=number(directory, "pids.current"),
        limit=0 if limit == "max" else parse_number(limit),
    )


def blkio(directory: str) -> Section:
    """One entry for each device and operation."""
    for prefix, files in _BLKIO_SETS:
        found: dict[str, list[Section]] = {}
        for name, key in files:
            entries = _entries(text(directory, prefix + name) or "")
            if not entries:
                break
            found[key] = entries
        if found:
            return {key: found[key] for key in BLKIO_KEYS if key in found}
    return {}


def _entries(content: str) -> list[Section]:
    """Lines of `major:minor [operation] number`, and a total that runc leaves out."""
    entries: list[Section] = []
    for line in content.splitlines():
        fields = line.replace(":", " ").split()
        if len(fields) < 3:
            continue
        entries.append(
            nonzero(
                major=parse_number(fields[0]),
                minor=parse_number(fields[1]),
                op=fields[2] if len(fields) > 3 else "",
                value=parse_number(fields[-1]),
            )
        )
    return entries


def hugetlb(directory: str) -> Section:
    """For each page size; by reservation where the kernel counts those (Linux 5.7)."""
    sizes: Section = {}
    for size in huge_page_sizes():
        for kind in (f"hugetlb.{size}.rsvd", f"hugetlb.{size}"):
            if text(directory, f"{kind}.usage_in_bytes") is not None:
                sizes[size] = {
                    **nonzero(
                        usage=number(directory, f"{kind}.usage_in_bytes"),
                        max=number(directory, f"{kind}.max_usage_in_bytes"),
                    ),
                    "failcnt": number(directory, f"{kind}.failcnt"),
                }
                break
    return dict(sorted(sizes.items()))
