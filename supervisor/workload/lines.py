"""On which line of a TOML text a key stands. tomllib does not tell, and people ask.

This is a reader of headers and `key =` lines, not a TOML parser: it runs only on text that
tomllib has accepted, and where it is not sure it says None rather than a wrong line.
"""

from __future__ import annotations

import re
import tomllib

_HEADER = re.compile(r"\s*\[\[?\s*([A-Za-z0-9_.\-\"' ]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"\s*((?:[A-Za-z0-9_\-]+|\"[^\"]*\"|'[^']*')(?:\s*\.\s*[A-Za-z0-9_\-]+)*)\s*=")
_AT = re.compile(r"\(at line (\d+), column \d+\)")

LONGEST = 120
"""Characters of a line that are looked at: matching a header takes the square of its length."""
DEEPEST = 16
"""Parts of the longest key that is remembered; no schema here goes deeper."""

Path = tuple[str | int, ...]


def find_line(lines: dict[Path, int], path: Path) -> int | None:
    """Line (1-based) of `path`, or of the nearest enclosing key or table that is written down.

    `lines` is what `index` makes of the text.
    """
    while path:
        if path in lines:
            return lines[path]
        path = path[:-1]
    return None


def syntax_line(error: tomllib.TOMLDecodeError) -> int | None:
    """Line tomllib names in its message; None for an error at the end of the document."""
    found = _AT.search(str(error))
    return int(found.group(1)) if found else None


def index(text: str) -> dict[Path, int]:
    """Every key path that is written on a line of its own, with that line."""
    lines: dict[Path, int] = {}
    counts: dict[Path, int] = {}
    table: Path = ()
    quoted: str | None = None  # inside a multi-line string nothing is a key
    for number, line in enumerate(text.splitlines(), 1):
        if quoted is not None:
            if quoted in line:
                quoted = None
            continue
        header = None if len(line) > LONGEST else _HEADER.match(line)
        if header is not None and "=" not in line.split("]")[0]:
            table = _split(header.group(1))
            if line.lstrip().startswith("[["):
                count = counts.get(table, 0)
                counts[table] = count + 1
                lines.setdefault(table, number)
                table = (*table, count)
            lines.setdefault(table, number)
            continue
        key = _KEY.match(line[:LONGEST])
        if key is not None:
            path = (*table, *_split(key.group(1)))
            for end in range(len(table) + 1, min(len(path), DEEPEST) + 1):
                lines.setdefault(path[:end], number)
        for mark in ('"""', "'''"):
            if line.count(mark) % 2:
                quoted = mark
    return lines


def _split(dotted: str) -> Path:
    return tuple(part.strip().strip("\"'") for part in dotted.split("."))
