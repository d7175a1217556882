"""Compile `linux.resources` to a flat list of writes. Pure.

Which of the two file dialects is used is decided controller by controller: on a hybrid host some
are bound to version 1 hierarchies and the others stay with the unified tree.
"""

from __future__ import annotations

from runtime.errors import ConfigError

from . import resources_v1 as v1
from . import resources_v2 as v2
from .layout import UNIFIED, Layout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from .writes import Write

BASE = "linux.resources"

# Section of the document, the controller it needs (by its version 1 name), and its compilers.
_SECTIONS = (
    ("memory", "memory", v1.memory, v2.memory),
    ("cpu", "cpu", v1.cpu, v2.cpu),
    ("cpu", "cpuset", v1.cpuset, v2.cpuset),
    ("pids", "pids", v1.pids, v2.pids),
    ("blockIO", "blkio", v1.block_io, v2.block_io),
    ("hugepageLimits", "hugetlb", v1.hugepages, v2.hugepages),
    ("network", "net_cls", v1.net_cls, v2.net_cls),
    ("network", "net_prio", v1.net_prio, v2.net_prio),
    ("rdma", "rdma", v1.rdma, v2.rdma),
)

# They act on processes instead of setting anything, on whatever process the document names.
_NOT_SETTINGS = ("cgroup.procs", "cgroup.threads", "cgroup.kill")


def _quiet(_message: str) -> None:
    pass


def compile_resources(
    resources: Mapping[str, Any] | None,
    layout: Layout,
    warn: Callable[[str], None] = _quiet,
    base: str = BASE,
) -> list[Write]:
    """What has to be written where; devices are not part of it (see devices.py).

    Raises ConfigError for a value out of range and for a limit that no controller of this host
    can keep: a limit that is not kept is worse than an error.
    """
    if not resources:
        return []
    writes: list[Write] = []
    for section, controller, old, new in _SECTIONS:
        value = resources.get(section)
        if not value:
            continue
        path = f"{base}.{section}"
        where = layout.find(controller)
        modern = where == UNIFIED or (where is None and layout.mode == "v2")
        compiled = (new if modern else old)(value, where or UNIFIED, path, warn)
        if compiled and where is None:
            raise ConfigError(
                compiled[0][3],
                f"needs the {controller} cgroup controller, which this host does not have",
            )
        writes += compiled
    if resources.get("unified"):
        writes += _unified(resources["unified"], layout, f"{base}.unified")
    return writes


def _unified(settings: Mapping[str, str], layout: Layout, path: str) -> list[Write]:
    if layout.mode == "v1":
        raise ConfigError(path, "invalid configuration: cannot use unified on cgroup v1")
    writes = []
    for name, value in settings.items():
        key = f"{path}[{name!r}]"
        if not name or "/" in name or "\0" in name or name in (".", ".."):
            raise ConfigError(key, "expected the name of a cgroup file, without '/'")
        if name in _NOT_SETTINGS:
            raise ConfigError(key, "acts on processes and is not a setting")
        controller = name.partition(".")[0]
        if controller != "cgroup" and controller not in layout.available:
            if layout.mode == "hybrid" and layout.find(controller) is not None:
                raise ConfigError(
                    key,
                    "invalid configuration: cannot use unified on cgroup v1, to which this host "
                    f"binds the {controller} controller",
                )
            raise ConfigError(
                key,
                f"unified resource {name!r} can't be set: controller {controller!r} not available",
            )
        writes.append([UNIFIED, name, value, key, ""])
    return writes
