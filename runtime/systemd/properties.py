"""`linux.resources` in the properties of a unit. Pure.

systemd writes a unit's limits again when its configuration is reloaded; limits that were only in
the cgroup's files would be lost. What it has no word for is in the files alone. Source:
systemd.resource-control(5); the translation is runc's, so that units look alike under either.
"""

from __future__ import annotations

from runtime.cgroups.devices import ANY, whitelist
from runtime.cgroups.resources_v2 import DEFAULT_PERIOD, io_weight, weight_of_shares
from runtime.errors import ConfigError
from runtime.spec.ranges import parse_ranges

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any, TypeAlias

    from runtime.cgroups.devices import Rule

    # A name, and a value with its D-Bus signature.
    Property: TypeAlias = tuple[str, tuple[str, Any]]
    Resources: TypeAlias = Mapping[str, Any]

INFINITY = 2**64 - 1
_MOST_CPUS = 8192

# First versions of systemd with a property.
_QUOTA_PERIOD = 242
_ALLOWED_CPUS = 244
_IDLE = 252

_NONE_IS_ZERO = ("MemoryMin", "MemoryLow")

# Files of version 2 that a property stands for.
_UNIFIED = {
    "memory.min": "MemoryMin",
    "memory.low": "MemoryLow",
    "memory.high": "MemoryHigh",
    "memory.max": "MemoryMax",
    "memory.swap.max": "MemorySwapMax",
    "pids.max": "TasksMax",
    "cpu.weight": "CPUWeight",
}


def limits(resources: Resources | None, modern: bool, version: int) -> list[Property]:
    """Everything that systemd has a word for; 0 stands for "not set", as everywhere.

    modern: cgroup version 2 alone; version: of systemd. Raises ConfigError for lists of CPUs or
    nodes that are none.
    """
    resources = resources or {}
    found: list[Property] = []
    found += _memory(resources.get("memory") or {}, modern)
    found += _cpu(resources.get("cpu") or {}, modern, version)
    limit = (resources.get("pids") or {}).get("limit")
    if limit is not None:
        found.append(("TasksMax", ("t", INFINITY if limit < 0 else max(limit, 1))))
    weight = (resources.get("blockIO") or {}).get("weight")
    if weight:
        found.append(
            ("IOWeight", ("t", io_weight(weight))) if modern else ("BlockIOWeight", ("t", weight))
        )
    if modern:
        # Named files come last, as they are written last.
        for name, value in _unified(resources.get("unified") or {}, version):
            found = [item for item in found if item[0] != name]
            found.append((name, value))
    return found


def _memory(memory: Resources, modern: bool) -> Iterator[Property]:
    limit, swap = memory.get("limit") or 0, memory.get("swap") or 0
    if limit:
        yield ("MemoryMax" if modern else "MemoryLimit", ("t", _bytes(limit)))
    if not modern:
        return  # for the others version 1's files have no property
    if memory.get("reservation"):
        yield ("MemoryLow", ("t", _bytes(memory["reservation"])))
    if swap > 0 and limit > 0:
        yield ("MemorySwapMax", ("t", swap - limit))
    elif swap < 0 or (limit < 0 and not swap):
        yield ("MemorySwapMax", ("t", INFINITY))


def _bytes(number: int) -> int:
    return INFINITY if number < 0 else number


def _cpu(cpu: Resources, modern: bool, version: int) -> Iterator[Property]:
    shares = cpu.get("shares")
    if modern and cpu.get("idle") and version >= _IDLE:
        yield ("CPUWeight", ("t", 0))
    elif shares:
        yield (
            ("CPUWeight", ("t", weight_of_shares(shares)))
            if modern
            else ("CPUShares", ("t", shares))
        )
    yield from _quota(cpu.get("quota") or 0, cpu.get("period") or 0, version)
    if modern and version >= _ALLOWED_CPUS:
        for key, name in (("cpus", "AllowedCPUs"), ("mems", "AllowedMemoryNodes")):
            if cpu.get(key):
                yield (name, ("ay", mask(cpu[key], f"linux.resources.cpu.{key}")))


def _quota(quota: int, period: int, version: int) -> Iterator[Property]:
    if period and version >= _QUOTA_PERIOD:
        yield ("CPUQuotaPeriodUSec", ("t", period))
    if quota or period:
        yield ("CPUQuotaPerSecUSec", ("t", quota_per_second(quota, period)))


def quota_per_second(quota: int, period: int) -> int:
    """Microseconds of a CPU for each second; whole hundredths, rounded up, are what systemd keeps.

    The exact quota is written to the cgroup's file: rounding down would not leave room for it.
    """
    if quota <= 0:
        return INFINITY
    exact = quota * 1_000_000 // (period or DEFAULT_PERIOD)
    return -(-exact // 10_000) * 10_000


def mask(text: str, key: str) -> bytes:
    """A list such as `0-3,7` as bits, the lowest first."""
    try:
        numbers = parse_ranges(text, _MOST_CPUS)
    except ValueError as error:
        raise ConfigError(key, str(error)) from None
    bits = sum(1 << number for number in numbers)
    return bits.to_bytes((bits.bit_length() + 7) // 8 or 1, "little")


def _unified(settings: Mapping[str, str], version: int) -> Iterator[Property]:
    for file, text in settings.items():
        key = f"linux.resources.unified[{file!r}]"
        text = text.strip()
        if file in _UNIFIED and (text == "max" or text.isdigit()):
            yield (_UNIFIED[file], ("t", INFINITY if text == "max" else int(text)))
        elif file == "cpu.max":
            words = [*text.split(), str(DEFAULT_PERIOD)]
            if all(word.isdigit() or word == "max" for word in words[:1]) and words[1].isdigit():
                quota = -1 if words[0] == "max" else int(words[0])
                yield from _quota(quota, int(words[1]), version)
        elif file in ("cpuset.cpus", "cpuset.mems") and text and version >= _ALLOWED_CPUS:
            name = "AllowedCPUs" if file == "cpuset.cpus" else "AllowedMemoryNodes"
            yield (name, ("ay", mask(text, key)))


def changed(before: list[Property], after: list[Property]) -> list[Property]:
    """What to set to get from one list of limits to the other; one that is gone gets its default.

    What stays is not set again: systemd would write its rounded value over the exact one.
    """
    old, new = dict(before), dict(after)
    found = [(name, value) for name, value in new.items() if old.get(name) != value]
    for name, (kind, _value) in old.items():
        if name not in new:
            default: Any = b"" if kind == "ay" else 0 if name in _NONE_IS_ZERO else INFINITY
            found.append((name, (kind, default)))
    return found


def devices(rules: Iterable[Rule], known: str) -> list[Property]:
    """Version 1 alone: there systemd opens up every device on a reload if it is told of none.

    known: /proc/devices, whose names stand for a major number. On version 2 the cgroup's own
    program is left alone and nothing is said.
    """
    target = whitelist(rules)
    if target.allow:
        return [("DevicePolicy", ("s", "auto")), ("DeviceAllow", ("a(ss)", []))]
    names = _majors(known)
    allowed: list[tuple[str, str]] = []
    for (kind, major, minor), access in target.exceptions.items():
        letters = "".join(letter for letter in "rwm" if letter in access)
        word = "char" if kind == "c" else "block"
        if minor != ANY and major != ANY:
            allowed.append((f"/dev/{word}/{major}:{minor}", letters))
        elif major == ANY and minor == ANY:
            allowed.append((f"{word}-*", letters))
        elif minor == ANY and (word, major) in names:
            allowed.append((f"{word}-{names[word, major]}", letters))
    return [("DevicePolicy", ("s", "strict")), ("DeviceAllow", ("a(ss)", allowed))]


def _majors(text: str) -> dict[tuple[str, int], str]:
    """(char or block, major) -> name, from /proc/devices."""
    found: dict[tuple[str, int], str] = {}
    word = ""
    for line in text.splitlines():
        if line.endswith("devices:"):
            word = "char" if line.startswith("Character") else "block"
        elif line.strip():
            number, _, name = line.strip().partition(" ")
            found.setdefault((word, int(number)), name)
    return found
