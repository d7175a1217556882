"""creche stop ID."""

from __future__ import annotations

from runtime.cli.options import Command, Flag
from runtime.cli.signals import parse_signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.cli.call import Call

# What an image says its program ends on (image-spec, conversion.md).
STOP_SIGNAL = "org.opencontainers.image.stopSignal"

COMMAND = Command(
    "stop",
    "ask a container to end, and kill it if it does not in time",
    flags=(
        Flag("time, t", "seconds to wait before killing", "seconds", 10.0),
        Flag("signal, s", "signal to ask with (default: the configuration's, or TERM)", "string"),
    ),
    about="""\
   The signal goes to the container's first process: --signal, or what the annotation
   org.opencontainers.image.stopSignal of its configuration names, or SIGTERM. After
   --time (10, 1m30s) everything in the container is killed. A container that has
   stopped already is no error. Its state stays until it is deleted.""",
)


def run(call: Call) -> int:
    """Ask, wait, kill."""
    import os
    import select

    from runtime.foreground import forward
    from runtime.lifecycle import blocking
    from runtime.state import open_init

    container = blocking.open_container(call.root, call.id, call.log)
    name = call.flags.text("signal") or container.state["annotations"].get(STOP_SIGNAL, "")
    number = parse_signal(name or "SIGTERM")
    timeout = call.flags.seconds("time")
    pidfd = open_init(container.state)
    if pidfd is not None:
        try:
            status = container.status()
            # The init of a container that was only created listens to nobody.
            if status != "created" and timeout > 0:
                forward(pidfd, number)
                if status == "paused":
                    blocking.resume(container)
                poll = select.poll()
                poll.register(pidfd, select.POLLIN)
                if not poll.poll(timeout * 1000):
                    call.log.debug(f"still running after {timeout:g} s, killing")
        finally:
            os.close(pidfd)
    # Also when init has ended: without a pid namespace of its own its children live on.
    container.kill_everything()
    return 0
