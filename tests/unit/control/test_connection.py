"""Whoever is slow, rude or gone costs nobody else anything."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trio.testing import memory_stream_pair

from supervisor.control.connection import LONGEST_BODY, LONGEST_HEAD, Connection, Patience
from supervisor.control.request import Access
from tests.unit.control.peers import ROOT, Creched


@pytest.fixture
def creched(tmp_path: Path) -> Creched:
    """One, with the workloads web and db."""
    return Creched(tmp_path)


async def talk(creched: Creched, *pieces: bytes, end: bool = False) -> bytes:
    """All that is answered to these bytes, up to the end of the connection."""
    ours, theirs = memory_stream_pair()
    answered = b""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(
            Connection(theirs, creched.server.answer, Access.ADMIN, ROOT, Patience()).run
        )
        for piece in pieces:
            await ours.send_all(piece)
        if end:
            await ours.send_eof()
        while data := await ours.receive_some():
            answered += data
        await ours.aclose()
    return answered


async def test_one_connection_serves_many_requests(creched: Creched) -> None:
    """Keep-alive, also after an error that the client could not help."""
    async with creched.connected() as client:
        for path, status in [("/about", 200), ("/nothing", 404), ("/workloads", 200)] * 3:
            assert (await client.ask(path))[0] == status


async def test_pipelined(creched: Creched) -> None:
    """Answered in order."""
    request = b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n"
    answered = await talk(creched, request % b"about" + request % b"nothing", end=True)

    assert answered.index(b"HTTP/1.1 200") < answered.index(b"HTTP/1.1 404")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\n\r\n", b"400"),  # no Host
        (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", b"400"),  # TLS
        (b"GET /" + b"a" * 3 * LONGEST_HEAD + b" HTTP/1.1\r\nHost: x\r\n\r\n", b"431"),
        (b"POST /reload HTTP/1.1\r\nHost: x\r\nContent-Length: 1073741824\r\n\r\n", b"413"),
        (b"POST /reload HTTP/1.1\r\nHost: x\r\nContent-Length: " + b"9" * 40 + b"\r\n\r\n", b"4"),
        (b"POST /reload HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", b"400"),
        (b"OPTIONS /about HTTP/1.1\r\nHost: x\r\n\r\n", b"405"),
        (b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n", b"404"),
        (b"GET /about HTTP/1.0\r\n\r\n", b"200"),
        (b"GET /about HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n", b"200"),
    ],
)
async def test_rude_requests(creched: Creched, sent: bytes, status: bytes) -> None:
    """Each gets its answer, and none is a mistake of ours."""
    answered = await talk(creched, sent, end=True)

    assert answered.startswith(b"HTTP/1.1 " + status), answered[:200]
    assert creched.named("control-fault") == []


async def test_a_body_without_end(creched: Creched, autojump_clock: object) -> None:
    """Chunked, so that its length is not known before: refused once it is too long."""
    chunk = b"4000\r\n" + b"x" * 0x4000 + b"\r\n"
    head = b"POST /reload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    answered = await talk(creched, head, *[chunk] * (LONGEST_BODY // 0x4000 + 1))

    assert answered.startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize(
    ("sent", "answered"),
    [
        (b"", b""),
        (b"GET /about HT", b"HTTP/1.1 408"),
        (b"POST /reload HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab", b"HTTP/1.1 408"),
    ],
)
async def test_half_requests(
    creched: Creched, autojump_clock: trio.testing.MockClock, sent: bytes, answered: bytes
) -> None:
    """A connection that says nothing, or nothing more, is closed after a while."""
    found = await talk(creched, sent)

    assert found.startswith(answered)
    assert bool(found) == bool(answered)
    assert trio.current_time() <= 62


async def test_byte_by_byte_is_no_way_around(
    creched: Creched, autojump_clock: trio.testing.MockClock
) -> None:
    """The time is that of the whole request, not of each piece."""
    ours, theirs = memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(
            Connection(theirs, creched.server.answer, Access.ADMIN, ROOT, Patience()).run
        )
        begun = trio.current_time()
        with pytest.raises(trio.BrokenResourceError):
            for _ in range(1000):
                await ours.send_all(b"X")
                await trio.sleep(3)
        assert trio.current_time() - begun < 30


async def test_who_does_not_read_is_let_go(
    creched: Creched, autojump_clock: trio.testing.MockClock
) -> None:
    """A reader of events that stands still does not keep its connection for ever."""
    ours, theirs = trio.testing.lockstep_stream_pair()
    creched.happen(5)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(
            Connection(theirs, creched.server.answer, Access.ADMIN, ROOT, Patience()).run
        )
        await ours.send_all(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
    assert 29 < trio.current_time() < 32


PIECES = (
    b"GET ", b"POST ", b"/", b"/workloads/web", b"/events?follow=false", b" HTTP/1.1", b"\r\n",
    b"Host: x\r\n", b"Content-Length: 3\r\n", b"\r\n\r\n", b"%00", b"?", b"/metrics",
    b"Transfer-Encoding: chunked\r\n", b"5\r\n", b"0\r\n\r\n",
)  # fmt: skip


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=60),
            st.sampled_from(PIECES),
        ),
        max_size=12,
    )
)
def test_any_bytes(creched: Creched, pieces: list[bytes]) -> None:
    """Whatever comes: an answer or none, never a mistake of ours, never a task left behind."""
    answered = trio.run(lambda: talk(creched, b"".join(pieces) or b"x", end=True))

    assert b"HTTP/1.1 500" not in answered
    assert b"Traceback" not in answered
    assert creched.named("control-fault") == []


WORDS = st.sampled_from(["workloads", "web", "db", "events", "wait", "kill", "stop", "about"])


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.sampled_from(["GET", "POST", "PUT", "OPTIONS"]),
    st.lists(st.one_of(WORDS, st.text(max_size=8)), max_size=4),
    st.dictionaries(
        st.sampled_from(["since", "tail", "follow", "workload", "for", "timeout", "signal", "x"]),
        st.one_of(st.sampled_from(["0", "1", "true", "false", "ready"]), st.text(max_size=8)),
        max_size=3,
    ),
)
def test_any_request(creched: Creched, method: str, path: list[str], query: dict[str, str]) -> None:
    """Well-formed requests of any content are done or refused."""
    from urllib.parse import quote, urlencode

    target = "/" + "/".join(quote(part, safe="") for part in path)
    if query:
        target += "?" + urlencode({"follow": "false", "timeout": "0", **query})
    creched.keepers.moved = trio.Event()
    request = f"{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()

    async def ask() -> bytes:
        with trio.fail_after(20):
            return await talk(creched, request, end=True)

    answered = trio.run(ask)
    assert not answered or answered[9:12] < b"500" or answered[9:12] == b"504"
    assert creched.named("control-fault") == []
