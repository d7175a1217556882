"""creche state ID."""

from __future__ import annotations

from runtime.cli.call import emit
from runtime.cli.describe import described
from runtime.cli.options import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.cli.call import Call

COMMAND = Command(
    "state",
    "print the state of a container as JSON",
    about="""\
   The status is creating, created, running, paused or stopped.""",
)


def run(call: Call) -> int:
    """Print the state, indented by two blanks, without a newline at the end."""
    from runtime.jsonio import dumps
    from runtime.state import StateDir, current_status

    directory = StateDir(call.root, call.id)
    state = directory.load()
    emit(dumps(described(state, current_status(directory, state)), indent="  "))
    return 0
