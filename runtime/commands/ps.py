"""creche ps ID [ps options]."""

from __future__ import annotations

from runtime.cli.call import emit
from runtime.cli.options import Command, Flag
from runtime.errors import CrecheError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.cli.call import Call

COMMAND = Command(
    "ps",
    "show the processes of a container",
    args="<container-id> [ps options]",
    arity=(1, None),
    flags=(Flag("format, f", "table or json", "string", "table"),),
    flags_first=True,
    about="""\
   Runs ps(1) with the options given (default: -ef) and shows the lines of the
   container's processes. With --format json, an array of their process ids.""",
)


def run(call: Call) -> int:
    """Print the processes."""
    from runtime.lifecycle.blocking import open_container

    form = call.flags.text("format")
    if form not in {"table", "json"}:
        raise CrecheError("invalid format option")
    pids = open_container(call.root, call.id, call.log).cgroup().pids()
    if form == "json":
        emit("[" + ",".join(str(pid) for pid in sorted(pids)) + "]\n")
        return 0
    from runtime.cli.programs import output_of

    emit(chosen(output_of(["ps", *(call.args[1:] or ["-ef"])]), frozenset(pids)))
    return 0


def chosen(text: str, pids: frozenset[int]) -> str:
    """The header of ps' output and the lines whose PID column is among pids."""
    lines = text.splitlines()
    titles = lines[0].split() if lines else []
    if "PID" not in titles:
        raise CrecheError("couldn't find PID field in ps output")
    column = titles.index("PID")
    kept = [lines[0]]
    for line in lines[1:]:
        fields = line.split()
        if len(fields) <= column:
            continue
        pid = fields[column]
        if not pid.isdigit():
            raise CrecheError(f"unable to convert pid {pid!r} to a number")
        if int(pid) in pids:
            kept.append(line)
    return "\n".join(kept) + "\n"
