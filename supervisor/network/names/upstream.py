"""Questions about other names, passed on to the host's own resolvers, as they are.

Nothing is remembered: what is not kept cannot be spoiled for others. Each question is asked from a
port of its own, under a number that nobody knows, and only what comes from there and repeats the
question is its answer (RFC 5452).
"""

from __future__ import annotations

import os
import secrets
import socket
import struct
from collections.abc import Sequence
from ipaddress import ip_address

import trio

from supervisor.network.names.wire import Query, is_answer, passed_on

RESOLV_CONF = "/etc/resolv.conf"
MOST_SERVERS = 3  # MAXNS, resolv.conf(5)
PATIENCE = 2.0
"""Seconds that each of them has; who asks waits for five (resolv.conf(5), timeout)."""
_LARGEST = 65535
_LENGTH = struct.Struct("!H")


def servers(text: str) -> list[str]:
    """The resolvers in a resolv.conf. Pure."""
    found = []
    for line in text.splitlines():
        words = line.split()
        if len(words) > 1 and words[0] == "nameserver":
            try:
                ip_address(words[1])
            except ValueError:
                continue
            found.append(words[1])
    return found[:MOST_SERVERS] or ["127.0.0.1"]  # as resolv.conf(5) has it


class Upstream:
    """The host's resolvers, read again when the file is another one."""

    def __init__(self, path: str = RESOLV_CONF, port: int = 53) -> None:
        self._path = path
        self._port = port
        self._seen: tuple[int, ...] = ()
        self._servers: list[str] = []

    def servers(self) -> Sequence[str]:
        """Those that there are now."""
        try:
            found = os.stat(self._path)
            seen = (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size)
            if seen != self._seen:
                with open(self._path, encoding="utf-8", errors="replace") as file:
                    self._servers = servers(file.read(1 << 16))
                self._seen = seen
        except OSError:
            self._servers, self._seen = servers(""), ()
        return self._servers

    async def ask(self, query: Query, data: bytes, tcp: bool) -> bytes | None:
        """What the first of them answers that does, in time; None if none does."""
        for server in self.servers():
            number = secrets.randbits(16)
            message = passed_on(data, number)
            with trio.move_on_after(PATIENCE):
                try:
                    ask = self._by_tcp if tcp else self._by_udp
                    found = await ask(server, message, query, number)
                except (OSError, trio.BrokenResourceError):
                    continue
                if found is not None:
                    return passed_on(found, query.id)
        return None

    async def _by_udp(self, server: str, message: bytes, query: Query, number: int) -> bytes | None:
        with _socket(server, socket.SOCK_DGRAM) as asking:
            await asking.connect((server, self._port))
            await asking.send(message)
            while True:
                found = await asking.recv(_LARGEST)
                if is_answer(found, query, number):
                    return found

    async def _by_tcp(self, server: str, message: bytes, query: Query, number: int) -> bytes | None:
        with _socket(server, socket.SOCK_STREAM) as asking:
            await asking.connect((server, self._port))
            stream = trio.SocketStream(asking)
            await stream.send_all(_LENGTH.pack(len(message)) + message)
            found = await receive(stream, _LARGEST)
        return found if found is not None and is_answer(found, query, number) else None


def _socket(server: str, kind: socket.SocketKind) -> trio.socket.SocketType:
    return trio.socket.socket(socket.AF_INET6 if ":" in server else socket.AF_INET, kind)


async def receive(stream: trio.SocketStream, most: int) -> bytes | None:
    """One message of a TCP connection (RFC 1035, 4.2.2); None at its end, or if it is too long.

    Raises trio.BrokenResourceError.
    """
    length = await _exactly(stream, _LENGTH.size)
    if length is None:
        return None
    (size,) = _LENGTH.unpack(length)
    return await _exactly(stream, size) if size <= most else None


async def send(stream: trio.SocketStream, message: bytes) -> None:
    """One message. Raises trio.BrokenResourceError."""
    await stream.send_all(_LENGTH.pack(len(message)) + message)


async def _exactly(stream: trio.SocketStream, size: int) -> bytes | None:
    data = b""
    while len(data) < size:
        chunk = await stream.receive_some(size - len(data))
        if not chunk:
            return None
        data += chunk
    return data
