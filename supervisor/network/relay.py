"""What comes to ::1 at a published port, passed on by hand.

The kernel sends nothing from or to ::1 by a link, whatever nftables says: IPv6 has no
route_localnet. So a workload sees the network's gateway as the other side, as it does with what
comes from 127.0.0.1.
"""

from __future__ import annotations

import socket
import struct

import trio

CONNECTIONS = 256
"""So many at a time; others wait (TCP), or are dropped (UDP)."""
CONNECT, IDLE = 10.0, 60.0
"""Seconds that a connection may take to come about; that nothing comes or goes by UDP."""
PAUSE = 1.0
"""Seconds after a failure that is none of a caller's."""
_PIECE = 1 << 16
Sender = tuple[str, int, int, int]
Others = dict[Sender, tuple[trio.socket.SocketType, trio.CancelScope]]


class Served:
    """A socket that takes what is sent to ::1; `target`: address and port of the workload."""

    def __init__(self, taken: socket.socket, target: tuple[str, int]) -> None:
        self.target = target
        self.begun = False
        self._closed = False
        self._taken: socket.socket | trio.socket.SocketType = taken
        self._limit = trio.CapacityLimiter(CONNECTIONS)

    def close(self) -> None:
        """The port is free at once; connections that there are go on. Without trio only before it
        is served."""
        self._closed = True
        self._taken.close()

    async def run(self) -> None:
        """Until it is closed."""
        if self._closed or not isinstance(self._taken, socket.socket):
            return
        self._taken = taken = trio.socket.from_stdlib_socket(self._taken)
        async with trio.open_nursery() as nursery:
            if taken.type == socket.SOCK_STREAM:
                await self._accept(taken, nursery)
            else:
                await self._receive(taken, nursery)

    async def _accept(self, taken: trio.socket.SocketType, nursery: trio.Nursery) -> None:
        while True:
            async with self._limit:
                pass  # there is room for one more
            try:
                client, _ = await taken.accept()
            except (OSError, trio.ClosedResourceError):
                if self._closed:
                    return  # but those that are served go on
                await trio.sleep(PAUSE)  # there are too many descriptors, say
                continue
            nursery.start_soon(self._pass_on, trio.SocketStream(client))

    async def _pass_on(self, client: trio.SocketStream) -> None:
        async with self._limit, client:
            try:
                with trio.fail_after(CONNECT):
                    server = await trio.open_tcp_stream(*self.target)
            except (OSError, trio.TooSlowError):
                # As if it had been refused: a reset and not an end.
                linger = struct.pack("ii", 1, 0)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                return
            async with server, trio.open_nursery() as nursery:
                nursery.start_soon(_copy, client, server, nursery.cancel_scope)
                nursery.start_soon(_copy, server, client, nursery.cancel_scope)

    async def _receive(self, taken: trio.socket.SocketType, nursery: trio.Nursery) -> None:
        others: Others = {}
        while True:
            try:
                data, sender = await taken.recvfrom(_PIECE)
            except (OSError, trio.ClosedResourceError):
                if self._closed:
                    nursery.cancel_scope.cancel()
                    return
                await trio.sleep(PAUSE)
                continue
            if sender not in others:
                if len(others) >= CONNECTIONS:
                    continue
                other = await self._other()
                if other is None:
                    continue
                others[sender] = other, trio.CancelScope()
                nursery.start_soon(self._answer, taken, sender, others)
            other, scope = others[sender]
            scope.deadline = trio.current_time() + IDLE
            try:
                await other.send(data)
            except (OSError, trio.ClosedResourceError):
                pass  # nobody listens

    async def _other(self) -> trio.socket.SocketType | None:
        """A socket to the workload for one sender; None if there is none to be had."""
        other = None
        try:
            other = trio.socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
            await other.connect(self.target)
        except OSError:
            if other is not None:
                other.close()
            return None
        return other

    async def _answer(self, taken: trio.socket.SocketType, sender: Sender, others: Others) -> None:
        other, scope = others[sender]
        with other, scope:
            while True:
                try:
                    data = await other.recv(_PIECE)
                    scope.deadline = trio.current_time() + IDLE
                    await taken.sendto(data, sender)
                except (OSError, trio.ClosedResourceError):
                    if self._closed:
                        break
                    await trio.lowlevel.checkpoint()  # nobody listens
        del others[sender]


async def _copy(source: trio.SocketStream, to: trio.SocketStream, scope: trio.CancelScope) -> None:
    """One way, until its end; a failure ends the other way, too."""
    try:
        while data := await source.receive_some(_PIECE):
            await to.send_all(data)
        await to.send_eof()
    except trio.BrokenResourceError:
        scope.cancel()
