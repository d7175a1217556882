"""Events as server-sent events (HTML standard, section 9.2): replayed, then live.

A reader has a place in the journal and no queue, so there is neither a gap nor a double between
what was and what happens now, and one that is slow costs nothing. One that was overtaken by the
journal's end is told so by an event `missed`, and goes on behind the gap.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from functools import lru_cache

import trio

from supervisor.store.journal import Cursor, Journal

TYPE = "text/event-stream; charset=utf-8"
PAUSE = 0.02
"""Seconds. While events come faster than they can be sent one by one, all readers look at the same
moments, so far apart: they get many at once, encoded once, and creched has its hands free for what
the events are about."""


async def stream(
    journal: Journal,
    closing: trio.Event,
    since: int,
    follow: bool,
    workload: str | None = None,
    public: bool = False,
) -> AsyncGenerator[bytes, None]:
    """The events after number `since`, of one workload or of all; then, with `follow`, whatever
    comes, until `closing`. `public`: without what programs wrote, which may be secret."""
    cursor = Cursor(journal, since + 1)
    # So that a client sees that it is connected before anything happens.
    yield b": events\n\n"
    told = cursor.missed if since == 0 else 0
    live = False
    while True:
        first = cursor.number
        lines = cursor.read()
        if since == 0 and first <= 1:
            told = cursor.missed  # all there is: what went before was not asked for
        if cursor.missed > told:
            told = cursor.missed
            yield _missed(first, cursor.number - len(lines) - 1)
        if lines:
            number = cursor.number - len(lines)
            if data := encoded(number, tuple(lines), workload, public):
                yield data
            if live and cursor.number <= journal.last and not closing.is_set():
                await trio.sleep_until((trio.current_time() // PAUSE + 1) * PAUSE)
        elif not follow or closing.is_set():
            return
        else:
            live = True
            # Not `cursor.number - 1`: what a full disk has swallowed will not come any more.
            await _news(journal, journal.last, closing)


async def _news(journal: Journal, last: int, closing: trio.Event) -> None:
    async with trio.open_nursery() as either:

        async def closed() -> None:
            await closing.wait()
            either.cancel_scope.cancel()

        either.start_soon(closed)
        await journal.beyond(last)
        either.cancel_scope.cancel()


@lru_cache(maxsize=4)
def encoded(first: int, lines: tuple[bytes, ...], workload: str | None, public: bool) -> bytes:
    """Those of the lines, of which `first` is the first one's number, that a reader is to see."""
    return b"".join(
        _event(number, _without_output(line) if public else line)
        for number, line in enumerate(lines, first)
        if workload is None or _is_of(line, workload)
    )


def _event(number: int, line: bytes) -> bytes:
    return b"id: %d\ndata: %s\n\n" % (number, line.rstrip(b"\n"))


def _without_output(line: bytes) -> bytes:
    if b'"output"' not in line:
        return line
    return json.dumps({**json.loads(line), "output": None}).encode()


def _missed(first: int, last: int) -> bytes:
    data = json.dumps({"first": first, "last": last})
    return f"id: {last}\nevent: missed\ndata: {data}\n\n".encode()


def _is_of(line: bytes, workload: str) -> bool:
    # Nearly all lines are told apart without being decoded.
    if f'"{workload}"'.encode() not in line:
        return False
    return bool(json.loads(line).get("workload") == workload)
