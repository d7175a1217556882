"""creche create ID."""

from __future__ import annotations

from runtime.cli.launching import ABOUT_ID, CREATE_FLAGS, creation
from runtime.cli.options import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.cli.call import Call

COMMAND = Command(
    "create",
    "make a container, ready to be started",
    flags=CREATE_FLAGS,
    about=f"""\
   Everything that the configuration asks for is set up; its program runs on start. A
   configuration with a terminal needs --console-socket.

{ABOUT_ID}""",
    failure="{name} create failed: ",
)


def run(call: Call) -> int:
    """Create the container."""
    from runtime.lifecycle import blocking

    blocking.create(creation(call, detach=True)).close()
    return 0
