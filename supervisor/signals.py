"""The signals that ask creched for something (supervisor/held.py), handled one after the other."""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Awaitable, Callable
from types import FrameType

import trio

from supervisor import held


class Signals:
    """Tells `handle` the number of each signal that comes; of equal ones that wait, once."""

    def __init__(self, handle: Callable[[int], Awaitable[None]]) -> None:
        self._handle = handle
        self._waiting: deque[int] = deque()
        self._news = trio.Event()
        self._busy = False
        self._idle = trio.Event()

    async def run(
        self, begin: trio.Event, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Until cancelled. They are caught from `started` on, and told from `begin` on.

        They stay caught for good: a second Ctrl-C that comes too late must not end us in the middle
        of clearing up. (Ignoring would throw away what waits by now.)
        """
        token = trio.lowlevel.current_trio_token()

        def caught(number: int, _frame: FrameType | None) -> None:
            if number not in self._waiting:
                self._waiting.append(number)
            try:
                token.run_sync_soon(self._wake)
            except trio.RunFinishedError:
                pass

        for each in held.SIGNALS:
            signal.signal(each, caught)
        # What came while creched started, or was executed anew, is delivered now.
        held.listen_again()
        task_status.started()
        await begin.wait()
        while True:
            while self._waiting:
                self._busy = True
                await self._handle(self._waiting.popleft())
            self._busy = False
            self._idle.set()
            self._idle, self._news = trio.Event(), trio.Event()
            await self._news.wait()

    async def hold_back(self) -> None:
        """Let the kernel keep what comes from now on, and wait until all is handled that came.

        Then nothing is lost by execve(2), as long as all stay `idle`: another thread, which holds
        nothing back, may take one yet. `held.listen_again` ends it.
        """
        held.hold_back()
        while not self.idle:
            await self._idle.wait()

    @property
    def idle(self) -> bool:
        """Whether all is handled that came."""
        return not (self._waiting or self._busy)

    def _wake(self) -> None:
        self._news.set()
