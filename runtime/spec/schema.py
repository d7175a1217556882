"""Combinators for tables that say what a document may contain.

A check is a function `(value, notes) -> value`: it returns the value to keep, which holds known
keys only, or raises Mismatch. The JSON path costs nothing until something is wrong: it is put
together while the exception travels up. `bool` never passes for a number.
"""

from __future__ import annotations

from runtime.errors import ConfigError
from runtime.jsonio import join_path, quote, walk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    Check = Callable[[object, "Notes"], object]

MAX_ENTRIES = 16384  # of an array; so many mounts take some seconds to make, and more an age
PATH_MAX = 4096  # bytes, the NUL at the end included; linux/limits.h


class Mismatch(Exception):
    """What was expected and what was found; keys lead to the place, innermost first."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message
        self.keys: list[str | int] = []


class Notes:
    """What a check saw on its way that is no error.

    fold: accept keys in another case as Go's decoder does. If not, such keys are ignored like
    every unknown one, but noted here: (id of the object, key, known key).
    """

    __slots__ = ("fold", "strays")

    def __init__(self, fold: bool = False) -> None:
        self.fold = fold
        self.strays: list[tuple[int, str, str]] = []


class _Missing:
    __slots__ = ()


MISSING = _Missing()


def found(value: object) -> str:
    """A value as messages show it; strings quoted and cut short."""
    if isinstance(value, str):
        return quote(value)
    if value is True or value is False:
        return "true" if value else "false"
    if value is None:
        return "null"
    if isinstance(value, _Missing):
        return "nothing"
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "an array"
    return str(value)


def mismatch(expected: str, value: object) -> Mismatch:
    return Mismatch(f"expected {expected}, found {found(value)}")


def validate(
    check: Check, value: object, warn: Callable[[str], None], path: str = "", fold: bool = False
) -> Any:
    """Check a whole document.

    path: what goes before every path in a message; fold: as in Notes.
    Returns the checked copy: it shares no list or dict with `value`. Raises ConfigError.
    """
    notes = Notes(fold)
    try:
        result = check(value, notes)
    except Mismatch as error:
        keys = [*([path] if path else []), *reversed(error.keys)]
        raise ConfigError(join_path(keys), error.message) from None
    if notes.strays:
        strays = {stray[0]: stray for stray in notes.strays}
        for place, item in walk(value):
            if id(item) in strays:
                _, key, known = strays[id(item)]
                where = join_path([*([path] if path else []), *place, key])
                warn(f"{where}: ignored, keys are case-sensitive: did you mean {known}?")
    return result


# Leaves ------------------------------------------------------------------------------------------


def integer(low: int, high: int, label: str = "") -> Check:
    label = label or f"an integer from {low} to {high}"

    def check(value: object, notes: Notes) -> object:
        if type(value) is int and low <= value <= high:
            return value
        raise mismatch(label, value)

    return check


uint16 = integer(0, 2**16 - 1)
uint32 = integer(0, 2**32 - 1)
uint64 = integer(0, 2**64 - 1)
int32 = integer(-(2**31), 2**31 - 1)
int64 = integer(-(2**63), 2**63 - 1)


def boolean(value: object, notes: Notes) -> object:
    if value is True or value is False:
        return value
    raise mismatch("true or false", value)


def string(value: object, notes: Notes) -> object:
    """Any text but U+0000, which no system call can pass on."""
    if type(value) is not str:
        raise mismatch("a string", value)
    if "\0" in value:
        raise mismatch("a string without NUL", value)
    return value


def line(value: object, notes: Notes) -> object:
    """Text without control characters: what ends up as (part of) one line of a kernel file."""
    text = string(value, notes)
    if not _is_line(str(text)):
        raise mismatch("a string without control characters", value)
    return text


def _is_line(text: str) -> bool:
    return text.isprintable() or not any(c < " " or c == "\x7f" for c in text)


def filled(value: object, notes: Notes) -> object:
    if value == "":
        raise mismatch("a string that is not empty", value)
    return string(value, notes)


def limited(limit: int, what: str) -> Check:
    """One line of at most `limit` bytes of UTF-8."""

    def check(value: object, notes: Notes) -> object:
        text = str(line(value, notes))
        if len(text.encode("utf-8", "surrogatepass")) > limit:
            raise mismatch(f"{what} of at most {limit} bytes", value)
        return text

    return check


def path(value: object, notes: Notes) -> object:
    """A file name that the kernel can take: not empty, below PATH_MAX."""
    if value == "":
        raise mismatch("a path", value)
    text = str(string(value, notes))
    if len(text) > PATH_MAX // 4 and len(text.encode("utf-8", "surrogatepass")) >= PATH_MAX:
        raise mismatch(f"a path of at most {PATH_MAX - 1} bytes", value)
    return text


def absolute(value: object, notes: Notes) -> object:
    if type(value) is not str or not value.startswith("/"):
        raise mismatch("an absolute path", value)
    return path(value, notes)


def enum(names: Sequence[str], label: str = "") -> Check:
    """One of a few words; label: for tables too long to be printed whole."""
    known = frozenset(names)
    label = label or "one of " + ", ".join(names)

    def check(value: object, notes: Notes) -> object:
        if type(value) is str and value in known:
            return value
        raise mismatch(label, value)

    return check


# Containers --------------------------------------------------------------------------------------


def array(item: Check, least: int = 0) -> Check:
    """A list; least: how many entries it must have."""

    def check(value: object, notes: Notes) -> object:
        if type(value) is not list:
            raise mismatch("an array", value)
        if len(value) < least:
            raise Mismatch(f"expected at least {least} entry, found an empty array")
        if len(value) > MAX_ENTRIES:
            raise Mismatch(f"expected at most {MAX_ENTRIES} entries, found {len(value)}")
        result = []
        try:
            for entry in value:
                result.append(item(entry, notes))
        except Mismatch as error:
            error.keys.append(len(result))
            raise
        return result

    return check


def mapping(item: Check, key: Check = filled) -> Check:
    """An object with free keys."""

    def check(value: object, notes: Notes) -> object:
        if type(value) is not dict:
            raise mismatch("an object", value)
        result = {}
        for name, entry in value.items():
            try:
                key(name, notes)
            except Mismatch as error:
                raise Mismatch(error.message.replace("expected ", "expected as key ", 1)) from None
            try:
                result[name] = item(entry, notes)
            except Mismatch as error:
                error.keys.append(name)
                raise
        return result

    return check


def obj(fields: dict[str, Check], required: Sequence[str] = (), blank: Sequence[str] = ()) -> Check:
    """An object with known keys; others are dropped, as the runtime-spec demands.

    A key whose value is null counts as missing, as with Go's decoder; so does, for keys named in
    `blank`, the empty string: engines written in Go cannot tell it from a missing one.
    """
    folded = {name.lower(): name for name in fields}
    blanks = frozenset(blank)

    def check(value: object, notes: Notes) -> object:
        if type(value) is not dict:
            raise mismatch("an object", value)
        result: dict[str, object] = {}
        name = ""
        try:
            for key, entry in value.items():
                name = key
                field = fields.get(key)
                if field is None:
                    known = folded.get(key.lower())
                    if known is None:
                        continue
                    if not notes.fold:
                        notes.strays.append((id(value), key, known))
                        continue
                    name = known
                    if known in value or known in result:
                        raise Mismatch(f"the key is given twice, once as {quote(key)}")
                    field = fields[known]
                if entry is None or (entry == "" and name in blanks):
                    continue
                result[name] = field(entry, notes)
            for name in required:
                if name not in result:
                    fields[name](MISSING, notes)
        except Mismatch as error:
            error.keys.append(name)
            raise
        return result

    return check
