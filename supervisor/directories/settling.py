"""Waiting until a directory has come to rest: saving one file is many changes to the kernel.

Editors write a new file and rename it, or truncate and write; copying a directory makes one file
after the other. What follows closely upon each other is one change.
"""

from __future__ import annotations

import trio

QUIET = 0.5
"""Seconds without a change after which what has changed is looked at."""
LONGEST = 5.0
"""Seconds after the first change when it is looked at although changes go on."""


class Settling:
    """Collects names of what has changed; None among them stands for everything."""

    def __init__(self, quiet: float = QUIET, longest: float = LONGEST) -> None:
        self._quiet = quiet
        self._longest = longest
        self._names: set[str | None] = set()
        self._last = 0.0
        self._some = trio.Event()

    def note(self, name: str | None) -> None:
        """Something of this name has changed just now."""
        self._names.add(name)
        self._last = trio.current_time()
        self._some.set()

    async def settled(self) -> set[str] | None:
        """What has changed, once it has come to rest; None for anything."""
        await self._some.wait()
        latest = trio.current_time() + self._longest
        until = self._last + self._quiet
        while trio.current_time() < until:
            await trio.sleep_until(until)  # each change puts it off
            until = min(self._last + self._quiet, latest)
        return self.take()

    def take(self) -> set[str] | None:
        """What has changed so far, without waiting; None for anything."""
        names, self._names = self._names, set()
        self._some = trio.Event()
        return None if None in names else {name for name in names if name is not None}
