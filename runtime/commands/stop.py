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
