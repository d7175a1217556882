"""creche resume ID."""

from __future__ import annotations

from runtime.cli.options import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.cli.call import Call

COMMAND = Command(
    "resume",
    "let a paused container go on",
    about="""\
   The container's cgroup is thawed.""",
)


def run(call: Call) -> int:
    """Thaw the container."""
    from runtime.lifecycle import blocking

    blocking.resume(blocking.open_container(call.root, call.id, call.log))
    return 0
