"""The listeners: Unix sockets for commands and for reading, loopback TCP for the status page."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import traceback
from collections.abc import Callable
from dataclasses import dataclass

import trio

from runtime.errors import CrecheError
from supervisor.control import sockets
from supervisor.control.connection import Connection, Patience
from supervisor.control.page import check_host
from supervisor.control.request import Access, Later, Peer, Refused, Request, Response, Stream
from supervisor.control.routes import ROUTES
from supervisor.control.table import find
from supervisor.control.types import Supervised
from supervisor.control.who import peer_of

MOST_CONNECTIONS = 64
"""On each listener: those who fill one of them do not keep the others out."""
_TRY_AGAIN = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_PAUSE = 0.1
_GRACE = 1.0
"""Seconds in which streams may end by themselves when creched does."""

Fault = Callable[[str, str, str], object]
"""Told of a mistake in here: kind of the error, its text, the traceback."""


@dataclass(frozen=True, slots=True)
class Listener:
    """A listening socket and what it is for. `path`: to be removed at the end, if it is ours."""

    socket: socket.socket
    access: Access
    path: str | None = None

    def discard(self) -> None:
        """Before it was served from."""
        self.socket.close()
        if self.path is not None:
            os.unlink(self.path)


def unix_listener(path: str, access: Access, group: int | None = None) -> Listener:
    """An admin socket for root alone, or a read-only one for a group. Raises CrecheError."""
    return Listener(sockets.listen(path, mode_of(access), group), access, path)


def mode_of(access: Access) -> int:
    """Of the socket's file."""
    return 0o600 if access is Access.ADMIN else 0o660


def page_listener(address: str) -> Listener:
    """Loopback TCP, `127.0.0.1:PORT` or `[::1]:PORT`. Raises CrecheError for any other address."""
    host, _colon, port = address.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    try:
        ip = ipaddress.ip_address(host[1:-1] if bracketed else host)
        if not ip.is_loopback or (ip.version == 6) != bracketed:
            raise ValueError
        number = int(port)
        if not port.isdecimal() or not 0 <= number < 65536:
            raise ValueError
    except ValueError:
        raise CrecheError(
            f'http.listen: expected "127.0.0.1:PORT" or "[::1]:PORT", found "{address}" '
            "(the page is for this machine alone; use ssh -L to see it from another)"
        ) from None
    family = socket.AF_INET if ip.version == 4 else socket.AF_INET6
    listener = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((str(ip), number))
        listener.listen(sockets.BACKLOG)
    except OSError as error:
        listener.close()
        raise CrecheError(f"http.listen {address}: {error.strerror or error}") from None
    listener.setblocking(False)
    return Listener(listener, Access.PAGE)


class Server:
    """Answers on some listeners for one creched."""

    def __init__(self, creched: Supervised, fault: Fault, patience: Patience | None = None) -> None:
        self._creched = creched
        self._fault = fault
        self._patience = patience or Patience()
        self.leaving = False
        """The sockets stay where they are: another creched listens on."""

    async def run(
        self,
        listeners: list[Listener],
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
        begin: trio.Event | None = None,
    ) -> None:
        """Until `closing` of creched is set (streams then have a second to end), or cancelled.
        Who connects before `begin` waits. Closes the listeners and takes their sockets away, unless
        `leaving`; raises nothing."""
        made = {
            listener.path: sockets.identity(listener.path)
            for listener in listeners
            if listener.path is not None
        }
        try:
            task_status.started()
            if begin is not None:
                await begin.wait()
            async with trio.open_nursery() as connections, trio.open_nursery() as accepting:
                for listener in listeners:
                    accepting.start_soon(self._accept, listener, connections)
                await self._creched.closing.wait()
                accepting.cancel_scope.cancel()
                connections.cancel_scope.deadline = trio.current_time() + _GRACE
        finally:
            for listener in listeners:
                listener.socket.close()
            if not self.leaving:
                for path, identity in made.items():
                    sockets.remove(path, identity)

    async def _accept(self, listener: Listener, connections: trio.Nursery) -> None:
        accepting = trio.SocketListener(trio.socket.from_stdlib_socket(listener.socket))
        room = trio.CapacityLimiter(MOST_CONNECTIONS)
        while True:
            try:
                stream = await accepting.accept()
            except OSError as error:
                if error.errno not in _TRY_AGAIN:
                    continue  # that connection was gone before it was ours
                await trio.sleep(_PAUSE)
                continue
            token = object()
            try:
                room.acquire_on_behalf_of_nowait(token)
            except trio.WouldBlock:
                _turn_away(stream)
                continue
            connections.start_soon(self._serve, stream, listener, room, token)

    async def _serve(
        self,
        stream: trio.SocketStream,
        listener: Listener,
        room: trio.CapacityLimiter,
        token: object,
    ) -> None:
        try:
            peer: Peer | None = None
            if listener.access is not Access.PAGE:
                peer = peer_of(stream.socket)
            await Connection(stream, self.answer, listener.access, peer, self._patience).run()
        except Exception as error:  # noqa: BLE001  a mistake here must not end the supervisor
            self._report(error)
        finally:
            room.release_on_behalf_of(token)

    async def answer(self, request: Request) -> Response | Later | Stream:
        """The application: never raises anything but Refused and cancellation."""
        if request.access is Access.PAGE:
            check_host(request)
        call = find(ROUTES, request)
        try:
            return await call.route.handler(self._creched, call)
        except Refused:
            raise
        except Exception as error:  # noqa: BLE001  a mistake here must not end the supervisor
            self._report(error)
            raise Refused(500, "a mistake in creched; its events tell more") from None

    def _report(self, error: Exception) -> None:
        trace = "".join(traceback.format_exception(error))
        self._fault(type(error).__name__, str(error), trace)


_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nConnection: close\r\n"
    b'Content-Length: 43\r\n\r\n{"error":"too many connections, try again"}'
)


def _turn_away(stream: trio.SocketStream) -> None:
    """Say so if that needs no waiting (there is room in a new socket's buffer), and hang up."""
    with stream.socket as connection:
        try:
            os.write(connection.fileno(), _FULL)
        except OSError:
            pass
