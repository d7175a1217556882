"""`org.systemd.property.NAME` annotations: properties that a configuration may set. Pure.

An annotation may come from an image or from whoever may start containers, and a property can run a
program as root outside of any container (CVE-2024-3154, of CRI-O). So there is a list of those that
change no more than how the unit ends; the limits have their place in `linux.resources`.
"""

from __future__ import annotations

from runtime.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from .properties import Property

PREFIX = "org.systemd.property."

# Name -> D-Bus type.
ALLOWED = {
    "CollectMode": "s",
    "Description": "s",
    "FinalKillSignal": "i",
    "KillSignal": "i",
    "ManagedOOMMemoryPressure": "s",
    "ManagedOOMPreference": "s",
    "ManagedOOMSwap": "s",
    "OOMPolicy": "s",
    "RuntimeMaxUSec": "t",
    "SendSIGHUP": "b",
    "TimeoutStopUSec": "t",
}

_RANGES = {"i": (-(2**31), 2**31 - 1), "t": (0, 2**64 - 1)}
_INTEGERS = ("byte", "int16", "uint16", "int32", "uint32", "int64", "uint64")


def properties(annotations: Mapping[str, str], warn: Callable[[str], None]) -> list[Property]:
    """Those on the list; a warning for each other. Raises ConfigError for a value of another type.

    `...Sec` stands for `...USec` with a number of seconds, as with runc.
    """
    found: list[Property] = []
    for annotation, text in annotations.items():
        if not annotation.startswith(PREFIX):
            continue
        name = annotation[len(PREFIX) :]
        key = f"annotations[{annotation!r}]"
        scale = 1
        if name.endswith("Sec") and not name.endswith("USec"):
            name, scale = name[:-3] + "USec", 1_000_000
        kind = ALLOWED.get(name)
        if kind is None:
            warn(f"{key}: ignored, this property is not on the list of those that are safe to set")
            continue
        found.append((name, (kind, _value(kind, text.strip(), key, scale))))
    return found


def _value(kind: str, text: str, key: str, scale: int) -> Any:
    """A value in GVariant's text format, of which strings, numbers and booleans are read."""
    if kind == "s":
        if len(text) < 2 or text[0] not in "'\"" or text[-1] != text[0] or "\\" in text:
            raise ConfigError(key, f"expected a string in quotes, found {text!r}")
        return text[1:-1]
    if kind == "b":
        if text not in ("true", "false"):
            raise ConfigError(key, f"expected true or false, found {text!r}")
        return text == "true"
    word, blank, rest = text.partition(" ")
    digits = rest.strip() if blank and word in _INTEGERS else text
    if not digits.removeprefix("-").isdigit() or not digits.isascii():
        raise ConfigError(key, f"expected a whole number, found {text!r}")
    number = int(digits) * scale
    low, high = _RANGES[kind]
    if not low <= number <= high:
        raise ConfigError(key, f"{number} is out of range")
    return number
