"""Rules for `linux.resources` that do not depend on the machine's cgroup version.

Most strings here end up in the names or the lines of cgroup files, so none may smuggle in a
second component or line.
"""

from __future__ import annotations

from runtime.errors import ConfigError
from runtime.jsonio import join_path, quote
from runtime.spec.netdev import check_device_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.spec.types import Resources

# Files that move, stop or kill processes instead of limiting them: writing "1" to cgroup.procs
# would pull the host's init into the container's cgroup.
_NOT_A_LIMIT = frozenset(("cgroup.procs", "cgroup.threads", "cgroup.kill", "cgroup.freeze"))


def check_resources(resources: Resources, path: str) -> None:
    """Raise ConfigError. path: "linux.resources", or "resources" for an update."""
    for index, rule in enumerate(resources.get("devices", [])):
        access = rule.get("access", "")
        if access.strip("rwm"):
            raise ConfigError(
                f"{path}.devices[{index}].access",
                f"expected a combination of r, w and m, found {quote(access)}",
            )
    for index, limit in enumerate(resources.get("hugepageLimits", [])):
        size = limit["pageSize"]
        number = size[:-2]
        digits = number.isascii() and number.isdigit() and not number.startswith("0")
        if size[-2:] not in ("KB", "MB", "GB") or not digits:
            raise ConfigError(
                f"{path}.hugepageLimits[{index}].pageSize",
                f'expected a page size such as "2MB", found {quote(size)}',
            )
    for index, entry in enumerate(resources.get("network", {}).get("priorities", [])):
        check_device_name(entry["name"], f"{path}.network.priorities[{index}].name")
    for device, rdma in resources.get("rdma", {}).items():
        if not rdma:
            raise ConfigError(
                join_path((*path.split("."), "rdma", device)),
                "expected hcaHandles or hcaObjects, found neither",
            )
    for index, weight in enumerate(resources.get("blockIO", {}).get("weightDevice", [])):
        if "weight" not in weight and "leafWeight" not in weight:
            raise ConfigError(
                f"{path}.blockIO.weightDevice[{index}]",
                "expected weight or leafWeight, found neither",
            )
    for name in resources.get("unified", {}):
        if "/" in name or "." not in name.strip(".") or not name.isprintable():
            raise ConfigError(
                join_path((*path.split("."), "unified", name)),
                "expected as key a cgroup file such as memory.high (no slashes)",
            )
        if name in _NOT_A_LIMIT:
            raise ConfigError(
                join_path((*path.split("."), "unified", name)),
                "not allowed, this file is no resource limit",
            )
