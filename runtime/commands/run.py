"""creche run ID."""

from __future__ import annotations

import os

from runtime.cli.launching import ABOUT_ID, CREATE_FLAGS, DETACH, creation
from runtime.cli.options import Command, Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.cli.call import Call
    from runtime.foreground import Signals
    from runtime.lifecycle.container import Container
    from runtime.notify import Relay

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


def run(call: Call) -> int:
    """Create, start, stay with it, delete."""
    from runtime.foreground import Signals, attend
    from runtime.lifecycle import blocking

    detach = call.flags.on("detach")
    request = creation(call, detach=detach)
    signals = None if detach else Signals()
    container = blocking.create(request)
    relay = None
    try:
        if request.notify:
            relay = open_notify(container, detach=detach)
        if signals is not None and container.console >= 0:
            from runtime.terminal import copy_window

            copy_window(container.console)
        blocking.start(container)
        if signals is None:
            if relay is not None:
                relay.wait(container.pidfd)
            container.close()
            return 0
        master = container.console if container.console >= 0 else None
        container.console = -1
        status = attend(container.pidfd, relaying(signals, relay), master)
    except BaseException:
        blocking.end(container)
        raise
    finally:
        if relay is not None:
            relay.close()
    if call.flags.on("keep"):
        container.close()
    else:
        blocking.end(container)
    return status


def open_notify(container: Container, *, detach: bool) -> Relay | None:
    """For sd_notify(3); the main process is the one that stays: ours, or else the container's."""
    from runtime.notify import open_relay

    return open_relay(container, container.state["pid"] if detach else os.getpid())


def relaying(signals: Signals, relay: Relay | None) -> Signals:
    """The same signals, with the container's messages handed on meanwhile."""
    if relay is None:
        return signals
    from runtime.notify import RelayingSignals

    return RelayingSignals(signals, relay)
