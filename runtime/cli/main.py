"""From the words of a command line to a command's exit status."""

from __future__ import annotations

import sys

from runtime.cli.call import Call, emit
from runtime.cli.log import Log
from runtime.cli.options import Command, Flag, HelpRequested, UsageError, check_arity, parse
from runtime.errors import CrecheError, InitError, strerror

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

# Stands before the name we are called by once the interpreter is sealed (runtime/__main__.py).
SEALED = "--sealed-as"

# The commands whose processes enter a container: they run from a copy of the interpreter that
# nothing can write (runtime/seal.py).
ENTERING = frozenset(("create", "exec", "mounts", "run"))

# Each is a module of runtime.commands.
COMMANDS = (
    "checkpoint",
    "create",
    "delete",
    "events",
    "exec",
    "features",
    "help",
    "kill",
    "list",
    "mounts",
    "net",
    "pause",
    "plan",
    "ps",
    "restore",
    "resume",
    "run",
    "spec",
    "start",
    "state",
    "stop",
    "update",
    "version",
)

GLOBAL_FLAGS = (
    Flag("debug", "say what is done, step by step"),
    Flag("log", "append log lines to this file in place of stderr", "string"),
    Flag("log-format", "form of log lines: text or json", "string", "text"),
    Flag("root", "directory for the state of containers, best on a tmpfs", "string"),
    Flag("systemd-cgroup", "let systemd make the cgroups: a scope for each container"),
    Flag(
        "rootless", "ignore missing permission for cgroups: true, false or auto", "string", "auto"
    ),
    # crun's; engines set up for crun pass them.
    Flag(
        "cgroup-manager",
        "who makes the cgroups: cgroupfs, systemd or disabled",
        "string",
        "cgroupfs",
        hidden=True,
    ),
    Flag("log-level", "error, warning or debug", "string", "warning", hidden=True),
    Flag("help, h", "show help"),
    Flag("version, v", "print the version"),
)


class Unknown(CrecheError):
    """No such command."""

    def __init__(self, word: str) -> None:
        super().__init__(f"No help topic for '{word}'")


def main(argv: Sequence[str]) -> int:
    """Run the command line `argv[1:]` of a program called as `argv[0]`; returns the exit status."""
    program = argv[0].rpartition("/")[2] or "creche"
    log = Log()
    try:
        return _main(program, argv[1:], log)
    except CrecheError as error:
        log.error(str(error))
    except KeyboardInterrupt:
        return 130
    return 1


def _main(program: str, words: Sequence[str], log: Log) -> int:
    try:
        options, rest = parse(GLOBAL_FLAGS, words, flags_first=True)
    except UsageError as error:
        show_help(program, None, f"Incorrect Usage. {error}\n\n")
        raise
    log.configure(
        options.text("log"),
        options.text("log-format"),
        debugging=options.on("debug") or options.text("log-level") == "debug",
    )
    if options.on("version"):
        rest = ["version"]
    elif options.on("help") or not rest:
        rest = ["help"]
    name = "help" if rest[0] == "h" else rest[0]
    if name not in COMMANDS:
        log.error(str(Unknown(name)))
        # Asking an unknown command for its help is a plain error; runc tells the two apart.
        return 1 if any(word in {"-h", "--help"} for word in rest[1:]) else 3
    unsealed = _seal(program, words, log) if name in ENTERING else None
    command = command_of(name)
    try:
        flags, args = parse(command.flags, rest[1:], flags_first=command.flags_first)
        check_arity(program, command, len(args))
    except HelpRequested:
        show_help(program, command)
        return 0
    except UsageError as error:
        counted = str(error).startswith(program + ": ")
        shown = "Incorrect Usage." if counted else f"Incorrect Usage: {error}"
        show_help(program, command, shown + "\n\n")
        raise
    call = Call(program, options, flags, args, log)
    return _run(command, call, unsealed)


def _run(command: Command, call: Call, problem: CrecheError | None) -> int:
    """Run a command and report what it raises in its own words and with its own status."""
    prefix = command.failure.replace("{name}", call.program)
    try:
        if problem is not None:
            raise problem
        status: int = _module(command.name).run(call)
        return status
    except Unknown as error:
        call.log.error(str(error))
        return 3
    except InitError as error:
        if error.kind == "execve" and command.name == "run":
            # In runc it is init that says so, on the container's stderr, and nothing before it.
            call.log.bare_error(str(error))
        else:
            call.log.error(prefix + str(error))
    except CrecheError as error:
        call.log.error(prefix + str(error))
    except OSError as error:
        subject = f"{error.filename}: " if error.filename else ""
        call.log.error(prefix + subject + strerror(error.errno or 0) + _where(error, call))
    except Exception as error:  # noqa: BLE001 - a bug is still one line and a status, for engines
        call.log.error(f"{prefix}internal error: {type(error).__name__}: {error}" + _where(error))
    return command.status


def _seal(program: str, words: Sequence[str], log: Log) -> CrecheError | None:
    """Go on in a sealed interpreter, as the same process; returns in there, or if it cannot be.

    Before the command's modules are imported: nothing is imported twice.
    """
    import os

    from runtime import seal

    if seal.is_sealed():
        return None
    if sys.argv[1:2] == [SEALED]:
        return CrecheError("the sealed interpreter is not sealed: /proc/self/exe says so")
    log.debug("sealing the interpreter")
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    try:
        seal.reexecute(f"{package}/__main__.py", [SEALED, program, *words])
    except CrecheError as error:
        return error
    return None


def _where(error: BaseException, call: Call | None = None) -> str:
    """The place that raised an unexpected error; for an OSError only when debugging."""
    if call is not None and not call.log.debugging:
        return ""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return ""
    return f" (at {trace.tb_frame.f_code.co_filename}:{trace.tb_lineno})"


def command_of(name: str) -> Command:
    """The table of a command; imports its module."""
    command = _module(name).COMMAND
    assert isinstance(command, Command)
    return command


def _module(name: str) -> ModuleType:
    full = f"runtime.commands.{name}"
    if full not in sys.modules:
        __import__(full)
    return sys.modules[full]


def show_help(program: str, command: Command | None, before: str = "") -> None:
    """Help for one command or for all; after a usage error it goes to stderr."""
    from runtime.cli import help as text

    shown = text.command_help(program, command) if command else text.global_help(program)
    if before:
        from runtime.cli.log import put

        put(2, before + shown)
    else:
        emit(shown)
