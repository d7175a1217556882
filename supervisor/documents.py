"""Makes what in docs/ comes from the tables in the code.

`python -m supervisor.documents` writes them; with `--check` it says what is out of date instead.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path

from supervisor import events, fields, manual, settings
from supervisor.workload import schema
from supervisor.workload.sections import SECTIONS

DOCS = Path(__file__).parent.parent / "docs"
_NOTE = "<!-- Made by `python -m supervisor.documents` from {}: change it there. -->\n"


def events_document() -> str:
    """docs/events.md."""
    lines = [
        "# Events\n",
        _NOTE.format("supervisor/events.py and supervisor/fields.py"),
        "creched writes one event for every change of state of a workload, and for whatever else",
        "is worth knowing: with `--log-format json` one JSON object a line, else in words. Names",
        f"and fields are an interface; this is version {events.VERSION}. Within a version they",
        "are only added. [events.schema.json](events.schema.json) says the same to programs.\n",
        "## Fields of every event\n",
        "| field | meaning |",
        "|---|---|",
    ]
    lines += [f"| `{name}` | {meaning} |" for name, meaning in fields.COMMON.items()]
    lines += ["\n## Events\n", "| event | level | fields | meaning |", "|---|---|---|---|"]
    for name, report in events.REPORTS.items():
        carried = " ".join(
            f"`{field}`{'?' if field in report.unknown else ''}" for field in report.fields
        )
        lines.append(f"| `{name}` | {report.level} | {carried} | {report.meaning} |")
    lines += [
        "\nA field with a question mark may be `null`: its value is not known, or there is none.\n",
        "## Fields of some\n",
        "| field | type | meaning |",
        "|---|---|---|",
    ]
    lines += [f"| `{name}` | {kind} | {said} |" for name, (kind, said) in fields.FIELDS.items()]
    return "\n".join(lines) + "\n"


_FOLLOWED = (
    "## While creched runs\n",
    "It notices what is changed, added, renamed or removed in DIR, half a second after the last of",
    "several changes (five seconds after the first, if they go on). So however an editor saves, it",
    "is one change; and a file that is being written is not read before that is over. To have it",
    "look at once: `crechectl reload`; `crechectl plan` tells what that would do, key by key.\n",
    "* A key whose table below says so applies to the container that runs. Others restart it. What",
    "  makes no difference (a comment, another order) does nothing. In `config.json` every change",
    "  restarts, as does another directory in the place of the root file system.",
    "* Hooks are run as they are when their turn comes; a change of the program does nothing.",
    "* A mistake changes nothing that runs: it is reported with file, line and key, and the",
    "  version before stays, also when creched is started again: it keeps a copy of the files in",
    "  use in `STATE/generations` (`--state`). `crechectl status` shows `files refused` till then.",
    "* A directory that is renamed is another workload: the old one is stopped, then the new one",
    "  is started. One that is removed is stopped, and what was kept of it is forgotten.",
    "* If DIR itself is gone or cannot be used, nothing is stopped: that is reported, and it is",
    "  waited for. It may also be missing at the start. The directory above DIR is watched for it;",
    "  a rename further up is noticed at the next `reload`.",
    "* If the kernel has dropped notices because there were too many, everything is read anew.",
    "* Delays and deadlines do not depend on the time of day, which may be set. A machine that was",
    "  suspended goes on waiting where it was.",
    "* With `[update] rollback = true` a new version has a probation, see below.\n",
)


def _effect(section: schema.Section, live: bool) -> str:
    """What a change of its keys does."""
    other = [f"`{field.key}`" for field in section.fields if field.live not in (None, live)]
    text = "applies to the container that runs" if live else "restarts the container"
    if not other:
        return f"A change {text}."
    rest = "restarts it" if live else "applies to the one that runs"
    return f"A change {text}; of {', '.join(other)} it {rest}."


def workload_document() -> str:
    """docs/workload.md."""
    lines = [
        "# Workload directories\n",
        _NOTE.format("supervisor/workload/sections/"),
        "`creched --workloads DIR` looks after every directory in DIR whose name does not begin",
        "with a dot. The directory's name, at most 64 letters, digits, dots, dashes and",
        "underscores, is the workload's name. It holds\n",
        "* `workload.toml`, which may be empty;",
        "* and either `config.json` with its root file system (an OCI bundle), or nothing more: "
        "then the",
        "  file's `[container]` table says what to run;",
        "* if wanted, drop-ins: `workload.d/*.toml`, laid over `workload.toml` in the order of "
        "their names.",
        "  Tables are merged key by key; values and arrays of values replace what was there; "
        "`[[tables]]`",
        "  are added behind those that are there, and an empty array (`alerts = []`) takes those "
        "away.",
        "  Hidden files, and files with other endings, are no drop-ins.\n",
        "`crechectl check DIR` tells what is wrong with the directories in DIR, by file, line and",
        "key. Keys the tables below do not have are refused. A workload that is refused is",
        "reported and not started; the others are. It has the status `refused` in `crechectl",
        "status`, with what is wrong, until its files are in order or its directory has gone.\n",
        "Nobody but root (or the user creched runs as) may own or be able to write the",
        "directories and the files in them, and none of them may be a symbolic link.\n",
        *_FOLLOWED,
    ]
    tables = [
        (section, f"{section.meaning} {_effect(section, live)}")
        for section, live in schema.walk(SECTIONS)
    ]
    return "\n".join([*lines, *_tables(tables)])


def creched_document() -> str:
    """docs/creched.md."""
    lines = [
        "# creched.toml\n",
        _NOTE.format("supervisor/settings.py"),
        f"What is to be said about creched: `creched --config FILE`, else {settings.DEFAULT}",
        "if that is there. It is read when creched starts, and when it is executed anew; networks",
        "also at `crechectl reload` and SIGHUP. Keys the tables below do not have are refused, and",
        "so is a file that others than root could have written. Everything may be left out.\n",
    ]
    tables = [
        (section, section.meaning)
        for section, _ in schema.walk(settings.SECTIONS)
        if section.fields
    ]
    return "\n".join([*lines, *_tables(tables)])


_TYPES: dict[str, dict[str, object]] = {"strings": {"type": "array", "items": {"type": "string"}}}
"""What the words in fields.FIELDS are in JSON Schema, where that has no such word."""


def events_schema() -> str:
    """docs/events.schema.json: JSON Schema (draft 2020-12) of one event."""
    kinds: dict[str, dict[str, object]] = {
        "version": {"const": events.VERSION},
        "seq": {"type": "integer", "minimum": 1},
        "monotonic": {"type": "number"},
        "level": {"enum": ["info", "warning", "error"]},
    }
    common = {
        name: {"description": meaning, **kinds.get(name, {"type": "string"})}
        for name, meaning in fields.COMMON.items()
    }
    variants = []
    for name, report in events.REPORTS.items():
        own: dict[str, object] = {"event": {"const": name}, "level": {"const": report.level}}
        for field in report.fields:
            type_: dict[str, object] = {"$ref": f"#/$defs/{field}"}
            own[field] = {"anyOf": [type_, {"type": "null"}]} if field in report.unknown else type_
        variants.append(
            {"description": report.meaning, "properties": own, "required": list(report.fields)}
        )
    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "An event of creched",
        "type": "object",
        "properties": common,
        "required": list(common),
        "oneOf": variants,
        "$defs": {
            name: {"description": meaning, **_TYPES.get(kind, {"type": kind})}
            for name, (kind, meaning) in fields.FIELDS.items()
        },
    }
    return json.dumps(document, indent=1) + "\n"


def _tables(sections: Iterable[tuple[schema.Section, str]]) -> list[str]:
    lines = []
    for section, meaning in sections:
        brackets = "[[{}]]" if section.repeated else "[{}]"
        lines += [
            f"## `{brackets.format(section.name)}`\n",
            meaning + "\n",
            "| key | value | default | meaning |",
            "|---|---|---|---|",
        ]
        for field in section.fields:
            default = "required" if field.default is schema.REQUIRED else field.written
            if field.default is not schema.REQUIRED and not default.startswith("`"):
                simple = field.default is not None or default.startswith("[")
                default = f"`{default}`" if simple else default
            expected = field.kind.expected.replace("|", "\\|")
            lines.append(f"| `{field.key}` | {expected} | {default} | {field.meaning} |")
        lines.append("")
    return lines


DOCUMENTS = {
    "events.md": events_document,
    "events.schema.json": events_schema,
    "workload.md": workload_document,
    "creched.md": creched_document,
    **{f"man/{name}": make for name, make in manual.PAGES.items()},
}


def main(arguments: list[str]) -> int:
    """Write the documents, or with `--check` exit with 1 if they are not what they should be."""
    stale = []
    for name, make in DOCUMENTS.items():
        path = DOCS / name
        if not path.exists() or path.read_text(encoding="utf-8") != make():
            stale.append(name)
            if "--check" not in arguments:
                path.parent.mkdir(exist_ok=True)
                path.write_text(make(), encoding="utf-8")
    for name in stale:
        print(f"docs/{name} {'is out of date' if '--check' in arguments else 'written'}")
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
