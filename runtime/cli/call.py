"""One call of a command: the global options it was given, its own flags and arguments."""

from __future__ import annotations

import os

from runtime.cli.log import write_all
from runtime.errors import CrecheError, strerror

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.cli.log import Log
    from runtime.cli.options import Values

# Names under which state is kept apart: an engine set up for runc finds its own containers only.
KNOWN_NAMES = ("creche", "runc", "crun")


class Call:
    """What a command needs to know about how it was called.

    program: the name we were called by; options: the global flags; flags: the command's;
    args: its arguments; log: where diagnostics go.
    """

    __slots__ = ("args", "flags", "log", "options", "program")

    def __init__(
        self, program: str, options: Values, flags: Values, args: list[str], log: Log
    ) -> None:
        self.program = program
        self.options = options
        self.flags = flags
        self.args = args
        self.log = log

    @property
    def id(self) -> str:
        """The container's id: the first argument."""
        return self.args[0]

    @property
    def root(self) -> str:
        """The absolute directory that holds the containers' state. Raises CrecheError."""
        return state_root(self.program, self.options.text("root"))

    @property
    def root_given(self) -> bool:
        """Whether --root was given (a default directory that does not exist is empty)."""
        return self.options.text("root") != ""


def state_root(program: str, given: str) -> str:
    """The state directory: --root, or /run/NAME, or the caller's own for another user than root.

    Engines call with XDG_RUNTIME_DIR set but empty: that is the same as unset.
    """
    if given:
        path = os.path.abspath(given)
        if path == "/":
            raise CrecheError("option --root must not be the root directory /")
        return path
    name = program if program in KNOWN_NAMES else "creche"
    if os.geteuid() == 0:
        return f"/run/{name}"
    own = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.geteuid()}"
    return os.path.join(own, name)


def emit(text: str) -> None:
    """Write a command's result to stdout. Raises CrecheError if nobody can take it."""
    try:
        write_all(1, text)
    except OSError as error:
        raise CrecheError(f"write to standard output: {strerror(error.errno or 0)}") from None
