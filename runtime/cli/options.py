"""Reading a command line from tables, by the rules of Go's flag package as urfave/cli uses it.

`-name` and `--name` are the same flag; a value follows as `--name=v` or as the next word; a
boolean takes a value only with `=`. Flags may stand before and after the arguments, except for the
commands that hand the rest of the line to another program (exec, ps) and kill. Not argparse: its
import alone takes longer than a whole `creche state`.
"""

from __future__ import annotations

from runtime.errors import CrecheError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Literal

    Kind = Literal["bool", "string", "int", "list", "duration", "seconds"]
    Value = bool | str | int | float | list[str]

# A flag's value when it is not given.
NOTHING: dict[str, Value] = {
    "bool": False,
    "string": "",
    "int": 0,
    "list": [],
    "duration": 0.0,
    "seconds": 0.0,
}

TRUE_WORDS = frozenset(("1", "t", "T", "true", "TRUE", "True"))
FALSE_WORDS = frozenset(("0", "f", "F", "false", "FALSE", "False"))

# Seconds per unit of a Go duration, longest names first so that "ms" is not read as "m".
DURATION_UNITS = (
    ("ns", 1e-9),
    ("us", 1e-6),
    ("µs", 1e-6),
    ("μs", 1e-6),
    ("ms", 1e-3),
    ("s", 1.0),
    ("m", 60.0),
    ("h", 3600.0),
)


class UsageError(CrecheError):
    """The command line cannot be understood; status 1 and the command's help."""


class HelpRequested(Exception):
    """-h or --help was given."""


class Flag:
    """One flag.

    names: long name first; kind: what its value is ("seconds" is a duration that may also be a
    plain number); default: the value when absent; usage: one line for the help; hidden: left out
    of the help.
    """

    __slots__ = ("default", "hidden", "kind", "names", "usage")

    def __init__(
        self,
        names: str,
        usage: str,
        kind: Kind = "bool",
        default: Value | None = None,
        *,
        hidden: bool = False,
    ) -> None:
        self.names = tuple(names.split(", "))
        self.usage = usage
        self.kind = kind
        self.hidden = hidden
        self.default: Value = NOTHING[kind] if default is None else default


class Command:
    """One command's shape; its work is the `run` of the module that holds it.

    args: the arguments as the help shows them; arity: fewest and most arguments (None: no limit);
    flags_first: parsing of flags ends at the first argument; about: what follows the usage line in
    the help; failure: what stands before an error message ({name} is the name we are called by);
    status: exit status of such an error.
    """

    __slots__ = (
        "about",
        "args",
        "arity",
        "failure",
        "flags",
        "flags_first",
        "name",
        "status",
        "usage",
    )

    def __init__(
        self,
        name: str,
        usage: str,
        *,
        args: str = "<container-id>",
        arity: tuple[int, int | None] = (1, 1),
        flags: Sequence[Flag] = (),
        flags_first: bool = False,
        about: str = "",
        failure: str = "",
        status: int = 1,
    ) -> None:
        self.name = name
        self.usage = usage
        self.args = args
        self.arity = arity
        self.flags = tuple(flags)
        self.flags_first = flags_first
        self.about = about
        self.failure = failure
        self.status = status


class Values:
    """What was given for a table of flags, with the defaults for the rest."""

    __slots__ = ("_defaults", "_given")

    def __init__(self, flags: Iterable[Flag]) -> None:
        self._defaults = {flag.names[0]: flag.default for flag in flags}
        self._given: dict[str, Value] = {}

    def put(self, flag: Flag, value: Value) -> None:
        """Take a value: a list grows, anything else is replaced."""
        name = flag.names[0]
        if flag.kind == "list":
            held = self._given.setdefault(name, [])
            assert isinstance(held, list)
            held.append(str(value))
        else:
            self._given[name] = value

    def given(self, name: str) -> bool:
        """Whether the flag stands on the command line."""
        return name in self._given

    def _get(self, name: str) -> Value:
        found = self._given.get(name)
        return self._defaults[name] if found is None else found

    def text(self, name: str) -> str:
        """A string flag's value."""
        return str(self._get(name))

    def on(self, name: str) -> bool:
        """A boolean flag's value."""
        return self._get(name) is True

    def number(self, name: str) -> int:
        """An integer flag's value."""
        value = self._get(name)
        assert isinstance(value, int)
        return value

    def seconds(self, name: str) -> float:
        """A duration flag's value in seconds."""
        value = self._get(name)
        assert isinstance(value, int | float)
        return float(value)

    def many(self, name: str) -> list[str]:
        """A repeatable flag's values, in the order given."""
        value = self._get(name)
        assert isinstance(value, list)
        return value


def parse(
    flags: Sequence[Flag], words: Sequence[str], *, flags_first: bool
) -> tuple[Values, list[str]]:
    """Read words against a table: the values, and the arguments that are left.

    Raises UsageError in the words of Go's flag package; HelpRequested for -h and --help, unless
    the table has such a flag.
    """
    table = {name: flag for flag in flags for name in flag.names}
    values = Values(flags)
    rest: list[str] = []
    index = 0
    while index < len(words):
        word = words[index]
        index += 1
        if word == "--":
            rest.extend(words[index:])
            break
        if len(word) < 2 or word[0] != "-":
            if flags_first:
                rest.extend(words[index - 1 :])
                break
            rest.append(word)
            continue
        name, equals, value = word[2 if word[1] == "-" else 1 :].partition("=")
        if not name or name[0] == "-":
            raise UsageError(f"bad flag syntax: {word}")
        flag = table.get(name)
        if flag is None:
            if name in {"h", "help"}:
                raise HelpRequested
            raise UsageError(f"flag provided but not defined: -{name}")
        if not equals:
            if flag.kind == "bool":
                value = "true"
            elif index < len(words):
                value = words[index]
                index += 1
            else:
                raise UsageError(f"flag needs an argument: -{name}")
        values.put(flag, convert(flag, name, value))
    return values, rest


def convert(flag: Flag, name: str, text: str) -> Value:
    """A flag's value from its text; name is the spelling that was used, for the error."""
    if flag.kind == "bool":
        if text in TRUE_WORDS:
            return True
        if text in FALSE_WORDS:
            return False
        raise UsageError(f"invalid boolean value {quoted(text)} for -{name}: parse error")
    if flag.kind == "int":
        number = parse_int(text)
        if number is not None:
            return number
    elif flag.kind in {"duration", "seconds"}:
        if flag.kind == "seconds" and text.isascii() and text.isdigit() and len(text) < 10:
            return float(text)
        seconds = parse_duration(text)
        if seconds is not None:
            return seconds
    else:
        return text
    raise UsageError(f"invalid value {quoted(text)} for flag -{name}: parse error")


def parse_int(text: str) -> int | None:
    """A decimal 64-bit integer, or None. Stricter than int(): no blanks, `_` or other digits."""
    digits = text[1:] if text[:1] in {"-", "+"} else text
    if not (digits.isascii() and digits.isdigit() and len(digits) < 20):
        return None
    number = int(text)
    return number if -(1 << 63) <= number < 1 << 63 else None


def parse_duration(text: str) -> float | None:
    """Seconds from a Go duration (100ms, 1m30s, 1.5h, 0), or None if it is not one."""
    sign = -1.0 if text[:1] == "-" else 1.0
    rest = text[1:] if text[:1] in {"-", "+"} else text
    if rest == "0":
        return 0.0
    total = 0.0
    if not rest or len(rest) > 64:
        return None
    while rest:
        size = 0
        while size < len(rest) and rest[size] in "0123456789.":
            size += 1
        number = rest[:size]
        if not number.replace(".", "", 1).isdigit():
            return None
        rest = rest[size:]
        for unit, scale in DURATION_UNITS:
            after = rest[len(unit) : len(unit) + 1]
            if rest.startswith(unit) and (not after or after in "0123456789."):
                total += float(number) * scale
                rest = rest[len(unit) :]
                break
        else:
            return None
    return sign * total


def check_arity(program: str, command: Command, count: int) -> None:
    """Raise UsageError in runc's words when the number of arguments does not fit."""
    least, most = command.arity
    said = f'{program}: "{command.name}" requires'
    if least == most and count != least:
        raise UsageError(f"{said} exactly {least} argument(s)")
    if count < least:
        raise UsageError(f"{said} a minimum of {least} argument(s)")
    if most is not None and count > most:
        raise UsageError(f"{said} a maximum of {most} argument(s)")


_ESCAPES = {
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
    "\\": "\\\\",
    '"': '\\"',
}


def quoted(text: str) -> str:
    """Text as Go's %q writes it.

    Bytes that were not UTF-8 (surrogate escapes) come out as \\xNN. Control characters never get
    through, so a container's name or a hook's output cannot forge a log line.
    """
    parts = ['"']
    for char in text:
        code = ord(char)
        if char in _ESCAPES:
            parts.append(_ESCAPES[char])
        elif char.isprintable():
            parts.append(char)
        elif 0xDC80 <= code <= 0xDCFF:
            parts.append(f"\\x{code - 0xDC00:02x}")
        elif code < 0x80:
            parts.append(f"\\x{code:02x}")
        elif code < 0x10000:
            parts.append(f"\\u{code:04x}")
        else:
            parts.append(f"\\U{code:08x}")
    parts.append('"')
    return "".join(parts)
