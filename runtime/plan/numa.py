"""linux.memoryPolicy as the words of set_mempolicy(2) (include/uapi/linux/mempolicy.h)."""

from __future__ import annotations

from runtime.spec.numa import MAX_NODES
from runtime.spec.ranges import parse_ranges

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.spec.types import MemoryPolicy

MODES = {
    "MPOL_DEFAULT": 0,
    "MPOL_PREFERRED": 1,
    "MPOL_BIND": 2,
    "MPOL_INTERLEAVE": 3,
    "MPOL_LOCAL": 4,
    "MPOL_PREFERRED_MANY": 5,
    "MPOL_WEIGHTED_INTERLEAVE": 6,
}
FLAGS = {
    "MPOL_F_NUMA_BALANCING": 1 << 13,
    "MPOL_F_RELATIVE_NODES": 1 << 14,
    "MPOL_F_STATIC_NODES": 1 << 15,
}


def compile_memory_policy(policy: MemoryPolicy | None) -> tuple[int, list[int]] | None:
    """(mode with its flags, nodes), or None without a policy."""
    if not policy:
        return None
    mode = MODES[policy["mode"]]
    for flag in policy.get("flags", []):
        mode |= FLAGS[flag]
    return mode, parse_ranges(policy.get("nodes", ""), MAX_NODES)
