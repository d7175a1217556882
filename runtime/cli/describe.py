"""A container as `state` and `list` show it."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.state import State


def described(state: State, status: str) -> dict[str, object]:
    """runc's fields in runc's order; the pid of a stopped container is 0."""
    result: dict[str, object] = {
        "ociVersion": state["ociVersion"],
        "id": state["id"],
        "pid": 0 if status == "stopped" else state["pid"],
        "status": status,
        "bundle": state["bundle"],
        "rootfs": state["rootfs"],
        "created": state["created"],
    }
    if state["annotations"]:
        result["annotations"] = state["annotations"]
    result["owner"] = state["owner"]
    return result
