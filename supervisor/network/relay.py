"""What comes to ::1 at a published port, passed on by hand.

The kernel sends nothing from or to ::1 by a link, whatever nftables says: IPv6 has no
route_localnet. So a workload sees the network's gateway as the other side, as it does with what
comes from 127.0.0.1.
"""

from __future__ import annotations

import errno
import socket
import struct

import trio

CONNECTIONS = 256
"""So many at a time; others wait (TCP), or are dropped (UDP)."""
CONNECT, IDLE = 10.0, 60.0
"""Seconds that a connection may take to come about; that nothing comes or goes by UDP."""
_PIECE = 1 << 16
Sender = tuple[str, int, int, int]


class Served:
    """A socket that takes what is sent to ::1; `target`: address and port of the workload."""

    def __init__(self, taken: socket.socket, target: tuple[str, int]) -> None:
        self.target = target
        self.begun = False
        self._socket = trio.socket.from_stdlib_socket(taken)
        self._limit = trio.CapacityLimiter(CONNECTIONS)

    def close(self) -> None:
        """The port is free at once; connections that there are go on."""
        self._socket.close()

    async def run(self) -> None:
        """Until it is closed."""
        try:
            async with trio.open_nursery() as nursery:
                if self._socket.type == socket.SOCK_STREAM:
                    await self._accept(nursery)
                else:
                    await self._receive(nursery)
        except* trio.ClosedResourceError:
            pass

    async def _accept(self, nursery: trio.Nursery) -> None:
        while True:
            async with self._limit:
                pass  # there is room for one more
            try:
                client, _ = await self._socket.accept()
            except trio.ClosedResourceError:
                return  # and not `nursery`, which those that there are live in
            except OSError as error:
                if error.errno not in (errno.EMFILE, errno.ENFILE, errno.ECONNABORTED):
                    raise
                await trio.sleep(1)
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

    async def _receive(self, nursery: trio.Nursery) -> None:
        others: dict[Sender, tuple[trio.socket.SocketType, trio.CancelScope]] = {}
        while True:
            try:
                data, sender = await self._socket.recvfrom(_PIECE)
            except trio.ClosedResourceError:
                nursery.cancel_scope.cancel()
                return
            except OSError:
                continue  # what an earlier datagram has met
            if sender not in others:
                if len(others) >= CONNECTIONS:
                    continue
                other = trio.socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
                await other.connect(self.target)
                others[sender] = other, trio.CancelScope()
                nursery.start_soon(self._answer, sender, others)
            other, scope = others[sender]
            scope.deadline = trio.current_time() + IDLE
            try:
                await other.send(data)
            except OSError:
                pass  # nobody listens

    async def _answer(
        self, sender: Sender, others: dict[Sender, tuple[trio.socket.SocketType, trio.CancelScope]]
    ) -> None:
        other, scope = others[sender]
        with other, scope:
            while True:
                try:
                    data = await other.recv(_PIECE)
                    scope.deadline = trio.current_time() + IDLE
                    await self._socket.sendto(data, sender)
                except trio.ClosedResourceError:
                    break
                except OSError:
                    continue  # nobody listens
        del others[sender]


async def _copy(source: trio.SocketStream, to: trio.SocketStream, scope: trio.CancelScope) -> None:
    """One way, until its end; a failure ends the other way, too."""
    try:
        while data := await source.receive_some(_PIECE):
            await to.send_all(data)
        await to.send_eof()
    except trio.BrokenResourceError:
        scope.cancel()
