"""Help texts, made from the tables that the parser reads."""

from __future__ import annotations

from runtime import VERSION
from runtime.cli.call import KNOWN_NAMES
from runtime.cli.main import COMMANDS, GLOBAL_FLAGS, command_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from runtime.cli.options import Command, Flag

SUMMARY = "run containers by the Open Container Initiative's runtime specification"

ABOUT = """\
A container is started from a bundle: a directory with a file config.json, which
says what to run and how, and usually the root file system that it names.

    # mkdir -p mycontainer/rootfs && cd mycontainer
    # {name} spec
    # {name} run mycontainer

{name} is called by container engines and by people; each command does one step and
ends. A supervisor that keeps containers running is a program of its own: creched."""


def global_help(program: str) -> str:
    """What `--help` prints."""
    commands = [(name, command_of(name).usage) for name in COMMANDS]
    default = f"/run/{program if program in KNOWN_NAMES else 'creche'}"
    return (
        f"NAME:\n   {program} - {SUMMARY}\n\n{ABOUT.replace('{name}', program)}\n\n"
        f"USAGE:\n   {program} [global options] command [command options] [arguments...]\n\n"
        f"VERSION:\n   {VERSION}\n\n"
        f"COMMANDS:\n{columns(commands)}\n"
        f"GLOBAL OPTIONS:\n{columns(flag_rows(GLOBAL_FLAGS, {'root': default}))}"
    )


def command_help(program: str, command: Command) -> str:
    """What `COMMAND --help` prints."""
    rows = flag_rows(command.flags)
    words = [program, command.name]
    if rows:
        words.append("[command options]")
    if command.args:
        words.append(command.args)
    parts = [f"NAME:\n   {program} {command.name} - {command.usage}\n"]
    parts.append(f"USAGE:\n   {' '.join(words)}\n")
    if command.about:
        parts.append(f"DESCRIPTION:\n{command.about.replace('{name}', program)}\n")
    if rows:
        parts.append(f"OPTIONS:\n{columns(rows)}")
    return "\n".join(parts)


def flag_rows(
    flags: Iterable[Flag], defaults: dict[str, str] | None = None
) -> list[tuple[str, str]]:
    """Each shown flag as a pair: how to write it, what it does."""
    rows = []
    for flag in flags:
        if flag.hidden:
            continue
        value = "" if flag.kind == "bool" else " value"
        written = ", ".join(
            f"{'-' if len(name) == 1 else '--'}{name}{value}" for name in flag.names
        )
        default = (defaults or {}).get(flag.names[0], "")
        if not default and flag.default and not isinstance(flag.default, bool | list):
            default = str(flag.default)
            if isinstance(flag.default, float):
                default = f"{flag.default:g}s"
        usage = flag.usage
        if flag.kind == "list":
            usage += " (may be repeated)"
        if default:
            usage += f" (default: {default})"
        rows.append((written, usage))
    return rows


def columns(rows: Iterable[tuple[str, str]]) -> str:
    """Two columns, the first as wide as its longest entry."""
    rows = list(rows)
    width = max((len(left) for left, _ in rows), default=0)
    return "".join(f"   {left:<{width}}  {right}\n" for left, right in rows)
