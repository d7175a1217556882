"""creche kill ID [SIGNAL]."""

from __future__ import annotations

from runtime.cli.options import Command, Flag
from runtime.cli.signals import parse_signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.cli.call import Call

COMMAND = Command(
    "kill",
    "send a signal to the init process of a container (default: SIGTERM)",
    args="<container-id> [signal]",
    arity=(1, 2),
    flags=(Flag("all, a", "send it to all processes, and do not mind if there are none"),),
    flags_first=True,
    about="""\
   A signal is a number or a name, with or without SIG: 9, KILL, sigterm, RTMIN+3.

       # {name} kill mycontainer KILL""",
)


def run(call: Call) -> int:
    """Send the signal."""
    from runtime.lifecycle import blocking

    container = blocking.open_container(call.root, call.id, call.log)
    number = parse_signal(call.args[1] if len(call.args) > 1 else "SIGTERM")
    blocking.kill(container, number, everyone=call.flags.on("all"))
    return 0
