"""The event stream: everything once, in order, replayed or live; what is gone is said to be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import trio

from supervisor.control.events import encoded
from supervisor.control.request import Access
from tests.unit.control.peers import Creched


@pytest.fixture
def creched(tmp_path: Path) -> Creched:
    """One with a small journal: about eight events a file, three files."""
    return Creched(tmp_path, size=2000, files=3)


def numbers(blocks: list[dict[str, str]]) -> list[int]:
    """Ids; those inside the events are the same."""
    found = [int(block["id"]) for block in blocks]
    assert found == [json.loads(block["data"])["seq"] for block in blocks]
    return found


async def test_replayed_then_live(creched: Creched) -> None:
    """From a number on, without a gap or a double where the past ends."""
    creched.happen(10)
    async with creched.connected() as client:
        await client.begin("/events?since=4")
        assert numbers(await client.blocks(6)) == [5, 6, 7, 8, 9, 10]
        for number in range(11, 40):
            creched.happen(1)
            assert numbers(await client.blocks(1)) == [number]


async def test_what_readers_see_at_the_same_time_is_encoded_once(creched: Creched) -> None:
    """Each gets all of it, in order."""
    async with creched.connected() as one, creched.connected() as other:
        for client in (one, other):
            await client.begin("/events")
        before = encoded.cache_info()
        for last in (20, 40, 60):
            creched.happen(20)
            for client in (one, other):
                assert numbers(await client.blocks(20)) == list(range(last - 19, last + 1))
        after = encoded.cache_info()
    assert after.hits - before.hits >= 3


async def test_the_last_few(creched: Creched) -> None:
    """`tail` counts back from the newest; `follow=false` ends there."""
    creched.happen(10)
    async with creched.connected() as client:
        await client.begin("/events?tail=3&follow=false")
        assert numbers(await client.blocks(3)) == [8, 9, 10]
        assert await client.body() == b""


async def test_a_browser_comes_back(creched: Creched) -> None:
    """Last-Event-ID comes before what the query says."""
    creched.happen(10)
    async with creched.connected(Access.PAGE) as client:
        await client.begin("/events?tail=30", Last_Event_ID="8")
        assert numbers(await client.blocks(2)) == [9, 10]


async def test_what_is_gone_is_marked(creched: Creched) -> None:
    """A slow reader whose events the journal has no more is told which, and goes on."""
    creched.happen(2)
    async with creched.connected() as client:
        await client.begin("/events?since=1")
        assert numbers(await client.blocks(1)) == [2]
        creched.happen(98)
        first = creched.journal.first
        assert first > 4
        mark, *rest = await client.blocks(1 + 101 - first)
        assert mark["event"] == "missed"
        assert json.loads(mark["data"]) == {"first": 3, "last": first - 1}
        assert mark["id"] == str(first - 1)
        assert numbers(rest) == list(range(first, 101))


async def test_from_the_beginning_nothing_is_missed(creched: Creched) -> None:
    """Who asks for all there is gets that, without a mark."""
    creched.happen(100)
    async with creched.connected() as client:
        await client.begin("/events?follow=false")
        first = creched.journal.first
        assert numbers(await client.blocks(101 - first)) == list(range(first, 101))


async def test_a_number_of_another_boot(creched: Creched) -> None:
    """One that was not given out yet is refused: whoever has it must know that it means another
    event, or he would take those of this boot for ones that he has seen."""
    creched.happen(3)
    for path, headers in (
        ("/events?since=4", {}),
        ("/events?since=4&follow=false", {}),
        ("/events?tail=1", {"Last_Event_ID": "4"}),
    ):
        status, found = await creched.ask(path, access=Access.PAGE, **headers)
        assert status == 409
        assert "no event 4 yet, the newest is 3" in found["error"]
    async with creched.connected() as client:
        await client.begin("/events?since=3")
        creched.happen(1)
        assert numbers(await client.blocks(1)) == [4]


async def test_of_one_workload(creched: Creched) -> None:
    """A name in some other field does not count."""
    creched.happen(2, "web")
    creched.log.emit("workload-warning", workload="db", message='"web"')
    creched.log.emit("workload-warning", workload="db", message="web")
    creched.happen(1, "web")
    async with creched.connected() as client:
        await client.begin("/events?workload=web&follow=false")
        assert numbers(await client.blocks(3)) == [1, 2, 5]


async def test_the_end(creched: Creched) -> None:
    """When creched ends, streams end after the last event."""
    async with creched.connected() as client:
        await client.begin("/events")
        creched.happen(1)
        creched.outside.closing.set()
        creched.happen(1)
        assert numbers(await client.blocks(2)) == [1, 2]
        assert await client.body() == b""


async def test_one_who_stands_still_holds_nobody_up(creched: Creched) -> None:
    """Events are never waited with; others read on."""
    async with creched.connected() as slow, creched.connected() as quick:
        await slow.begin("/events")
        await quick.begin("/events")
        for number in range(1, 200):
            creched.happen(1)
            assert numbers(await quick.blocks(1)) == [number]
        await trio.testing.wait_all_tasks_blocked()


async def test_the_page_does_not_show_output(creched: Creched) -> None:
    """What programs wrote may be secret, and anybody on the machine can ask on loopback."""
    fields = dict.fromkeys(("container", "old", "new", "status", "cause", "reason"))
    creched.log.emit(
        "exited", workload="web", **fields, attempt=1, code=1, signal=None, core=False,
        oom_kills=0, uptime=1.0, restarts=0, output=["password=hunter2"],
    )  # fmt: skip
    for access, shown in ((Access.ADMIN, True), (Access.READ, True), (Access.PAGE, False)):
        async with creched.connected(access) as client:
            await client.begin("/events?follow=false")
            (block,) = await client.blocks(1)
        assert ("hunter2" in block["data"]) is shown
