"""The container's side: its config.json names the network namespace that was made for it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from supervisor.network.model import Attachment, Mode
from supervisor.network.naming import Names


def namespace(names: Names, workload: str, attachments: Sequence[Attachment]) -> str | None:
    """Path of the namespace that a workload runs in; None: the host's."""
    first = attachments[0]
    if first.mode is Mode.HOST:
        return None
    if first.mode is Mode.NAMESPACE:
        return first.path or names.namespace(first.workload or "")
    return names.namespace(workload)


def join(config: dict[str, Any], path: str | None) -> dict[str, Any]:
    """A config whose container runs in the network namespace at `path`, or the host's.

    What else it says about its network namespace gives way.
    """
    linux = dict(config.get("linux", {}))
    kept = [each for each in linux.get("namespaces", []) if each.get("type") != "network"]
    if path is not None:
        kept.append({"type": "network", "path": path})
    linux["namespaces"] = kept
    return {**config, "linux": linux}
