"""Whatever creched has under way with a container passes here, so that it can be waited out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio


class Gate:
    """Open at first. While it is shut, nobody enters; those inside go on."""

    def __init__(self) -> None:
        self._open = trio.Event()
        self._open.set()
        self._inside = 0
        self._empty = trio.Event()

    @asynccontextmanager
    async def inside(self) -> AsyncIterator[None]:
        """Wait until it is open, and be inside."""
        await self._open.wait()
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1
            if not self._inside:
                self._empty.set()

    async def shut(self) -> None:
        """Let nobody in, and wait until nobody is inside. Cancelled: it stays shut."""
        self._open = trio.Event()
        while self._inside:
            self._empty = trio.Event()
            await self._empty.wait()

    def open(self) -> None:
        """Go on."""
        self._open.set()
