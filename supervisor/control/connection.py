"""HTTP/1.1 on one connection: h11 keeps the protocol, this keeps the limits.

Every wait for the other side has an end. Whoever sends slowly, sends too much, or does not read
is cut off; nobody else waits for them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import unquote

import h11
import trio

from supervisor.control.request import Access, Later, Peer, Refused, Request, Response, Stream

Application = Callable[[Request], Awaitable[Response | Later | Stream]]

LONGEST_BODY = 64 * 1024
LONGEST_HEAD = 16 * 1024
_PIECE = 16 * 1024
_LINGER = 1 << 20


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds: for the next request to begin, for a whole request, for the client to read
    on, and for one that was refused to notice."""

    idle: float = 60.0
    request: float = 10.0
    write: float = 30.0
    linger: float = 1.0


class Connection:
    """Serves the requests of one connection, one after the other."""

    def __init__(
        self,
        stream: trio.abc.HalfCloseableStream,
        application: Application,
        access: Access,
        peer: Peer | None,
        patience: Patience,
    ) -> None:
        self._stream = stream
        self._application = application
        self._access = access
        self._peer = peer
        self._patience = patience
        self._bodiless = False
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=LONGEST_HEAD)

    async def run(self) -> None:
        """Until one side closes. Closes the stream; raises nothing but cancellation."""
        try:
            while await self._one():
                self._http.start_next_cycle()
        except* (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the client has gone
        finally:
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(self._stream)

    async def _one(self) -> bool:
        """One request; whether there may be another one."""
        try:
            request = await self._receive()
            if request is None:
                return False
            self._bodiless = request.method == "HEAD"
            response = await self._application(request)
        except h11.RemoteProtocolError as error:
            response = Refused(error.error_status_hint, f"not understood: {error}").response()
        except Refused as error:
            response = error.response()
        if isinstance(response, Response):
            await self._send_whole(response)
            if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
                return True
            await self._linger()
        else:
            await self._attended(response)
        return False

    async def _attended(self, response: Stream | Later) -> None:
        """An answer that takes long, for as long as the client is there."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._until_gone, nursery.cancel_scope)
            if isinstance(response, Later):
                await self._send_whole(await response.response(), last=True)
            else:
                await self._send_stream(response)
            nursery.cancel_scope.cancel()

    async def _until_gone(self, scope: trio.CancelScope) -> None:
        """Nobody sends anything more after asking for such an answer: what comes is the end."""
        try:
            while await self._stream.receive_some(_PIECE):
                pass
        except trio.BrokenResourceError:
            pass
        scope.cancel()

    async def _linger(self) -> None:
        """Closed at once, a socket with unread data would take the answer from who still sends."""
        left = _LINGER
        with trio.move_on_after(self._patience.linger):
            await self._stream.send_eof()
            while left > 0 and (data := await self._stream.receive_some(_PIECE)):
                left -= len(data)

    # --- receiving -------------------------------------------------------------------------

    async def _receive(self) -> Request | None:
        with trio.move_on_after(self._patience.idle) as idle:
            head = await self._event()
        if idle.cancelled_caught or isinstance(head, h11.ConnectionClosed):
            return None
        if not isinstance(head, h11.Request):
            raise RuntimeError(f"h11 gave {head!r} for a request")
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in head.headers}
        length = headers.get("content-length", "0")
        if len(length) > 18 or int(length) > LONGEST_BODY:
            raise _too_long()
        body = b""
        with trio.move_on_after(self._patience.request) as slow:
            while not isinstance(event := await self._event(), h11.EndOfMessage):
                if not isinstance(event, h11.Data):
                    return None
                body += bytes(event.data)
                if len(body) > LONGEST_BODY:
                    raise _too_long()
        if slow.cancelled_caught:
            raise Refused(408, "the request took too long")
        target, _question, query = head.target.decode("latin-1").partition("?")
        return Request(
            head.method.decode("ascii"),
            unquote(target, errors="replace"),
            query,
            headers,
            body,
            self._access,
            self._peer,
        )

    async def _event(self) -> object:
        """The client's next event. A head that has begun has the time of a request, no pause's."""
        started = False
        with trio.CancelScope() as scope:
            while True:
                event = self._http.next_event()
                if event is not h11.NEED_DATA:
                    return event
                if self._http.they_are_waiting_for_100_continue:
                    await self._write(h11.InformationalResponse(status_code=100, headers=[]))
                if self._http.trailing_data[0] and not started:
                    started = True
                    scope.deadline = trio.current_time() + self._patience.request
                self._http.receive_data(bytes(await self._stream.receive_some(_PIECE)))
        raise Refused(408, "the request took too long")

    # --- sending ---------------------------------------------------------------------------

    async def _send_whole(self, response: Response, last: bool = False) -> None:
        if self._http.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            return
        length = len(response.body)
        body = b"" if self._bodiless else response.body
        await self._write(
            self._head(response.status, response.type, response.headers, length, last),
            h11.Data(data=body),
            h11.EndOfMessage(),
        )

    async def _send_stream(self, response: Stream) -> None:
        async with aclosing(response.chunks) as chunks:
            await self._write(self._head(200, response.type, (), None, last=True))
            if not self._bodiless:
                async for chunk in chunks:
                    await self._write(h11.Data(data=chunk))
            await self._write(h11.EndOfMessage())

    def _head(
        self,
        status: int,
        kind: str,
        headers: tuple[tuple[str, str], ...],
        length: int | None,
        last: bool,
    ) -> h11.Response:
        fields = [
            ("Content-Type", kind),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
            *headers,
        ]
        if length is not None:
            fields.append(("Content-Length", str(length)))
        if last or self._http.their_state is not h11.DONE:
            fields.append(("Connection", "close"))
        return h11.Response(
            status_code=status, headers=fields, reason=HTTPStatus(status).phrase.encode()
        )

    async def _write(self, *events: h11.Event) -> None:
        data = b"".join(self._http.send(event) or b"" for event in events)
        with trio.move_on_after(self._patience.write) as scope:
            await self._stream.send_all(data)
        if scope.cancelled_caught:
            raise trio.BrokenResourceError("the client does not read")


def _too_long() -> Refused:
    return Refused(413, f"a body may have at most {LONGEST_BODY} bytes")
