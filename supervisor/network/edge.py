"""Published ports, masquerade and isolation between networks: one table of nftables, kept so."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Mapping, Sequence

import trio

from supervisor.network import conntrack, nftables, rules
from supervisor.network.edges import Need
from supervisor.network.errors import NetworkError
from supervisor.network.model import Endpoint, Network, Protocol
from supervisor.network.naming import Names
from supervisor.network.netlink import NETLINK_NETFILTER, attributes, messages

_NFTABLES = 1 << 6  # NFNLGRP_NFTABLES, linux/netfilter/nfnetlink.h, as one bit of the mask
_NEWGEN = 10 << 8 | 15  # NFNL_SUBSYS_NFTABLES, NFT_MSG_NEWGEN: the end of a transaction
_BY = 3  # NFTA_GEN_PROC_NAME
_NFGENMSG = 4
"""Bytes of struct nfgenmsg."""
_TABLE = 1
"""NFTA_TABLE_NAME, NFTA_CHAIN_TABLE, NFTA_RULE_TABLE … are all this."""


class Rules:
    """See edges.Edge. The table is `inet creche_INSTANCE`: two creched have one each."""

    provides = frozenset({Need.PUBLISH, Need.MASQUERADE})

    def __init__(self, names: Names) -> None:
        self.table = f"creche_{names.instance}"
        self._comment = names.prefix.rstrip(":")
        self._thread = f"cr-{names.instance}"
        """What the kernel says that our changes are made by."""
        self._lock = threading.Lock()
        self._set: rules.Ruleset | None = None
        self._begun = False
        self._spoilt = False
        """Others have been at it since."""
        self._touched = False
        """A transaction whose end is still to come is about it."""

    def apply(self, endpoints: Sequence[Endpoint], networks: Mapping[str, Network]) -> list[str]:
        """See edges.Edge."""
        wanted = rules.ruleset(self.table, self._comment, endpoints, networks)
        inside = rules.used(endpoints, networks)
        leading = rules.localnet(endpoints)
        with self._lock:
            for network in inside:
                if network.name not in leading:
                    _localnet(network.bridge, "0")
            spoilt = self._spoilt
            if spoilt or wanted != self._set or not self._begun:
                self._put(wanted)
            for network in inside:
                if network.name in leading:
                    _localnet(network.bridge, "1")
        return [f"rules of nftables (table inet {self.table})"] if spoilt else []

    def _put(self, wanted: rules.Ruleset | None) -> None:
        old, ways = self._set, []
        if wanted is None:
            ways = [rules.remove(self.table)]
        elif self._spoilt:
            ways = [wanted.whole()]
        elif old is not None and old.chains == wanted.chains:
            ways = [wanted.changing(old), wanted.whole()]
        else:
            ways = [wanted.replacing(), wanted.whole()]
        with open("/proc/thread-self/comm", "w", encoding="ascii") as name:
            name.write(self._thread)
        spoilt, self._spoilt = self._spoilt, False  # what is done from now on comes after this
        try:
            _first(ways)
        except nftables.MissingLibrary as error:
            if wanted is not None:
                self._spoilt = spoilt
                raise NetworkError(
                    f"network.publish, masquerade, isolate, and more than one network: {error}"
                ) from None
        except NetworkError as error:
            self._spoilt = spoilt
            raise NetworkError(f"set the rules of nftables: {error}") from None
        begun, self._set, self._begun = self._begun, wanted, True
        if begun:  # or it goes on as it was
            conntrack.forget(_moved(old, wanted))

    async def run(self, change: Callable[[], object]) -> None:
        """Be told by the kernel of what others do to the table."""
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        with socket.socket(socket.AF_NETLINK, kind, NETLINK_NETFILTER) as events:
            events.bind((0, _NFTABLES))
            while True:
                await trio.lowlevel.wait_readable(events)
                try:
                    told = self._told(events.recv(1 << 16))
                except BlockingIOError:
                    continue
                except OSError:  # ENOBUFS: so much has happened that some of it was dropped
                    told = True
                if told and self._set is not None:
                    self._spoilt = True
                    change()

    def _told(self, data: bytes) -> bool:
        """Whether what the kernel tells is that somebody else has changed the table."""
        spoilt = False
        for kind, body in messages(data):
            values = dict(attributes(body[_NFGENMSG:]))
            if kind == _NEWGEN:
                by = values.get(_BY, b"").rstrip(b"\0").decode(errors="replace")
                spoilt |= self._touched and by != self._thread
                self._touched = False
            elif values.get(_TABLE, b"").rstrip(b"\0") == self.table.encode():
                self._touched = True
        return spoilt


def _first(ways: Sequence[str]) -> None:
    """The first of these that works: what is there may not be as it was left."""
    for text in ways[:-1]:
        try:
            nftables.run(text)
        except nftables.MissingLibrary:
            raise
        except NetworkError:
            continue
        return
    nftables.run(ways[-1])


def _moved(old: rules.Ruleset | None, new: rules.Ruleset | None) -> set[tuple[int, int]]:
    """Families and ports of UDP that lead elsewhere than before."""
    before, after = (dict({} if each is None else each.ports) for each in (old, new))
    return {
        (version, port)
        for version, protocol, port, host in {*before, *after}
        if protocol is Protocol.UDP
        and before.get((version, protocol, port, host))
        != after.get((version, protocol, port, host))
    }


def _localnet(bridge: str, value: str) -> None:
    """Whether packets from 127.0.0.0/8 may leave by a bridge, and answers to them come back."""
    path = f"/proc/sys/net/ipv4/conf/{bridge}/route_localnet"
    try:
        with open(path, "r+", encoding="ascii") as file:
            if file.read().strip() != value:
                file.seek(0)
                file.write(value)
    except FileNotFoundError:
        pass  # somebody has deleted it; whoever makes it anew has this applied again
    except OSError as error:
        raise NetworkError(f"set {path} to {value}: {error.strerror}") from None
