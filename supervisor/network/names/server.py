"""The responder on one network's gateways: UDP and TCP, port 53, on its bridge alone.

Workloads are not trusted to be modest. How much one may ask in a time, how many questions of it are
under way and how many connections it has are bounded, each for itself; more is not answered.
"""

from __future__ import annotations

import errno
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from ipaddress import ip_address

import trio

from supervisor.network.errors import NetworkError
from supervisor.network.model import Address, Network
from supervisor.network.names import wire
from supervisor.network.names.book import Book
from supervisor.network.names.upstream import Upstream, receive, send
from supervisor.network.names.wire import Answer, Code, NoQueryError, Query
from supervisor.output.limit import Bucket

PORT = 53
RATE, BURST = 500.0, 2.0
"""Questions a second of one workload, and how many seconds' worth may come at once."""
MOST_UNDER_WAY = 32
"""Questions of one workload that are with the host's resolvers."""
MOST_CONNECTIONS = 8
"""Of one workload."""
MOST_IN_ALL = 256
"""Of each of these: they take descriptors, which creched has other use for."""
PATIENCE = 5.0
"""Seconds that a connection may be silent, or not read on."""
_TRY_AGAIN = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_NOT_YET = {errno.EADDRNOTAVAIL, errno.ENODEV}
_PAUSE = 0.1
_BACKLOG = 16
_Name = tuple[object, ...]


class NotYetError(NetworkError):
    """The bridge is not there, or has other addresses: it is about to be made so."""


class Responder:
    """What all networks of one creched share. `book` is another one after each change."""

    def __init__(self, upstream: Upstream | None = None) -> None:
        self.book = Book()
        self._upstream = upstream or Upstream()
        self._buckets: dict[str, Bucket] = {}
        self._under_way: Counter[str] = Counter()
        self._connections: Counter[str] = Counter()

    def turn(self, book: Book) -> None:
        """To what holds from now on."""
        self.book = book
        here = set(book.askers)
        self._buckets = {name: each for name, each in self._buckets.items() if name in here}

    def read(self, network: str, source: Address, data: bytes) -> tuple[str, Query] | None:
        """A question and whose it is; None if nobody is answered."""
        asker = self.book.asker(network, source)
        if asker is None:
            return None
        now = trio.current_time()
        if not self._buckets.setdefault(asker, Bucket(RATE, now, BURST)).take(1, now):
            return None
        try:
            return asker, wire.read(data)
        except NoQueryError:
            return None

    def known(self, asker: str, query: Query) -> Answer | None:
        """What can be said at once; None: somebody else is to be asked."""
        if query.code is not Code.NOERROR:
            return Answer(query.code)
        if query.group != wire.IN:
            return Answer(Code.REFUSED)
        found = self.book.answer(asker, query.name, query.kind)
        if found is None and not self.book.passes_on(asker):
            return Answer(Code.REFUSED)
        return found

    async def pass_on(self, asker: str, query: Query, data: bytes, tcp: bool) -> bytes:
        """What others answer, or that there is no answer."""
        with _counted(self._under_way, asker, MOST_UNDER_WAY) as free:
            found = await self._upstream.ask(query, data, tcp) if free else None
        return self.written(asker, query, Answer(Code.SERVFAIL), tcp) if found is None else found

    def written(self, asker: str, query: Query, answer: Answer, tcp: bool) -> bytes:
        """The message."""
        limit = (1 << 16) - 1 if tcp else query.size
        return wire.write(query, answer, limit, self.book.passes_on(asker))

    def connection(self, network: str, source: Address) -> AbstractContextManager[bool]:
        """Room for one more of a workload."""
        return _counted(self._connections, self.book.asker(network, source), MOST_CONNECTIONS)


@contextmanager
def _counted(counter: Counter[str], who: str | None, most: int) -> Iterator[bool]:
    """Whether there is room for one more of them; it is taken meanwhile."""
    if who is None or counter[who] >= most or counter.total() >= MOST_IN_ALL:
        yield False
        return
    counter[who] += 1
    try:
        yield True
    finally:
        counter[who] -= 1
        if not counter[who]:
            del counter[who]


class Served:
    """One network's sockets. `link`: index of the bridge that they are bound to."""

    def __init__(self, network: Network, link: int, responder: Responder, port: int = PORT) -> None:
        """Raises NotYetError, NetworkError."""
        self.network = network
        self.link = link
        self._responder = responder
        self._scope = trio.CancelScope()
        self._sockets: list[socket.socket] = []
        for gateway in network.gateways:
            for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                try:
                    self._sockets.append(_bound(str(gateway.ip), kind, network.bridge, port))
                except OSError as error:
                    self.close()
                    kind_of = NotYetError if error.errno in _NOT_YET else NetworkError
                    raise kind_of(_refused(network, str(gateway.ip), kind, error)) from None

    def close(self) -> None:
        """Nobody is answered any more."""
        self._scope.cancel()
        for each in self._sockets:
            trio.lowlevel.notify_closing(each)
            each.close()
        self._sockets.clear()

    async def run(self) -> None:
        """Until it is closed, or cancelled."""
        with self._scope:
            async with trio.open_nursery() as nursery:
                for each in self._sockets:
                    here = trio.socket.from_stdlib_socket(each)
                    serve = self._datagrams if each.type == socket.SOCK_DGRAM else self._accept
                    nursery.start_soon(serve, here, nursery)

    async def _datagrams(self, here: trio.socket.SocketType, nursery: trio.Nursery) -> None:
        """Each is a question."""
        responder = self._responder
        while True:
            try:
                data, name = await here.recvfrom(wire.MOST_QUERY + 1)
            except OSError:
                await trio.sleep(_PAUSE)  # an error of something that was sent before
                continue
            found = responder.read(self.network.name, _source(name), data)
            if found is None:
                continue
            asker, query = found
            answer = responder.known(asker, query)
            if answer is None:
                nursery.start_soon(self._later, here, name, asker, query, data)
            else:
                await _say(here, name, responder.written(asker, query, answer, tcp=False))

    async def _later(
        self, here: trio.socket.SocketType, name: _Name, asker: str, query: Query, data: bytes
    ) -> None:
        await _say(here, name, await self._responder.pass_on(asker, query, data, tcp=False))

    async def _accept(self, here: trio.socket.SocketType, nursery: trio.Nursery) -> None:
        while True:
            try:
                connection, name = await here.accept()
            except OSError as error:
                if error.errno in _TRY_AGAIN:
                    await trio.sleep(_PAUSE)
                continue
            nursery.start_soon(self._connection, connection, _source(name))

    async def _connection(self, connection: trio.socket.SocketType, source: Address) -> None:
        """One question after the other."""
        responder, network = self._responder, self.network.name
        with connection, responder.connection(network, source) as free:
            if not free:
                return
            stream = trio.SocketStream(connection)
            try:
                while True:
                    with trio.fail_after(PATIENCE):
                        data = await receive(stream, wire.MOST_QUERY)
                    found = None if data is None else responder.read(network, source, data)
                    if data is None or found is None:
                        return
                    asker, query = found
                    answer = responder.known(asker, query)
                    said = (
                        await responder.pass_on(asker, query, data, tcp=True)
                        if answer is None
                        else responder.written(asker, query, answer, tcp=True)
                    )
                    with trio.fail_after(PATIENCE):
                        await send(stream, said)
            except (trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError):
                return


def _bound(address: str, kind: socket.SocketKind, bridge: str, port: int) -> socket.socket:
    made = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
    try:
        made.setblocking(False)
        # Who is on another network, and routes to this one's gateway, is not heard.
        made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, bridge.encode() + b"\0")
        if kind == socket.SOCK_STREAM:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((address, port))
        if kind == socket.SOCK_STREAM:
            made.listen(_BACKLOG)
    except BaseException:
        made.close()
        raise
    return made


def _refused(network: Network, address: str, kind: socket.SocketKind, error: OSError) -> str:
    protocol = "UDP" if kind == socket.SOCK_DGRAM else "TCP"
    hint = ""
    if error.errno == errno.EADDRINUSE:
        hint = "; another resolver listens on every address: have it leave out this bridge"
    return (
        f"answer for names on {address}, {protocol} port {PORT} (networks.{network.name}.dns): "
        f"{error.strerror}{hint}"
    )


async def _say(here: trio.socket.SocketType, name: _Name, message: bytes) -> None:
    """To whom asked. Fine if it cannot be said: he asks again."""
    try:
        await here.sendto(message, name)
    except OSError:
        pass


def _source(name: _Name) -> Address:
    return ip_address(str(name[0]).partition("%")[0])
