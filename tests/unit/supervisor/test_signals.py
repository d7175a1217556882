"""Signals: one after the other; and what is known of those that another thread has taken."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest
import trio

from supervisor import held
from supervisor.signals import Signals


@pytest.fixture
def thread() -> Iterator[None]:
    """One that holds no signal back, as those that trio keeps for a while."""
    before = [signal.getsignal(number) for number in held.SIGNALS]
    end = threading.Event()
    made = threading.Thread(target=end.wait)
    made.start()
    yield
    end.set()
    made.join()
    held.listen_again()
    for number, handler in zip(held.SIGNALS, before, strict=True):
        signal.signal(number, handler)


def test_taken_by_another_thread_while_they_are_held_back(thread: None) -> None:
    """Then there is something to wait for, until it has been handled."""

    async def main() -> None:
        came: list[int] = []
        handling, go_on = trio.Event(), trio.Event()

        async def handle(number: int) -> None:
            came.append(number)
            handling.set()
            await go_on.wait()

        signals = Signals(handle)
        begun = trio.Event()
        begun.set()
        async with trio.open_nursery() as tasks:
            await tasks.start(signals.run, begun)
            await signals.hold_back()
            seen = [signals.idle]
            os.kill(os.getpid(), signal.SIGUSR2)
            await handling.wait()
            seen.append(signals.idle)
            go_on.set()
            await signals.hold_back()
            assert [*seen, signals.idle] == [True, False, True]
            assert came == [signal.SIGUSR2]
            tasks.cancel_scope.cancel()

    trio.run(main)
