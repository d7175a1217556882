"""The responder on real sockets, with a resolver of the host behind it, and asked by hostile ones.

The "bridge" is the loopback device of the session's own network namespace.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
import pytest
import trio
import trio.testing

from supervisor.network.model import Endpoint, Mode, Network
from supervisor.network.names import server
from supervisor.network.names.book import Book
from supervisor.network.names.server import Responder, Served
from supervisor.network.names.upstream import Upstream
from tests.support.waiting import DEADLINE

pytestmark = pytest.mark.root

GATEWAY, ONE, TWO, STRANGER = "127.9.0.1", "127.9.0.2", "127.9.0.3", "127.9.0.4"
RESOLVER, SILENT = "127.9.1.1", "127.9.1.2"
PORT = 15353


def network(masquerade: bool = True) -> Network:
    """On loopback."""
    return Network(
        "t", "lo", IPv4Network("127.9.0.0/24"), None, IPv4Address(GATEWAY),
        dns=True, masquerade=masquerade,
    )  # fmt: skip


def book(on: Network) -> Book:
    """Two workloads."""
    return Book(
        [
            Endpoint(name, "t", Mode.BRIDGE, "", None, "lo", None, IPv4Interface(f"{address}/24"))
            for name, address in (("one", ONE), ("two", TWO))
        ],
        {"t": on},
    )


@dataclass
class Resolver:
    """The host's: it answers with what it was asked, or with something worse."""

    port: int
    asked: list[tuple[bytes, bool]] = field(default_factory=list)
    sent: list[bytes] = field(default_factory=list)
    lies: bool = False

    def answer(self, data: bytes, tcp: bool) -> bytes:
        """Whose question section is as long as it should be."""
        self.asked.append((data, tcp))
        told = dns.message.make_response(dns.message.from_wire(data))
        told.set_rcode(dns.rcode.NXDOMAIN)
        if not tcp and "large" in str(told.question[0].name):
            told.flags |= dns.flags.TC
        return told.to_wire()

    async def by_udp(self, here: trio.socket.SocketType) -> None:
        while True:
            data, name = await here.recvfrom(4096)
            said = self.answer(data, False)
            if self.lies:
                wrong = bytearray(said)
                wrong[0] ^= 1
                await here.sendto(wrong, name)  # another number
                await here.sendto(data, name)  # a question, and no answer
                other = dns.message.make_query("other.example", "A")
                other.id = int.from_bytes(data[:2], "big")
                await here.sendto(dns.message.make_response(other).to_wire(), name)
            await here.sendto(said, name)

    async def by_tcp(self, stream: trio.SocketStream) -> None:
        data = await stream.receive_some(4096)
        said = self.answer(bytes(data[2:]), True)
        await stream.send_all(struct.pack("!H", len(said)) + said)


@asynccontextmanager
async def running(base: Path, masquerade: bool = True) -> AsyncIterator[Resolver]:
    """A responder, and the host's resolvers: one that is not there, and one that is."""
    resolver = Resolver(PORT + 1)
    conf = base / "resolv.conf"
    conf.write_text(f"nameserver {SILENT}\nnameserver {RESOLVER}\n")
    responder = Responder(Upstream(str(conf), resolver.port))
    on = network(masquerade)
    responder.turn(book(on))
    here = trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    await here.bind((RESOLVER, resolver.port))
    streams = await trio.open_tcp_listeners(resolver.port, host=RESOLVER)
    served = Served(on, 1, responder, PORT)
    with here:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(resolver.by_udp, here)
            nursery.start_soon(trio.serve_listeners, resolver.by_tcp, streams)
            nursery.start_soon(served.run)
            with trio.fail_after(DEADLINE):
                yield resolver
            served.close()
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def asking(source: str) -> AsyncIterator[trio.socket.SocketType]:
    """A workload's socket."""
    with trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        await made.bind((source, 0))
        await made.connect((GATEWAY, PORT))
        yield made


async def ask(name: str, source: str = ONE, kind: str = "A") -> dns.message.Message:
    """What is answered over UDP."""
    question = dns.message.make_query(name, kind)
    async with asking(source) as made:
        await made.send(question.to_wire())
        told = dns.message.from_wire(await made.recv(65535))
    assert question.is_response(told)
    return told


async def connect(source: str = ONE) -> trio.SocketStream:
    """A workload's connection."""
    made = trio.socket.socket()
    await made.bind((source, 0))
    await made.connect((GATEWAY, PORT))
    return trio.SocketStream(made)


async def over(stream: trio.SocketStream, name: str) -> dns.message.Message:
    """What is answered over TCP."""
    data = dns.message.make_query(name, "A").to_wire()
    await stream.send_all(struct.pack("!H", len(data)) + data)
    told = b""
    while len(told) < 2 or len(told) < 2 + struct.unpack("!H", told[:2])[0]:
        told += await stream.receive_some(4096)
    return dns.message.from_wire(told[2:])


async def closed(stream: trio.SocketStream) -> bool:
    """Whether the other side hangs up."""
    try:
        return not await stream.receive_some(1)
    except trio.BrokenResourceError:
        return True


async def test_others_names_are_passed_on(tmp_path: Path) -> None:
    """By the resolver that answers, over what it was asked by; its answer is its own."""
    async with running(tmp_path) as resolver:
        assert (await ask("two")).answer[0][0].to_text() == TWO
        assert resolver.asked == []
        assert (await ask("example.com")).rcode() == dns.rcode.NXDOMAIN
        assert (await ask("large.example")).flags & dns.flags.TC
        stream = await connect()
        assert not (await over(stream, "large.example")).flags & dns.flags.TC
        assert (await over(stream, "two")).answer[0][0].to_text() == TWO
        await stream.aclose()
        assert [tcp for _, tcp in resolver.asked] == [False, False, True]


async def test_what_does_not_answer_the_question_is_none(tmp_path: Path) -> None:
    """Wrong numbers, other questions and echoes are waited through."""
    async with running(tmp_path) as resolver:
        resolver.lies = True
        told = await ask("example.com")
        assert str(told.question[0].name) == "example.com."
        assert told.rcode() == dns.rcode.NXDOMAIN
        numbers = set()
        for _ in range(4):
            await ask("example.com")
            numbers.add(resolver.asked[-1][0][:2])
        assert len(numbers) > 1  # nobody can guess them


async def test_no_resolver_answers(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    """Nor has any to: that is said."""
    async with running(tmp_path):
        (tmp_path / "resolv.conf").write_text(f"nameserver {SILENT}\n")
        assert (await ask("example.com")).rcode() == dns.rcode.SERVFAIL


async def test_an_inner_network_passes_nothing_on(tmp_path: Path) -> None:
    async with running(tmp_path, masquerade=False) as resolver:
        assert (await ask("example.com")).rcode() == dns.rcode.REFUSED
        assert resolver.asked == []


async def test_strangers_get_no_answer(tmp_path: Path) -> None:
    """Nor do answers, nor what is no DNS; and whoever asks properly still does."""
    async with running(tmp_path):
        question = dns.message.make_query("two", "A")
        echo = dns.message.make_response(question).to_wire()
        stranger = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with stranger:
            stranger.setblocking(False)
            stranger.bind((STRANGER, 0))
            stranger.connect((GATEWAY, PORT))
            stranger.send(question.to_wire())
            async with asking(ONE) as one:
                for rubbish in (b"", b"x", b"\xff" * 12, echo, b"\x00" * 1500):
                    await one.send(rubbish)
                await one.send(question.to_wire())
                told = [dns.message.from_wire(await one.recv(4096)) for _ in range(2)]
            assert sorted(each.rcode() for each in told)[0] == dns.rcode.NOERROR
            with pytest.raises(BlockingIOError):
                stranger.recv(1)
        stream = await connect(STRANGER)
        assert await closed(stream)
        await stream.aclose()


async def test_connections_are_few_and_short(tmp_path: Path) -> None:
    """One workload's do not take the place of another's; a long message ends its own."""
    async with running(tmp_path):
        mine = [await connect() for _ in range(server.MOST_CONNECTIONS)]
        for stream in mine:  # each is looked after by now
            assert (await over(stream, "two")).answer
        more = await connect()
        assert await closed(more)
        other = await connect(TWO)
        assert (await over(other, "one")).answer
        await mine[0].send_all(b"\xff\xff" + b"x" * 100)
        assert await closed(mine[0])
        again = await connect()
        assert (await over(again, "two")).answer
        await mine[1].send_all(b"\x00")
        await mine[1].send_eof()
        assert await closed(mine[1])
        for stream in (*mine, more, other, again):
            await stream.aclose()


async def test_silence_ends_a_connection(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with running(tmp_path):
        stream = await connect()
        assert (await over(stream, "two")).answer
        await stream.send_all(b"\x00")
        assert await closed(stream)
        await stream.aclose()


async def test_who_asks_too_much_is_not_answered(mock_clock: trio.testing.MockClock) -> None:
    """Until some time has passed; nobody else has to wait."""
    responder = Responder()
    responder.turn(book(network()))
    data = dns.message.make_query("two", "A").to_wire()
    one, two = IPv4Address(ONE), IPv4Address(TWO)
    heard = sum(responder.read("t", one, data) is not None for _ in range(5000))
    assert heard == server.RATE * server.BURST
    assert responder.read("t", two, data) is not None
    mock_clock.jump(1.0)
    assert sum(responder.read("t", one, data) is not None for _ in range(5000)) == server.RATE
