"""creche exec ID COMMAND..."""

from __future__ import annotations

from runtime.cli.launching import (
    CONSOLE_SOCKET,
    DETACH,
    PID_FILE,
    PIDFD_SOCKET,
    PRESERVE_FDS,
    absolute,
    check_terminal,
    preserved_fds,
    read_document,
    stdio,
)
from runtime.cli.options import Command, Flag
from runtime.cli.process import from_flags
from runtime.errors import CrecheError
from runtime.foreground import forward
from runtime.handover import send_console, send_pidfd

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.cli.call import Call
    from runtime.execute import Executed
    from runtime.spec.types import Process

SIGKILL = 9

COMMAND = Command(
    "exec",
    "run another program inside a container",
    args="<container-id> <command> [arguments...]",
    arity=(1, None),
    flags=(
        CONSOLE_SOCKET,
        PIDFD_SOCKET,
        Flag("cwd", "working directory inside the container", "string"),
        Flag("env, e", "set a variable: NAME=VALUE", "list"),
        Flag("tty, t", "give the program a terminal"),
        Flag("user, u", "run as this user: UID or UID:GID", "string"),
        Flag("additional-gids, g", "additional group", "list"),
        Flag("process, p", "take the whole process from this JSON file", "string"),
        DETACH,
        PID_FILE,
        Flag("process-label", "SELinux label", "string"),
        Flag("apparmor", "AppArmor profile", "string"),
        Flag("no-new-privs", "forbid the program to gain privileges"),
        Flag("cap, c", "add a capability", "list"),
        PRESERVE_FDS,
        Flag("cgroup", "run in this cgroup below the container's: [controller:]path", "list"),
        Flag("ignore-paused", "wait for a paused container to be resumed"),
    ),
    flags_first=True,
    about="""\
   The program gets the environment, user, capabilities and directory of the
   configuration's process, changed by the options; with --process only what the file
   says. The exit status is the program's, or 255 if it could not be run.

       # {name} exec mycontainer ps""",
    failure="exec failed: ",
    status=255,
)


def run(call: Call) -> int:
    """Run the program; its exit status, or 0 at once with --detach."""
    from runtime.execute import Execution, execute
    from runtime.foreground import Signals, attend
    from runtime.lifecycle import blocking
    from runtime.plan.process import compile_process

    flags = call.flags
    container = blocking.open_container(call.root, call.id, call.log)
    process = wanted_process(call, container.state["bundle"])
    detach = flags.on("detach")
    socket = flags.text("console-socket")
    terminal = process.get("terminal", False)
    check_terminal(call.program, terminal=terminal, detach=detach, socket=socket)
    plan = compile_process(process)
    if terminal and not detach and plan["console_size"] is None:
        from runtime.terminal import caller_size

        # Now, so that the program cannot ask for the size before it is there.
        plan["console_size"] = caller_size()
    order = Execution(
        container,
        plan,
        stdio(preserved_fds(call)),
        ignore_paused=flags.on("ignore-paused"),
        cgroups=flags.many("cgroup"),
    )
    signals = None if detach else Signals()
    executed = execute(order)
    try:
        hand_over(call, executed)
        if signals is None:
            return 0
        master = executed.console if executed.console >= 0 else None
        executed.console = -1
        return attend(executed.pidfd, signals, master)
    except BaseException:
        # Nobody would wait for it.
        forward(executed.pidfd, SIGKILL)
        raise


def wanted_process(call: Call, bundle: str) -> Process:
    """The process from --process, or from the bundle's configuration and the flags."""
    from runtime.spec import load_bundle, parse_process

    path = call.flags.text("process")
    if path:
        process = read_document(path, lambda data: parse_process(data, call.log.warning))
        if call.flags.on("tty"):
            process["terminal"] = True
        return process
    if len(call.args) < 2:
        raise CrecheError("process args cannot be empty")
    base = load_bundle(bundle, call.log.debug).get("process")
    return from_flags(base or {"args": [], "cwd": "/"}, call.args[1:], call.flags, call.log.warning)


def hand_over(call: Call, executed: Executed) -> None:
    """Give the engine what it asked for: pid file, pidfd, terminal."""
    from runtime.handover import write_pid_file

    flags = call.flags
    pid_file = absolute(flags.text("pid-file"))
    if pid_file:
        write_pid_file(pid_file, executed.pid)
    if flags.text("pidfd-socket"):
        send_pidfd(absolute(flags.text("pidfd-socket")), executed.pidfd, "setns")
    if flags.text("console-socket"):
        path = absolute(flags.text("console-socket"))
        send_console(path, executed.console, executed.console_name)
