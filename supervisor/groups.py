"""Groups of workloads: whom a restart takes along, and how many are too many. Pure.

The strategies and the intensity are those of OTP's supervisors (Erlang, supervisor(3)).
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Strategy(StrEnum):
    """Who is restarted with a member that is."""

    ONE_FOR_ONE = "one-for-one"
    ONE_FOR_ALL = "one-for-all"
    REST_FOR_ONE = "rest-for-one"


@dataclass(frozen=True, slots=True)
class Group:
    """One [groups.NAME] of creched.toml; `limit` 0 means none, `window` is in seconds."""

    strategy: Strategy = Strategy.ONE_FOR_ONE
    limit: int = 0
    window: float = 600.0


def undeclared(name: str | None, declared: Collection[str]) -> tuple[str, ...]:
    """A warning, if a workload is of a group of which creched.toml says nothing."""
    if name is None or name in declared:
        return ()
    close = difflib.get_close_matches(name, declared, 1, 0.6)
    meant = f"; did you mean {close[0]!r}?" if close else ""
    return (
        f"workload.group: creched.toml has no [groups.{name}], so that a restart of a member "
        f"concerns no other{meant}",
    )


def taken_along(group: Group, name: str, members: Sequence[str]) -> list[str]:
    """Who is restarted with `name`; `members` in the order in which they are started."""
    match group.strategy:
        case Strategy.ONE_FOR_ONE:
            return []
        case Strategy.ONE_FOR_ALL:
            return [member for member in members if member != name]
        case Strategy.REST_FOR_ONE:
            return list(members[members.index(name) + 1 :])


def count(group: Group, recent: tuple[float, ...], now: float) -> tuple[float, ...] | None:
    """The restarts within the window, one more at `now` included; None if that is one too many."""
    if not group.limit:
        return ()
    kept = tuple(moment for moment in recent if moment > now - group.window)
    return None if len(kept) >= group.limit else (*kept, now)
