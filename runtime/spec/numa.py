"""Rules for `linux.memoryPolicy`, in runc's words: callers look for them."""

from __future__ import annotations

from runtime.errors import ConfigError
from runtime.jsonio import quote
from runtime.spec.names import MEMORY_POLICY_FLAGS, MEMORY_POLICY_MODES
from runtime.spec.ranges import parse_ranges

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.spec.types import MemoryPolicy

MAX_NODES = 1024  # CONFIG_NODES_SHIFT 10, the largest on any architecture


def check_memory_policy(policy: MemoryPolicy) -> None:
    """set_mempolicy(2). Raises ConfigError."""
    path = "linux.memoryPolicy"
    mode = policy.get("mode", "")
    if mode not in MEMORY_POLICY_MODES:
        raise ConfigError(
            f"{path}.mode",
            f"invalid memory policy mode {quote(mode)}, expected one of "
            + ", ".join(MEMORY_POLICY_MODES),
        )
    for index, flag in enumerate(policy.get("flags", [])):
        if flag not in MEMORY_POLICY_FLAGS:
            raise ConfigError(
                f"{path}.flags[{index}]",
                f"invalid memory policy flag {quote(flag)}, expected one of "
                + ", ".join(MEMORY_POLICY_FLAGS),
            )
    text = policy.get("nodes", "")
    try:
        nodes = parse_ranges(text, MAX_NODES)
    except ValueError as error:
        raise ConfigError(
            f"{path}.nodes", f"invalid memory policy nodes {quote(text)}: {error}"
        ) from None
    if mode in ("MPOL_DEFAULT", "MPOL_LOCAL"):
        if nodes:
            raise ConfigError(
                f"{path}.nodes",
                f"invalid memory policy: {mode} mode requires 0 nodes but got {len(nodes)}",
            )
    elif mode != "MPOL_PREFERRED" and not nodes:
        raise ConfigError(
            f"{path}.nodes",
            f"invalid memory policy: {mode} mode requires at least one node but got 0",
        )
