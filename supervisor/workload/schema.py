"""The shape of a table of settings: what parsing and docs/workload.md come from.

The tables themselves are in supervisor/workload/sections/, one module for each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from supervisor.workload.kinds import Kind

REQUIRED = object()
"""Default of a key that has to be given."""

Values = dict[str, Any]
"""Parsed values by key, defaults filled in; a table within a table under its last name."""


def no_rules(values: Values) -> Iterable[tuple[str, str]]:
    """No rules over more than one key."""
    return ()


@dataclass(frozen=True, slots=True)
class Field:
    """One key: its kind, its default as parsed, how the default is written, what it means.

    `live` is whether a change of it applies to a container that runs; None: as with its section.
    """

    key: str
    kind: Kind
    default: object
    written: str
    meaning: str
    live: bool | None = None


@dataclass(frozen=True, slots=True)
class Section:
    """One table, or (`repeated`) one array of tables; `name` is its dotted TOML name.

    `make` turns its values into what the supervisor uses. `rules` yields (key, message) for values
    that are good each but not together. `parts` are the tables within it. `keys` are the names it
    goes by in its parent, if there are several; an `optional` one that is not given is None; a
    table stands for a whole array of a `repeated` one that may be `single`. A change of a `live`
    one (and its parts) applies to a container that runs; else it is restarted.
    """

    name: str
    meaning: str
    fields: tuple[Field, ...]
    make: Callable[[Values], object]
    repeated: bool = False
    optional: bool = False
    single: bool = False
    live: bool = False
    parts: tuple[Section, ...] = ()
    keys: tuple[str, ...] = ()
    rules: Callable[[Values], Iterable[tuple[str, str]]] = no_rules

    @property
    def names(self) -> tuple[str, ...]:
        """The keys of its parent that hold it."""
        return self.keys or (self.name.rpartition(".")[2],)


def into(kind: Callable[..., object]) -> Callable[[Values], object]:
    """A `make` for a dataclass whose attributes are called like the keys, but for dashes."""
    return lambda values: kind(**{key.replace("-", "_"): v for key, v in values.items()})


def walk(sections: Iterable[Section], live: bool = False) -> Iterable[tuple[Section, bool]]:
    """Each section, then its parts, in the order of the documentation; whether a change is live."""
    for section in sections:
        yield section, live or section.live
        yield from walk(section.parts, live or section.live)
