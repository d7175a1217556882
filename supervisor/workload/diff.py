"""What a change of a workload's files leads to, key by key: a pure function of both versions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from supervisor.workload import schema
from supervisor.workload.kinds import ENVIRONMENT, show
from supervisor.workload.model import Workload
from supervisor.workload.schema import Field, Section
from supervisor.workload.sections import SECTIONS
from supervisor.workload.source import CONFIG

DEEPEST = 3
"""Parts of a key of config.json that are told apart."""


class Effect(StrEnum):
    """What one changed key leads to."""

    APPLY = "apply"  # it holds from now on, for the container that runs
    RESTART = "restart"


@dataclass(frozen=True, slots=True)
class KeyChange:
    """A key whose value has changed. `old` and `new` as people write them; None: not shown."""

    key: str
    effect: Effect
    old: str | None = None
    new: str | None = None

    def to_json(self) -> dict[str, object]:
        """As JSON has it."""
        return {"key": self.key, "effect": self.effect.value, "old": self.old, "new": self.new}


def changes(old: Workload, new: Workload) -> tuple[KeyChange, ...]:
    """The keys that differ, in the order of the documentation, then the other files."""
    found = list(_settings(old, new))
    if old.settings.container is None and new.settings.container is None:
        found += _config("", old.config, new.config, DEEPEST)
    if old.root != new.root and old.config.get("root") == new.config.get("root"):
        found.append(KeyChange("root file system", Effect.RESTART))
    return tuple(found)


def restarts(found: tuple[KeyChange, ...]) -> bool:
    """Whether any of the keys needs a restart."""
    return any(change.effect is Effect.RESTART for change in found)


def _settings(old: Workload, new: Workload) -> Iterator[KeyChange]:
    before, after = old.settings.given, new.settings.given
    for section in SECTIONS:
        if getattr(old.settings, section.name) == getattr(new.settings, section.name):
            continue
        found = False
        items = section.single
        for change in _items(section, old, new) if items else _section(section, before, after):
            found = True
            yield change
        if not found:  # a table without keys has come or gone
            yield KeyChange(section.name, Effect.APPLY if section.live else Effect.RESTART)


def _section(
    section: Section, before: dict[str, object], after: dict[str, object]
) -> Iterator[KeyChange]:
    for key, field, live in _keys("", (section,), False):
        default = () if field is None else field.default
        was, now = before.get(key, default), after.get(key, default)
        if was == now:
            continue
        effect = Effect.APPLY if live else Effect.RESTART
        if field is None:  # an array of tables
            yield KeyChange(key, effect)
        elif field.kind is ENVIRONMENT:  # names alone: values may be secrets
            yield from _environment(key, effect, was, now)
        else:
            yield KeyChange(key, effect, _written(before, key, field), _written(after, key, field))


def _items(section: Section, old: Workload, new: Workload) -> Iterator[KeyChange]:
    """Of an array of tables, the keys of those that are there before and after."""
    was, now = getattr(old.settings, section.name), getattr(new.settings, section.name)
    if len(was) != len(now):
        return
    for index, (one, other) in enumerate(zip(was, now, strict=True)):
        at = section.name if len(was) == 1 else f"{section.name}[{index}]"
        for field in section.fields:
            values = [getattr(item, field.key.replace("-", "_")) for item in (one, other)]
            if values[0] == values[1]:
                continue
            live = section.live if field.live is None else field.live
            shown = [
                field.written.replace("`", "")
                if value == field.default
                else field.kind.write(value)
                if isinstance(value, (int, float))
                else show([str(part) for part in value] if isinstance(value, tuple) else str(value))
                for value in values
            ]
            effect = Effect.APPLY if live else Effect.RESTART
            yield KeyChange(f"{at}.{field.key}", effect, *shown)


def _keys(
    prefix: str, sections: tuple[Section, ...], live: bool
) -> Iterator[tuple[str, Field | None, bool]]:
    """Each key, its field (None for an array of tables), and whether a change applies at once."""
    for section in sections:
        for name in section.names:
            path = f"{prefix}{name}"
            applies = live or section.live
            if section.repeated:
                yield path, None, applies
                continue
            for field in section.fields:
                yield f"{path}.{field.key}", field, applies if field.live is None else field.live
            yield from _keys(f"{path}.", section.parts, applies)


def _written(given: dict[str, object], key: str, field: Field) -> str:
    if key in given:
        return field.kind.write(given[key])
    return "not given" if field.default is schema.REQUIRED else field.written.replace("`", "")


def _environment(key: str, effect: Effect, old: object, new: object) -> Iterator[KeyChange]:
    before = dict(old) if isinstance(old, tuple) else {}
    after = dict(new) if isinstance(new, tuple) else {}
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            yield KeyChange(f"{key}.{name}", effect)


def _config(prefix: str, old: object, new: object, depth: int) -> Iterator[KeyChange]:
    if old == new:
        return
    if depth and isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            path = f"{prefix}.{key}" if prefix else str(key)
            yield from _config(path, old.get(key), new.get(key), depth - 1)
        return
    yield KeyChange(f"{CONFIG}: {prefix}", Effect.RESTART)
