"""creche start ID."""

from __future__ import annotations

import os

from runtime.cli.options import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.cli.call import Call
    from runtime.lifecycle.container import Container

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

    container = blocking.open_container(call.root, call.id, call.log)
    if os.environ.get("NOTIFY_SOCKET") and container.status() == "created":
        _start_notified(container)
    else:
        blocking.start(container)
    return 0


def _start_notified(container: Container) -> None:
    """Start, then wait until the program says that it is ready (sd_notify(3)), or has ended."""
    from runtime.lifecycle import blocking
    from runtime.notify import open_relay
    from runtime.state import open_init

    pidfd = open_init(container.state)
    relay = open_relay(container, container.state["pid"])
    try:
        blocking.start(container)
        if relay is not None and pidfd is not None:
            relay.wait(pidfd)
    finally:
        if relay is not None:
            relay.close()
        if pidfd is not None:
            os.close(pidfd)
