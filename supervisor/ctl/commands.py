"""The table of crechectl's commands: parsing, help, completion and the man page come from it.

A command's module is imported when it is called, so that none pays for the others: an answer is
to be there within a tenth of a second, interpreter included. (Hence no dataclasses either: they
import inspect.)
"""

from __future__ import annotations

from typing import NamedTuple

TARGETS = ("started", "ready", "healthy", "exited", "completed", "failed")

DONE = 0
FAILED = 1
USAGE = 2
UNREACHABLE = 3
UNKNOWN = 4
REFUSED = 5
TIMEOUT = 6

STATUSES = {
    DONE: "What was asked for was done.",
    FAILED: "`status`: a workload has failed, is unhealthy or refused. `check`: a workload "
    "directory is not in order. `reload`: a workload was refused. Any command: creched could not "
    "do it.",
    USAGE: "The command line was not understood, or a file cannot be read.",
    UNREACHABLE: "creched does not answer at the socket, or it may not be connected to.",
    UNKNOWN: "There is no such workload.",
    REFUSED: "It cannot be done now, or not on this socket.",
    TIMEOUT: "`wait`: it did not come about in time.",
}


class Option(NamedTuple):
    """An option, or (`flag` without dashes) an argument. `value` names its value; without one it
    is a switch. `kind`: what completes it: workload, target, signal, directory, file, number."""

    flag: str
    meaning: str
    value: str = ""
    kind: str = ""
    short: str = ""
    default: object = None
    many: bool = False
    required: bool = False


class Command(NamedTuple):
    """One command: `module` below supervisor.ctl, whose `run(client, options)` does it."""

    name: str
    meaning: str
    module: str
    options: tuple[Option, ...] = ()
    description: str = ""
    alone: bool = False
    """Whether it does without creched."""

    @property
    def sentences(self) -> str:
        """What it does, in sentences."""
        return f"{self.meaning[:1].upper()}{self.meaning[1:]}. {self.description}".rstrip()


JSON = Option("--json", "Print JSON, for scripts.")
NAME = Option("NAME", "A workload.", kind="workload", required=True)
NAMES = Option("NAME", "Workloads.", kind="workload", many=True, required=True)
WAIT = Option("--wait", "Return when it is so, not when it was asked for.")
FOLLOW = Option("--follow", "Go on with what comes.", short="-f")

GLOBAL = (
    Option(
        "--socket",
        "The control socket (default: $CRECHE_SOCKET, else ROOT/.creched/control.sock).",
        "PATH",
        "file",
    ),
    Option("--root", "creched's state directory.", "DIR", "directory", default="/run/creche"),
)

COMMANDS: tuple[Command, ...] = (
    Command(
        "status",
        "show how workloads stand",
        "status",
        (Option("NAME", "Only these workloads.", kind="workload", many=True), JSON),
        "With one name, everything that is known about it. Exit status 1 if one that is shown has "
        "failed, is unhealthy, or is refused since its directory is not in order.",
    ),
    Command(
        "start",
        "start workloads, and remember that they are wanted",
        "act",
        (NAMES, WAIT),
        "Past failures of those that do not run are forgotten, as by `reset`.",
    ),
    Command("stop", "stop workloads, and leave them stopped", "act", (NAMES, WAIT)),
    Command(
        "restart",
        "stop workloads and start them again",
        "act",
        (NAMES, WAIT),
        "Past failures are forgotten, as by `reset`.",
    ),
    Command(
        "kill",
        "send a signal to a workload's first process",
        "act",
        (
            NAMES,
            Option(
                "--signal", "Name or number.", "SIGNAL", "signal", short="-s", default="SIGKILL"
            ),
        ),
        "What follows is up to its restart policy.",
    ),
    Command("reset", "forget restarts and failures", "act", (NAMES,)),
    Command(
        "logs",
        "show what a workload writes",
        "logs",
        (
            NAME,
            FOLLOW,
            Option("--lines", "So many of the last lines.", "N", "number", short="-n", default=100),
            JSON,
        ),
    ),
    Command(
        "events",
        "show events",
        "events",
        (
            Option("NAME", "Only of this workload.", kind="workload"),
            FOLLOW,
            Option(
                "--since",
                "Those after event number N; 5 is the exit status if there is none "
                "yet, as after a boot.",
                "N",
                "number",
            ),
            Option("--tail", "So many of the last ones.", "N", "number", short="-n"),
            JSON,
        ),
        "docs/events.md tells what they mean.",
    ),
    Command("explain", "tell why a workload is in the state it is in", "explain", (NAME, JSON)),
    Command("plan", "show what a reload would do", "plan", (JSON,)),
    Command("reload", "read the workload directories, and networks, anew", "plan", (JSON,)),
    Command(
        "reexec",
        "replace creched in place; no workload notices",
        "reexec",
        (WAIT,),
        "The program that is installed now is tried first, with creched's options and settings: if "
        "it could not start, it is said why, and nothing is changed.",
    ),
    Command(
        "wait",
        "wait until a workload is ready, has exited, …",
        "wait",
        (
            NAMES,
            Option("--for", "For what.", "TARGET", "target", default="ready"),
            Option("--timeout", "At most so many seconds.", "SECONDS", "number", default=60),
        ),
        "Exit status 6 when the time is over.",
    ),
    Command(
        "net",
        "show networks, who is on them, and who has which address",
        "net",
        (
            Option("--draw", "Draw them as a tree."),
            Option("--svg", "Draw them into a file (`-`: standard output).", "FILE", "file"),
            JSON,
        ),
        "Leases that are `held` are kept for workloads that are not attached now.",
    ),
    Command(
        "check",
        "say what is wrong with the workload directories in DIR",
        "check",
        (
            Option("DIR", "A directory of workload directories.", kind="directory", required=True),
            Option(
                "--config",
                "creched.toml, for its networks and groups (default: /etc/creche/creched.toml, if "
                "it is there).",
                "FILE",
                "file",
            ),
            JSON,
        ),
        "Reads every workload directory in DIR as creched would, and starts nothing. With "
        "creched.toml it also knows whether networks are there, and addresses are free.",
        alone=True,
    ),
    Command(
        "top",
        "watch what workloads use",
        "top",
        (Option("--interval", "Seconds between two looks.", "SECONDS", "number", default=2),),
        "q quits. Into a pipe or a file it is printed once.",
    ),
)

BY_NAME = {command.name: command for command in COMMANDS}
