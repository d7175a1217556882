"""creche checkpoint ID."""

from __future__ import annotations

from runtime.cli.criu import COMMON_FLAGS, order_of, page_server
from runtime.cli.options import Command, Flag
from runtime.errors import StateError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.cli.call import Call

COMMAND = Command(
    "checkpoint",
    "write a running container to disk, by CRIU",
    flags=(
        *COMMON_FLAGS,
        Flag("parent-path", "images of an earlier --pre-dump, relative to --image-path", "string"),
        Flag("leave-running", "leave the container running"),
        Flag("tcp-skip-in-flight", "leave out connections that are not accepted yet"),
        Flag("link-remap", "allow files that are open and have no name any more"),
        Flag("status-fd", "write a zero byte here when lazy pages can be had", "int", -1),
        Flag("page-server", "ADDRESS:PORT of a page server that takes the memory", "string"),
        Flag("pre-dump", "write the memory only, for the checkpoint that follows"),
    ),
    about="""\
   Needs the program criu, of a version that knows the running kernel. The container's
   processes end and it is deleted, unless --leave-running or --pre-dump is given.

       # {name} checkpoint --image-path /tmp/images mycontainer
       # {name} restore -d --image-path /tmp/images --bundle . mycontainer""",
)

_NAMES = frozenset(flag.names[0] for flag in COMMAND.flags)


def run(call: Call) -> int:
    """Write the images; delete the container."""
    from runtime.criu.dump import check_status_fd, dump
    from runtime.criu.order import check_parent
    from runtime.lifecycle import blocking

    flags = call.flags
    container = blocking.open_container(call.root, call.id, call.log)
    status = container.status()
    if status not in ("running", "paused"):
        raise StateError(f"Container cannot be checkpointed in {status} state")
    order = order_of(call, _NAMES)
    order.parent = flags.text("parent-path")
    check_parent(order.images, order.parent)
    order.page_server = page_server(flags.text("page-server"))
    order.status_fd = flags.number("status-fd")
    if order.status_fd >= 0:
        check_status_fd(order.status_fd)
    pre, leave = flags.on("pre-dump"), flags.on("leave-running")
    dump(container, order, pre=pre, leave_running=leave or pre)
    if not (pre or leave):
        blocking.delete(container, force=True)
    return 0
