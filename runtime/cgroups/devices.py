"""Which devices a container may use: the list of rules, and version 1's form of it. Pure.

A rule is `[allow, type, major, minor, access]`: a boolean; `"a"`, `"b"` or `"c"`; numbers, -1 for
any; a string of `r`, `w`, `m`. Rules apply in order, later ones win, and before the first nothing
is allowed. Version 2's form is in device_bpf.py.
"""

from __future__ import annotations

from runtime.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any, TypeAlias

    Rule: TypeAlias = list[Any]
    # (type, major, minor) -> access
    Exceptions: TypeAlias = dict[tuple[str, int, int], frozenset[str]]

ANY = -1
ALL: frozenset[str] = frozenset("rwm")

# What every container gets (config-linux.md "Default Devices"), and the right to make, though not
# to open, any node. The path is where a container may put something else in its place.
DEFAULTS: tuple[tuple[str, str, int, int, str], ...] = (
    ("", "c", ANY, ANY, "m"),
    ("", "b", ANY, ANY, "m"),
    ("/dev/null", "c", 1, 3, "rwm"),
    ("/dev/random", "c", 1, 8, "rwm"),
    ("/dev/full", "c", 1, 7, "rwm"),
    ("/dev/tty", "c", 5, 0, "rwm"),
    ("/dev/zero", "c", 1, 5, "rwm"),
    ("/dev/urandom", "c", 1, 9, "rwm"),
    ("", "c", 136, ANY, "rwm"),  # /dev/pts/*
    ("", "c", 5, 2, "rwm"),  # /dev/ptmx
    ("", "c", 5, 1, "rwm"),  # /dev/console
)


def compile_devices(
    rules: Iterable[Mapping[str, Any]] | None,
    container_devices: Iterable[Mapping[str, Any]] | None = None,
    base: str = "linux.resources.devices",
) -> list[Rule]:
    """`linux.resources.devices` in its order, then the defaults.

    container_devices: `linux.devices`; a default device whose path it takes for another device
    is not opened up. Raises ConfigError.
    """
    compiled: list[Rule] = []
    for index, rule in enumerate(rules or []):
        path = f"{base}[{index}]"
        kind = rule.get("type") or "a"
        if kind not in ("a", "b", "c", "u"):
            raise ConfigError(f"{path}.type", f"invalid device type {kind!r}, expected a, b or c")
        access = rule.get("access")
        access = "rwm" if access is None else access
        if not access or not ALL.issuperset(access):
            message = f"invalid access {access!r}, expected letters out of r, w and m"
            raise ConfigError(f"{path}.access", message)
        major = _number(rule, "major", path)
        minor = _number(rule, "minor", path)
        row = [bool(rule.get("allow")), "c" if kind == "u" else kind, major, minor, access]
        compiled += _split(row)
    taken = {
        str(device.get("path")): (device.get("type"), device.get("major"), device.get("minor"))
        for device in container_devices or []
    }
    for path, kind, major, minor, access in DEFAULTS:
        other = taken.get(path)
        if other is None or (other[0] in ("c", "u") and other[1:] == (major, minor)):
            compiled.append([True, kind, major, minor, access])
    return compiled


def _number(rule: Mapping[str, Any], name: str, path: str) -> int:
    value = rule.get(name)
    if value is None or value == ANY:
        return ANY
    if not isinstance(value, int) or not 0 <= value <= 0xFFFFFFFF:
        raise ConfigError(f"{path}.{name}", f"invalid device number {value!r}")
    return value


def _split(row: Rule) -> list[Rule]:
    """`a` means everything at once to version 1; a narrower one is two rules, for b and for c."""
    allow, kind, major, minor, access = row
    if kind == "a" and (major != ANY or minor != ANY or not ALL.issubset(access)):
        return [[allow, each, major, minor, access] for each in ("b", "c")]
    return [row]


class Whitelist:
    """What version 1 can hold: allow all or nothing, and exceptions that name what they except.

    (security/device_cgroup.c: an exception can be taken back only whole.)
    """

    __slots__ = ("allow", "exceptions")

    def __init__(self) -> None:
        self.allow = False
        self.exceptions: Exceptions = {}

    def add(self, rule: Rule) -> bool:
        """Apply the next rule; False if what results cannot be held."""
        allow, kind, major, minor, access = rule
        if kind == "a":
            self.allow = allow
            self.exceptions = {}
            return True
        wanted = frozenset(access)
        if allow != self.allow:
            key = (kind, major, minor)
            self.exceptions[key] = self.exceptions.get(key, frozenset()) | wanted
            return True
        kept: Exceptions = {}
        for key, held in self.exceptions.items():
            if held & wanted and _overlap(key, (kind, major, minor)):
                if not _covers((kind, major, minor), key):
                    return False
                held -= wanted
            if held:
                kept[key] = held
        self.exceptions = kept
        return True


def _overlap(one: tuple[str, int, int], two: tuple[str, int, int]) -> bool:
    return one[0] == two[0] and all(
        ANY in (a, b) or a == b for a, b in zip(one[1:], two[1:], strict=True)
    )


def _covers(wide: tuple[str, int, int], narrow: tuple[str, int, int]) -> bool:
    return wide[0] == narrow[0] and all(
        a in (ANY, b) for a, b in zip(wide[1:], narrow[1:], strict=True)
    )


def whitelist(rules: Iterable[Rule]) -> Whitelist:
    """All rules together. Raises ConfigError where version 1 cannot express the outcome."""
    result = Whitelist()
    for rule in rules:
        if not result.add(rule):
            raise ConfigError(
                "linux.resources.devices",
                f"cgroup v1 cannot express {_text(rule)!r} after a wider rule to the contrary",
            )
    return result


def parse_list(text: str) -> Whitelist:
    """The present state, from version 1's devices.list (only "a *:* rwm" when all is allowed)."""
    result = Whitelist()
    for line in text.splitlines():
        kind, numbers, access = line.split()
        major, minor = (ANY if part == "*" else int(part) for part in numbers.split(":"))
        result.add([True, kind, major, minor, access])
    return result


def writes_v1(rules: Iterable[Rule], current: Whitelist | None = None) -> list[tuple[str, str]]:
    """(file, value) pairs that lead to the rules from a fresh cgroup or from a current state.

    From a current state nothing is closed or opened on the way that is not in the end: what is
    newly allowed first, then what is no longer.
    """
    target = whitelist(rules)
    if current is None or current.allow or target.allow:
        # The exceptions of an allow-all list cannot be read back: it has to be set anew.
        opened, closed = ("devices.allow", "devices.deny")
        first, then = (opened, closed) if target.allow else (closed, opened)
        return [(first, "a"), *((then, text) for text in _texts(target.exceptions))]
    added: Exceptions = {}
    removed: Exceptions = {}
    for key in {**current.exceptions, **target.exceptions}:
        old = current.exceptions.get(key, frozenset())
        new = target.exceptions.get(key, frozenset())
        if new - old:
            added[key] = new - old
        if old - new:
            removed[key] = old - new
    return [("devices.allow", text) for text in _texts(added)] + [
        ("devices.deny", text) for text in _texts(removed)
    ]


def _texts(exceptions: Exceptions) -> list[str]:
    return [_text([True, *key, access]) for key, access in exceptions.items()]


def _text(rule: Rule) -> str:
    _allow, kind, major, minor, access = rule
    letters = "".join(letter for letter in "rwm" if letter in access)
    numbers = ":".join("*" if number == ANY else str(number) for number in (major, minor))
    return f"{kind} {numbers} {letters}"
