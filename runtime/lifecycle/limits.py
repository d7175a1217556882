"""Other limits for a container that exists: written all or none, and noted in its state."""

from __future__ import annotations

from runtime.cgroups import compile_resources, discover
from runtime.cgroups.revise import to_save, to_write
from runtime.cgroups.undo import restore, snapshot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from runtime.lifecycle.container import Container

    Resources = Mapping[str, Any]


def revise(container: Container, wanted: Resources) -> None:
    """wanted: of `linux.resources` what is to change. The caller saves the state.

    Raises CrecheError, ConfigError, KernelError; then nothing has changed.
    """
    linux: dict[str, Any] = container.state["config"].setdefault("linux", {})  # type: ignore[assignment]
    saved: Resources = linux.get("resources", {})
    if wanted.get("devices"):
        container.log.debug("update: the rules for devices are left as they are")
    kept = to_save(saved, wanted)
    resources: Resources = to_write(saved, wanted)
    scope = container.state.get("scope")
    if scope is not None:
        resources = with_whole_quota(resources, kept)
    writes = compile_resources(resources, discover(), container.log.warning, "resources")
    cgroup = container.cgroup()
    before = snapshot(cgroup.paths, writes)
    if scope is not None:
        from runtime.systemd.scope import change

        change(*scope, saved, kept)
    try:
        cgroup.apply(writes)
    except BaseException:
        if scope is not None:
            change(*scope, kept, saved)
        restore(cgroup.paths, before)
        raise
    linux["resources"] = kept


def with_whole_quota(resources: Resources, kept: Resources) -> Resources:
    """systemd has just written its rounded quota: quota and period have both to be written anew."""
    cpu = resources.get("cpu") or {}
    if not (cpu.get("quota") or cpu.get("period")):
        return resources
    pair = {key: kept["cpu"][key] for key in ("quota", "period") if kept["cpu"].get(key)}
    return {**resources, "cpu": {**cpu, **pair}}
