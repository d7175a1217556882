"""creche pause ID."""

from __future__ import annotations

from runtime.cli.options import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.cli.call import Call

COMMAND = Command(
    "pause",
    "stop all processes of a container for a while",
    about="""\
   The container's cgroup is frozen; resume lets it go on.""",
)


def run(call: Call) -> int:
    """Freeze the container."""
    from runtime.lifecycle import blocking

    blocking.pause(blocking.open_container(call.root, call.id, call.log))
    return 0
