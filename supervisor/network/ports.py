"""Published ports of the host: who has which, and a socket for each, so that nobody else has it.

nftables sends what comes to a published port on its way before a socket sees it. The sockets are
there for programs of the host: one that has the port already is in the way of a start, and one that
wants it later is told that it is taken. They let nothing in but what has come to ::1, which the
kernel does not send elsewhere: that is for `relay`.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import trio

import runtime.linux.foreign as ctypes
from supervisor.network import relay
from supervisor.network.errors import NetworkError
from supervisor.network.model import Address, Endpoint, Protocol
from supervisor.network.rules import LOOPBACK6, published

_SO_ATTACH_FILTER = 26  # asm-generic/socket.h
_BACKLOG = 64
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06  # BPF_LD|W|ABS, BPF_JMP|JEQ|K, BPF_RET|K
_NETWORK_HEADER = 0xFFF00000  # SKF_NET_OFF, linux/filter.h
_DESTINATION = 24  # of struct ipv6hdr
_NOTHING = [(_RETURN, 0, 0, 0)]


def _to_loopback6() -> list[tuple[int, int, int, int]]:
    words = struct.unpack(">4I", LOOPBACK6.packed)
    program = []
    for number, word in enumerate(words):
        program.append((_LOAD, 0, 0, _NETWORK_HEADER + _DESTINATION + 4 * number))
        program.append((_EQUAL, 0, 2 * (len(words) - number) - 1, word))
    return [*program, (_RETURN, 0, 0, 0xFFFFFFFF), *_NOTHING]


@dataclass(frozen=True, slots=True)
class Claim:
    """A port of one family; `host` None: of all of the host's addresses. `key` asks for it."""

    protocol: Protocol
    version: int
    host: Address | None
    port: int
    key: str = field(compare=False)
    target: tuple[str, int] = field(compare=False)

    def __str__(self) -> str:
        """As people write it."""
        host = "0.0.0.0" if self.version == 4 else "::"  # noqa: S104  nothing is let in
        host = host if self.host is None else str(self.host)
        return f"{f'[{host}]' if ':' in host else host}:{self.port}/{self.protocol}"

    @property
    def relayed(self) -> bool:
        """Whether ::1 is among its addresses."""
        return self.version == 6 and self.host in (None, LOOPBACK6)

    def overlaps(self, other: Claim) -> bool:
        """Whether both want the same port of the same address."""
        mine = (self.protocol, self.version, self.port)
        same = mine == (other.protocol, other.version, other.port)
        return same and (self.host == other.host or None in (self.host, other.host))


def claims(endpoints: Sequence[Endpoint]) -> list[Claim]:
    """Of one workload. Raises NetworkError if it has no address of a family that is asked for."""
    found = []
    for number, endpoint in enumerate(endpoints):
        table = "network" if len(endpoints) == 1 else f"network[{number}]"
        fitting = set()
        for index, publish, address in published(endpoint):
            fitting.add(index)
            found.append(
                Claim(
                    publish.protocol,
                    address.version,
                    publish.host,
                    publish.host_port,
                    f"{table}.publish[{index}]",
                    (str(address), publish.port),
                )
            )
        for index, publish in enumerate(endpoint.publish):
            if index not in fitting and endpoint.addresses:
                raise NetworkError(
                    f"{table}.publish[{index}]: {publish} is of a family that "
                    f"{endpoint.workload} has no address of on network {endpoint.network}"
                )
    return found


class Ports:
    """By workload. Not to be used in two threads."""

    def __init__(self) -> None:
        self._held: dict[str, dict[Claim, socket.socket | relay.Served]] = {}
        self._more = trio.Event()

    def holds(self, workload: str) -> Sequence[Claim]:
        """What it has."""
        return tuple(self._held.get(workload, ()))

    def keep(self, workload: str, wanted: Sequence[Claim]) -> None:
        """Have those for it that it had before creched was there, as far as they are to be had.

        Raises NetworkError if some are not.
        """
        failed: NetworkError | None = None
        for number in range(len(wanted)):
            held = self.holds(workload)
            if wanted[number] not in held:
                try:
                    self.take(workload, [*held, wanted[number]])
                except NetworkError as error:
                    failed = failed or error
        if failed is not None:
            raise failed

    def take(self, workload: str, wanted: Sequence[Claim]) -> None:
        """Have these and no others for it. Raises NetworkError; then all is as it was."""
        for name, held in self._held.items():
            for claim in wanted if name != workload else ():
                if any(claim.overlaps(other) for other in held):
                    raise NetworkError(f"{claim.key}: {name} publishes {claim} already")
        old = self._held.get(workload, {})
        new = {claim: old[claim] for claim in wanted if claim in old}
        made: dict[Claim, socket.socket | relay.Served] = {}
        # One that is wider or narrower than before would be in its own way.
        moved = [c for c in old if c not in new and any(c.overlaps(other) for other in wanted)]
        for claim in moved:
            old[claim].close()
        try:
            for claim in wanted:
                if claim not in new:
                    made[claim] = _hold(claim)
        except NetworkError:
            for taken in made.values():
                taken.close()
            for claim in moved:
                try:
                    old[claim] = _hold(claim)
                except NetworkError:
                    del old[claim]
            self._more.set()
            raise
        for claim in wanted:
            kept = new.get(claim)
            if isinstance(kept, relay.Served):
                kept.target = claim.target
        for claim, taken in old.items():
            if claim not in new and claim not in moved:
                taken.close()
        self._held[workload] = {**new, **made}
        if not wanted:
            del self._held[workload]
        self._more.set()

    def drop(self, workload: str) -> None:
        """It has none any more."""
        for taken in self._held.pop(workload, {}).values():
            taken.close()

    def close(self) -> None:
        """Nobody has any."""
        for workload in list(self._held):
            self.drop(workload)

    async def run(self) -> None:
        """Serve ::1, until cancelled."""
        async with trio.open_nursery() as nursery:
            while True:
                self._more = trio.Event()
                for served in list(self._served()):
                    if not served.begun:
                        served.begun = True
                        nursery.start_soon(served.run)
                await self._more.wait()

    def _served(self) -> Iterator[relay.Served]:
        for held in self._held.values():
            yield from (taken for taken in held.values() if isinstance(taken, relay.Served))


def _hold(claim: Claim) -> socket.socket | relay.Served:
    family = socket.AF_INET if claim.version == 4 else socket.AF_INET6
    tcp = claim.protocol is Protocol.TCP
    made = None
    try:
        made = socket.socket(family, socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM)
        if claim.version == 6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if tcp:  # connections that were closed a minute ago are in nobody's way
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _let_in(made, _to_loopback6() if claim.relayed else _NOTHING)
        made.bind(("" if claim.host is None else str(claim.host), claim.port))
        if tcp:  # or who sets SO_REUSEADDR as well could have it, too
            made.listen(_BACKLOG)
    except OSError as error:
        if made is not None:
            made.close()
        reason = {
            errno.EADDRINUSE: f"a program of the host uses {claim} already",
            errno.EADDRNOTAVAIL: f"the host has no address {claim.host}",
            errno.EAFNOSUPPORT: "the host has no IPv6",
        }.get(error.errno or 0, f"bind {claim}: {os.strerror(error.errno or 0)}")
        raise NetworkError(f"{claim.key}: {reason}") from None
    return relay.Served(made, claim.target) if claim.relayed else made


def _let_in(which: socket.socket, program: Sequence[tuple[int, int, int, int]]) -> None:
    """Nothing but what a program of classic BPF lets in. Raises OSError."""
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *each) for each in program))
    which.setsockopt(
        socket.SOL_SOCKET,
        _SO_ATTACH_FILTER,
        struct.pack("HP", len(program), ctypes.addressof(code)),
    )
