"""The kinds of values a workload.toml may hold. Each knows how to say what it expects.

A kind is pure: it takes what tomllib made of the text and gives the value the supervisor uses, or
raises `Mismatch` with what was expected; what was found is shown by `show`.
"""

from __future__ import annotations

import math
import re
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_SIZE = re.compile(r"(\d+)([KMGT]?)")
_SIZES = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_USER = re.compile(r"(\d{1,10})(?::(\d{1,10}))?")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
LONGEST = 10 * 365 * 86400.0
"""Seconds in the longest duration that is accepted (ten years): beyond, clocks lose precision."""


class Mismatch(Exception):
    """The value is not of this kind. `path` leads from the value to the part that is wrong."""

    def __init__(self, expected: str, found: object, path: tuple[str | int, ...] = ()) -> None:
        super().__init__(expected)
        self.expected = expected
        self.found = found
        self.path = path

    def __str__(self) -> str:
        return f"expected {self.expected}, found {show(self.found)}"


def show(value: object) -> str:
    """A value as its author wrote it, short enough for a log line."""
    if isinstance(value, bool):
        text = "true" if value else "false"
    elif isinstance(value, str):
        text = '"' + value.encode("unicode_escape").decode("ascii").replace('"', '\\"') + '"'
    elif isinstance(value, dict):
        return "a table"
    elif isinstance(value, list):
        text = "[" + ", ".join(show(item) for item in value) + "]"
    else:
        text = str(value)
    return shortened(text)


def shortened(text: str) -> str:
    """Short enough for a log line."""
    return text if len(text) <= 60 else text[:57] + "..."


def _shown(value: object) -> str:
    return show(list(value) if isinstance(value, tuple) else value)


def _shown_duration(seconds: float) -> str:
    for unit, length in reversed(_UNITS.items()):
        if seconds >= length and (seconds / length).is_integer() and (unit != "ms" or seconds < 1):
            return f'"{seconds / length:.0f}{unit}"'
    return f'"{seconds:.10g}s"'


def _shown_size(size: int) -> str:
    for unit, length in reversed(_SIZES.items()):
        if size >= length and size % length == 0:
            return f'"{size // length}{unit}"' if unit else str(size)
    return str(size)


def _shown_signal(number: int) -> str:
    return f'"{signal.Signals(number).name}"'


def _shown_status(status: int) -> str:
    return str(status) if status >= 0 else _shown_signal(-status)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of value: `expected` is the phrase used in errors and in docs/workload.md.

    `write` shows a parsed value as people may write it: the same for all that mean the same.
    """

    expected: str
    read: Callable[[object], object]
    write: Callable[[Any], str] = _shown

    def parse(self, value: object) -> object:
        """The value the supervisor uses; raises Mismatch."""
        try:
            return self.read(value)
        except (ValueError, TypeError, KeyError):
            raise Mismatch(self.expected, value) from None


def _text(value: object) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise ValueError
    return value


def _nonempty(value: object) -> str:
    text = _text(value)
    if not text:
        raise ValueError
    return text


def _boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError
    number = float(value) if abs(value) < 1e300 else math.inf
    if not math.isfinite(number):
        raise ValueError
    return number


def _duration(value: object) -> float:
    if isinstance(value, str):
        match = _DURATION.fullmatch(value)
        if match is None:
            raise ValueError
        seconds = float(match.group(1)) * _UNITS[match.group(2)]
    else:
        seconds = _number(value)
    if not 0 <= seconds <= LONGEST:
        raise ValueError
    return seconds


def _size(value: object) -> int:
    if isinstance(value, str):
        match = _SIZE.fullmatch(value)
        if match is None:
            raise ValueError
        size = int(match.group(1)) * _SIZES[match.group(2)]
    elif isinstance(value, int) and not isinstance(value, bool):
        size = value
    else:
        raise TypeError
    if not 4096 <= size < 1 << 62:
        raise ValueError
    return size


def signal_number(value: object) -> int:
    """Number of a signal given as `"SIGTERM"`, `"TERM"` or a number; raises ValueError."""
    if isinstance(value, int) and not isinstance(value, bool):
        return int(signal.Signals(value))
    name = _text(value).upper()
    name = name if name.startswith("SIG") else f"SIG{name}"
    try:
        return int(signal.Signals[name])
    except KeyError:
        raise ValueError from None


def _status(value: object) -> int:
    """An exit status 0..255 stays itself; a signal becomes minus its number."""
    if isinstance(value, int) and not isinstance(value, bool):
        if not 0 <= value <= 255:
            raise ValueError
        return value
    return -signal_number(value)


def _user(value: object) -> tuple[int, int]:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    match = _USER.fullmatch(_text(value))
    if match is None:
        raise ValueError
    uid = int(match.group(1))
    gid = uid if match.group(2) is None else int(match.group(2))
    # 2**32 - 1 is (uid_t) -1, "leave unchanged" to setresuid(2).
    if max(uid, gid) >= (1 << 32) - 1:
        raise ValueError
    return uid, gid


def workload_name(value: object) -> str:
    """A name that a workload, or a group of them, may have; raises ValueError."""
    name = _text(value)
    if _NAME.fullmatch(name) is None:
        raise ValueError
    return name


def _absolute(value: object) -> str:
    path = _nonempty(value)
    if not path.startswith("/") or ".." in path.split("/"):
        raise ValueError
    return path


def _hostname(value: object) -> str:
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,62}[A-Za-z0-9])?", _text(value)):
        raise ValueError
    return str(value)


def _capability(value: object) -> str:
    name = _text(value).upper()
    name = name if name.startswith("CAP_") else f"CAP_{name}"
    if not re.fullmatch(r"CAP_[A-Z0-9_]+", name):
        raise ValueError
    return name


TEXT = Kind("a string without NUL", _text)
NONEMPTY = Kind("a non-empty string", _nonempty)
BOOLEAN = Kind("true or false", _boolean)
DURATION = Kind(
    'a duration: seconds, or a string such as "500ms", "2s", "5m", "1h"', _duration, _shown_duration
)
SIZE = Kind(
    'a size of at least 4096 bytes: bytes, or a string such as "64M" or "1G"', _size, _shown_size
)
SIGNAL = Kind('a signal such as "SIGTERM"', signal_number, _shown_signal)
STATUS = Kind('an exit status from 0 to 255 or a signal such as "SIGTERM"', _status, _shown_status)
USER = Kind('a numeric "uid" or "uid:gid"', _user)
NAME = Kind("a name of letters, digits, dots, dashes and underscores", workload_name)
ABSOLUTE = Kind('an absolute path without ".."', _absolute)
HOSTNAME = Kind("a host name of letters, digits, dots and dashes", _hostname)
CAPABILITY = Kind('a capability such as "CAP_NET_BIND_SERVICE"', _capability)


def integer(lowest: int, highest: int) -> Kind:
    """A whole number within bounds, both included."""

    def read(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError
        if not lowest <= value <= highest:
            raise ValueError
        return value

    return Kind(f"a whole number from {lowest} to {highest}", read)


def number(lowest: float, highest: float) -> Kind:
    """A number within bounds, both included."""

    def read(value: object) -> float:
        if not lowest <= _number(value) <= highest:
            raise ValueError
        return _number(value)

    return Kind(f"a number from {lowest:g} to {highest:g}", read)


def one_of(*names: str) -> Kind:
    """One of a few words."""

    def read(value: object) -> str:
        if value not in names:
            raise ValueError
        return str(value)

    return Kind("one of " + ", ".join(f'"{name}"' for name in names), read)


def list_of(kind: Kind, at_least: int = 0) -> Kind:
    """An array whose every item is of one kind; a wrong item is named by its index."""
    expected = f"an array, each {kind.expected}"
    if at_least:
        expected = f"a non-empty array, each {kind.expected}"

    def read(value: object) -> tuple[object, ...]:
        if not isinstance(value, list) or len(value) < at_least:
            raise TypeError
        items = []
        for index, item in enumerate(value):
            try:
                items.append(kind.parse(item))
            except Mismatch as wrong:
                raise Mismatch(wrong.expected, wrong.found, (index, *wrong.path)) from None
        return tuple(items)

    def write(values: tuple[object, ...]) -> str:
        return shortened("[" + ", ".join(kind.write(value) for value in values) + "]")

    return Kind(expected, read, write)


def _environment(value: object) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, dict):
        raise TypeError
    pairs = []
    for name, item in value.items():
        if not name or "=" in name or "\0" in name:
            raise Mismatch('a variable name without "="', name, (name,))
        if not isinstance(item, str) or "\0" in item:
            raise Mismatch("a string without NUL", item, (name,))
        pairs.append((name, item))
    return tuple(pairs)


ENVIRONMENT = Kind("a table of strings", _environment)
