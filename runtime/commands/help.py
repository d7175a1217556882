"""creche help [COMMAND]."""

from __future__ import annotations

from runtime.cli.main import COMMANDS, Unknown, command_of, show_help
from runtime.cli.options import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.cli.call import Call

COMMAND = Command("help", "show the commands, or help for one", args="[command]", arity=(0, 1))


def run(call: Call) -> int:
    """Print help for all commands or for one."""
    if not call.args:
        show_help(call.program, None)
        return 0
    name = "help" if call.args[0] == "h" else call.args[0]
    if name not in COMMANDS:
        raise Unknown(name)
    show_help(call.program, command_of(name))
    return 0
