"""Stopping several in order: what needs another is gone before the other is asked. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable


class Leaving:
    """Who is to be stopped, who has been asked, and whose turn it is."""

    def __init__(self, needers: Callable[[str], Collection[str]]) -> None:
        self._needers = needers
        self._going: set[str] = set()
        self._pending: set[str] = set()

    def __contains__(self, name: str) -> bool:
        """Whether it is to go and has not gone."""
        return name in self._going

    def add(self, names: Iterable[str]) -> list[str]:
        """These are to go; gives those that nobody who goes needs: ask them now."""
        names = set(names)
        self._going |= names
        self._pending |= names
        return self._turn(names)

    def gone(self, name: str, needed: Iterable[str]) -> list[str]:
        """It has gone, or has been removed; gives those of what it `needed` whose turn it is."""
        if name not in self._going or name in self._pending:
            return []
        self._going.discard(name)
        return self._turn(needed)

    def stay(self, name: str) -> None:
        """It is not to go after all; it has not been asked yet."""
        self._going.discard(name)
        self._pending.discard(name)

    def forget(self) -> None:
        """All have been asked by other means."""
        self._pending.clear()

    def _turn(self, names: Iterable[str]) -> list[str]:
        free = [
            name
            for name in sorted(self._pending.intersection(names))
            if not self._going.intersection(self._needers(name)) - {name}
        ]
        self._pending.difference_update(free)
        return free
