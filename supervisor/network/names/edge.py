"""Names as an edge of networks: the book, the files and the responder follow each change."""

from __future__ import annotations

import socket
from collections.abc import Callable, Collection, Mapping, Sequence

import trio

from supervisor.network.edges import Need
from supervisor.network.errors import NetworkError
from supervisor.network.model import Endpoint, Network
from supervisor.network.names import files
from supervisor.network.names.book import Book
from supervisor.network.names.server import NotYetError, Responder, Served


class NameService:
    """own: ROOT/.creched. called: what a workload calls itself besides its name.

    To be made in trio's thread.
    """

    provides: Collection[Need] = (Need.DNS,)

    def __init__(self, own: str, called: Callable[[str], tuple[str, ...]]) -> None:
        self._files = files.Files(f"{own}/{files.DIRECTORY}")
        self._called = called
        self._responder = Responder()
        self._served: dict[str, Served] = {}
        self._failed: set[str] = set()
        """Networks that nobody can answer on: that was told, and keeps nobody else waiting."""
        self._nursery: trio.Nursery | None = None
        self._token = trio.lowlevel.current_trio_token()

    def apply(self, endpoints: Sequence[Endpoint], networks: Mapping[str, Network]) -> list[str]:
        """See `Edge`."""
        book = Book(endpoints, networks)
        try:
            self._files.write(book, self._called)
        except OSError as error:
            raise NetworkError(f"write hosts files: {error}") from None
        return trio.from_thread.run_sync(self._turn, book, trio_token=self._token)

    def _turn(self, book: Book) -> list[str]:
        """To what holds from now on; sockets are trio's."""
        for name in list(self._served):
            served = self._served[name]
            if book.used.get(name) != served.network or _index(served.network) != served.link:
                del self._served[name]
                served.close()
        self._responder.turn(book)
        self._failed &= {*book.used}
        failed: NetworkError | None = None
        for name, network in book.used.items():
            if name in self._served:
                continue
            try:
                served = Served(network, _index(network), self._responder)
            except NotYetError:
                continue  # whoever makes its bridge has this applied again
            except NetworkError as error:
                if name not in self._failed:
                    failed = failed or error
                self._failed.add(name)
                continue
            self._failed.discard(name)
            self._served[name] = served
            if self._nursery is not None:
                self._nursery.start_soon(served.run)
        if failed is not None:
            raise failed
        return []

    async def run(self, change: Callable[[], object]) -> None:
        """See `Edge`."""
        try:
            async with trio.open_nursery() as self._nursery:
                for served in self._served.values():
                    self._nursery.start_soon(served.run)
                await trio.sleep_forever()
        finally:
            self._nursery = None


def _index(network: Network) -> int:
    """Of its bridge: another one if it was made anew; 0 if there is none."""
    try:
        return socket.if_nametoindex(network.bridge)
    except OSError:
        return 0
