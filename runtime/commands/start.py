"""creche start ID."""

from __future__ import annotations

from runtime.cli.options import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.cli.call import Call

COMMAND = Command(
    "start",
    "run the program of a created container",
    about="""\
   The container must have been made by create. Hooks of the stages startContainer and
   poststart run; when one fails, so does start.""",
)


def run(call: Call) -> int:
    """Start the container."""
    from runtime.lifecycle import blocking

    blocking.start(blocking.open_container(call.root, call.id, call.log))
    return 0
