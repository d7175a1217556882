"""Changing limits of a live container: what a new value means beside the old ones. Pure.

`linux.resources` as saved and as wanted go in; what to write now and what to save come out. Only
what is wanted is written, with the exceptions that one limit is meaningless without another.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    Resources = Mapping[str, Any]

UNLIMITED = -1

_PER_DEVICE = (
    "weightDevice",
    "throttleReadBpsDevice",
    "throttleWriteBpsDevice",
    "throttleReadIOPSDevice",
    "throttleWriteIOPSDevice",
)


def to_write(saved: Resources, wanted: Resources) -> dict[str, Any]:
    """The resources to compile to writes: what is wanted, and what that cannot do without.

    Devices are left out: rules that somebody added to the container's meanwhile (a plugin for
    graphics cards) must survive, and nothing may be closed or opened for a moment.
    """
    result = {key: value for key, value in wanted.items() if key != "devices"}
    memory = wanted.get("memory")
    if memory and (memory.get("limit") or memory.get("swap")):
        # Version 2 is given the difference of the two, so that a new limit alone would change the
        # sum, and a new sum alone could not be expressed.
        result["memory"] = {**_memory_pair(saved.get("memory", {}), memory), **_given(memory)}
    return result


def _given(section: Resources) -> dict[str, Any]:
    """0 means "as it is", for every number of this section but swappiness."""
    return {key: value for key, value in section.items() if value or key == "swappiness"}


def _memory_pair(old: Resources, new: Resources) -> dict[str, int]:
    limit, swap = new.get("limit") or 0, new.get("swap") or 0
    if limit == UNLIMITED and not swap:
        return {}  # then the sum has to be unlimited as well; the compilers see to it
    pair = {"limit": limit or old.get("limit") or 0, "swap": swap or old.get("swap") or 0}
    return {key: value for key, value in pair.items() if value}


def to_save(saved: Resources, wanted: Resources) -> dict[str, Any]:
    """The resources that hold from now on."""
    result = dict(saved)
    for key, value in wanted.items():
        if key == "devices":
            continue
        old = result.get(key)
        if key == "blockIO" and old:
            result[key] = _block_io(old, value)
        elif key == "memory":
            result[key] = _memory(old or {}, value)
        elif key in ("cpu", "pids", "network", "unified", "rdma") and old:
            result[key] = {**old, **value}
        elif key == "hugepageLimits" and old:
            result[key] = _by(("pageSize",), old, value)
        else:
            result[key] = value
    return result


def _memory(old: Resources, new: Resources) -> dict[str, Any]:
    merged = {**old, **_given(new)}
    if new.get("limit") == UNLIMITED and not new.get("swap"):
        merged.pop("swap", None)
    return merged


def _block_io(old: Resources, new: Resources) -> dict[str, Any]:
    merged = {**old, **new}
    for key in _PER_DEVICE:
        if key in old and key in new:
            merged[key] = _by(("major", "minor"), old[key], new[key])
    return merged


def _by(
    keys: tuple[str, ...], old: list[dict[str, Any]], new: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """The entries of both lists; a later one about the same thing changes the earlier one."""
    merged: dict[tuple[Any, ...], dict[str, Any]] = {}
    for entry in [*old, *new]:
        name = tuple(entry.get(key) for key in keys)
        merged[name] = {**merged.get(name, {}), **entry}
    return list(merged.values())
