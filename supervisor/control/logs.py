"""What a workload writes, as server-sent events."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator

import trio

from runtime.errors import CrecheError


async def log_stream(
    records: AsyncIterator[str], closing: trio.Event
) -> AsyncGenerator[bytes, None]:
    """Each record as an event `{"line": ...}`, until there are no more, or `closing`."""
    yield b": logs\n\n"
    try:
        while True:
            record = await _next(records, closing)
            if record is None:
                return
            yield b"data: " + json.dumps({"line": record}).encode() + b"\n\n"
    except CrecheError as error:
        yield b"event: failed\ndata: " + json.dumps({"error": str(error)}).encode() + b"\n\n"
    finally:
        close = getattr(records, "aclose", None)
        if close is not None:
            with trio.CancelScope(shield=True):
                await close()


async def _next(records: AsyncIterator[str], closing: trio.Event) -> str | None:
    found: str | None = None
    failed: CrecheError | None = None
    async with trio.open_nursery() as either:

        async def closed() -> None:
            await closing.wait()
            either.cancel_scope.cancel()

        either.start_soon(closed)
        try:
            found = await anext(records, None)
        except CrecheError as error:
            failed = error
        either.cancel_scope.cancel()
    if failed is not None:
        raise failed
    return found
