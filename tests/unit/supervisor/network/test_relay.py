"""What comes to ::1 is passed on, and nothing that happens to one caller is another's business."""

from __future__ import annotations

import socket
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import trio
import trio.testing

from supervisor.network.relay import Served

Act = Callable[[tuple[str, int]], Coroutine[Any, Any, None]]


@contextmanager
def bound(kind: socket.SocketKind) -> Iterator[socket.socket]:
    """A socket on a free port of ::1."""
    with socket.socket(socket.AF_INET6, kind) as made:
        made.bind(("::1", 0))
        if kind == socket.SOCK_STREAM:
            made.listen()
        yield made


def address(of: socket.socket) -> tuple[str, int]:
    """Where it is."""
    host, port = of.getsockname()[:2]
    return str(host), int(port)


async def served(kind: socket.SocketKind, target: tuple[str, int], act: Act) -> None:
    """Have `act` with the address of a relay to `target`."""
    with bound(kind) as made:
        where = address(made)
        relay = Served(made.dup(), target)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(relay.run)
        await act(where)
        relay.close()
        nursery.cancel_scope.cancel()


def test_both_ways_and_each_end() -> None:
    """An end of one way is passed on as such; the other goes on."""

    async def act(where: tuple[str, int]) -> None:
        async with await trio.open_tcp_stream(*where) as client:
            await client.send_all(b"question" * 100_000)
            await client.send_eof()
            assert b"".join([piece async for piece in client]) == b"800000"

    async def answer(stream: trio.SocketStream) -> None:
        async with stream:
            size = sum([len(piece) async for piece in stream])
            await stream.send_all(str(size).encode())

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            listeners = await trio.open_tcp_listeners(0, host="::1")
            nursery.start_soon(trio.serve_listeners, answer, listeners)
            target = listeners[0].socket.getsockname()[:2]
            await served(socket.SOCK_STREAM, target, act)
            nursery.cancel_scope.cancel()

    trio.run(main)


def test_nobody_listens() -> None:
    """A reset, as if the workload had answered itself; the next caller is served the same."""
    with bound(socket.SOCK_STREAM) as taken:
        target = address(taken)

    async def act(where: tuple[str, int]) -> None:
        for _ in range(3):
            async with await trio.open_tcp_stream(*where) as client:
                with pytest.raises(trio.BrokenResourceError):
                    await client.receive_some()

    trio.run(served, socket.SOCK_STREAM, target, act)


def test_datagrams_go_back_to_who_has_sent() -> None:
    async def act(where: tuple[str, int]) -> None:
        callers = [trio.socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) for _ in range(3)]
        for number, caller in enumerate(callers):
            await caller.sendto(str(number).encode(), where)
        for number, caller in enumerate(callers):
            assert await caller.recv(100) == f"echo {number}".encode()
            caller.close()

    async def echo(to: socket.socket) -> None:
        with trio.socket.from_stdlib_socket(to) as server:
            while True:
                data, sender = await server.recvfrom(100)
                await server.sendto(b"echo " + data, sender)

    async def main() -> None:
        with bound(socket.SOCK_DGRAM) as target:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(echo, target.dup())
                await served(socket.SOCK_DGRAM, address(target), act)
                nursery.cancel_scope.cancel()

    trio.run(main)


def test_it_ends_with_its_socket() -> None:
    """Both kinds, while it waits."""

    async def main(kind: socket.SocketKind) -> None:
        with bound(kind) as made, bound(kind) as target:
            where = address(made)
            relay = Served(made.dup(), address(target))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(relay.run)
                if kind == socket.SOCK_DGRAM:
                    with socket.socket(socket.AF_INET6, kind) as caller:
                        caller.sendto(b"?", where)
                        await trio.testing.wait_all_tasks_blocked()
                relay.close()

    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        trio.run(main, kind)
