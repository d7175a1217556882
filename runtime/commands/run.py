"""creche run ID."""

from __future__ import annotations

from runtime.cli.launching import ABOUT_ID, CREATE_FLAGS, DETACH, creation
from runtime.cli.options import Command, Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.cli.call import Call

COMMAND = Command(
    "run",
    "make a container and run its program",
    flags=(
        *CREATE_FLAGS,
        DETACH,
        Flag("keep", "leave the stopped container until it is deleted"),
        Flag("no-subreaper", "accepted for compatibility: no subreaper is used"),
    ),
    about=f"""\
   Stays until the program ends, hands it the signals that arrive here, exits with its
   status (128 and the signal's number if one killed it) and deletes the container. With
   --detach it returns as soon as the program runs.

{ABOUT_ID}""",
    failure="{name} run failed: ",
)
