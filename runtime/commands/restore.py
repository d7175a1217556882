"""creche restore ID."""

from __future__ import annotations

from runtime.cli.criu import COMMON_FLAGS, order_of
from runtime.cli.launching import ABOUT_ID, CREATE_FLAGS, DETACH, creation
from runtime.cli.options import Command, Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.cli.call import Call

COMMAND = Command(
    "restore",
    "make a container from a checkpoint, by CRIU",
    flags=(
        *COMMON_FLAGS,
        *CREATE_FLAGS,
        DETACH,
        Flag("no-subreaper", "accepted for compatibility: no subreaper is used"),
        Flag("lsm-profile", "label of a security module, in place of the saved one", "string"),
        Flag("lsm-mount-context", "context of mounts, in place of the saved one", "string"),
    ),
    about=f"""\
   The bundle is the one that the checkpointed container was made from. Stays with the
   program as run does, or returns with --detach.

{ABOUT_ID}""",
    failure="{name} restore failed: ",
)

_NAMES = frozenset(flag.names[0] for flag in COMMAND.flags)


def run(call: Call) -> int:
    """Make the container run; stay with it."""
    from runtime.foreground import Signals, attend
    from runtime.lifecycle import blocking

    order = order_of(call, _NAMES)
    order.lsm_profile = call.flags.text("lsm-profile")
    order.lsm_mount_context = call.flags.text("lsm-mount-context")
    detach = call.flags.on("detach")
    request = creation(call, detach=detach)
    signals = None if detach else Signals()
    container = blocking.restore(request, order)
    if signals is None:
        container.close()
        return 0
    master = container.console if container.console >= 0 else None
    container.console = -1
    try:
        return attend(container.pidfd, signals, master)
    finally:
        blocking.end(container)
