"""creche exec ID COMMAND..."""

from __future__ import annotations

from runtime.cli.launching import CONSOLE_SOCKET, DETACH, PID_FILE, PIDFD_SOCKET, PRESERVE_FDS
from runtime.cli.options import Command, Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.cli.call import Call

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
