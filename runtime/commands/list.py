"""creche list."""

from __future__ import annotations

import os

from runtime.cli.call import emit
from runtime.cli.describe import described
from runtime.cli.format import table
from runtime.cli.log import write_all
from runtime.cli.options import Command, Flag
from runtime.errors import CrecheError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.cli.call import Call

COMMAND = Command(
    "list",
    "show the containers under --root",
    args="",
    arity=(0, 0),
    flags=(
        Flag("format, f", "table or json", "string", "table"),
        Flag("quiet, q", "ids only"),
    ),
)

TITLES = ("ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER")


def run(call: Call) -> int:
    """Print all containers, sorted by id; one that cannot be read is a line on stderr."""
    from runtime.state import StateDir, current_status, list_ids

    root = call.root
    if call.root_given and not os.path.isdir(root):
        raise CrecheError(f"--root {root}: no such directory")
    form = call.flags.text("format")
    if form not in {"table", "json"}:
        raise CrecheError("invalid format option")
    ids = list_ids(root) if os.path.isdir(root) else []
    if call.flags.on("quiet"):
        emit("".join(f"{name}\n" for name in ids))
        return 0
    found = []
    for name in ids:
        try:
            directory = StateDir(root, name)
            state = directory.load()
            entry = described(state, current_status(directory, state))
            found.append({**entry, "owner": owner(os.stat(directory.path).st_uid)})
        except CrecheError as error:
            write_all(2, f"load container {name}: {error}\n")
    if form == "json":
        from runtime.jsonio import dumps

        emit(dumps(found) + "\n" if found else "null\n")
        return 0
    emit(table([TITLES, *(row(entry) for entry in found)]))
    return 0


def row(entry: dict[str, object]) -> tuple[str, ...]:
    """One container's cells."""
    keys = ("id", "pid", "status", "bundle", "created", "owner")
    return tuple(str(entry[key]) for key in keys)


def owner(uid: int) -> str:
    """The name of a user of the host, or #UID."""
    if uid == 0:
        return "root"
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"#{uid}"
