"""When what has changed is looked at: under virtual time."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from supervisor.directories.settling import Settling


async def test_what_follows_closely_is_one_change(autojump_clock: MockClock) -> None:
    """Half a second after the last one."""
    settling = Settling(quiet=0.5, longest=5)

    async def save() -> None:
        for name in ("a", "b", "a"):
            settling.note(name)
            await trio.sleep(0.4)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(save)
        assert await settling.settled() == {"a", "b"}
        assert trio.current_time() == 0.8 + 0.5


async def test_it_is_not_put_off_for_ever(autojump_clock: MockClock) -> None:
    """Whoever writes without a pause is looked at all the same."""
    settling = Settling(quiet=0.5, longest=5)

    async def write() -> None:
        while True:
            settling.note("a")
            await trio.sleep(0.1)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(write)
        assert await settling.settled() == {"a"}
        assert trio.current_time() == 5
        assert await settling.settled() == {"a"}
        assert 10 <= trio.current_time() <= 10.2
        nursery.cancel_scope.cancel()


async def test_anything_means_everything(autojump_clock: MockClock) -> None:
    """None is stronger than names."""
    settling = Settling()
    settling.note("a")
    settling.note(None)

    assert await settling.settled() is None
    assert settling.take() == set()


async def test_a_change_while_nobody_waits_is_kept(autojump_clock: MockClock) -> None:
    """And is due at once if it has come to rest by then."""
    settling = Settling(quiet=0.5)
    settling.note("a")
    await trio.sleep(3)

    assert await settling.settled() == {"a"}
    assert trio.current_time() == 3
