"""What a container uses, in the shape in which runc's `events --stats` prints it.

The keys, their order, and which of them are left out when they are zero are runc's (its package
`types`): consumers decode the document into structures of the same names. Each controller is read
from where it is on this host, so that a hybrid one shows all of them.
"""

from __future__ import annotations

from . import stats_v1 as v1
from . import stats_v2 as v2
from .layout import UNIFIED
from .setup import holder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    Section = dict[str, Any]


def collect(paths: Mapping[str, str]) -> Section:
    """The statistics of the cgroups at hierarchy -> directory. Times are nanoseconds, sizes bytes.

    What cannot be read (a controller that is not there, a cgroup that is just going away) counts
    as zero. Raises OSError for anything but that.
    """
    found = dict(paths)

    def section(
        controller: str, old: Callable[[str], Section], new: Callable[[str], Section]
    ) -> Section:
        directory = holder(found, controller)
        if directory is not None:
            return old(directory)
        return new(found[UNIFIED]) if UNIFIED in found else old("")

    return {
        "cpu": _cpu(found),
        "cpuset": section("cpuset", v1.cpuset, v2.cpuset),
        "memory": section("memory", v1.memory, v2.memory),
        "pids": section("pids", v1.pids, v2.pids),
        "blkio": section("blkio", v1.blkio, v2.blkio),
        "hugetlb": section("hugetlb", v1.hugetlb, v2.hugetlb),
        "intel_rdt": {},
        # runc counts only the interfaces that its own configuration format made: none from OCI's.
        "network_interfaces": None,
    }


def _cpu(paths: dict[str, str]) -> Section:
    """Version 1 has usage and throttling in two controllers, which need not be mounted together."""
    accounting, bandwidth = holder(paths, "cpuacct"), holder(paths, "cpu")
    unified = paths.get(UNIFIED)
    cpu: Section = {}
    if accounting is not None or unified is None:
        cpu["usage"] = v1.cpu_usage(accounting or "")
    else:
        cpu["usage"] = v2.cpu_usage(unified)
    if bandwidth is not None or unified is None:
        cpu["throttling"] = v1.throttling(bandwidth or "")
        return cpu
    cpu["throttling"] = v2.throttling(unified)
    return v2.with_pressure(cpu, unified, "cpu.pressure")
