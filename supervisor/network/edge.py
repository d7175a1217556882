"""Published ports, masquerade and isolation between networks: one table of nftables, kept so."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Mapping, Sequence

import trio

from supervisor.network import nftables, rules
from supervisor.network.edges import Need
from supervisor.network.errors import NetworkError
from supervisor.network.model import Endpoint, Network
from supervisor.network.naming import Names
from supervisor.network.netlink import attributes, messages

_NFTABLES = 1 << 6  # NFNLGRP_NFTABLES, linux/netfilter/nfnetlink.h, as one bit of the mask
_NETLINK_NETFILTER = 12  # linux/netlink.h
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
        self._lock = threading.Lock()
        self._text: str | None = None
        """What the table was made from; None: there is to be none."""
        self._left: str | None = None
        """The table as it was left."""
        self._sure = False
        """Nobody has been at it since."""
        self._begun = False

    def apply(self, endpoints: Sequence[Endpoint], networks: Mapping[str, Network]) -> list[str]:
        """See edges.Edge."""
        text = rules.ruleset(self.table, self._comment, endpoints, networks)
        inside = rules.used(endpoints, networks)
        open_ones = rules.localnet(endpoints)
        with self._lock:
            for network in inside:
                if network.name not in open_ones:
                    _localnet(network.bridge, "0")
            spoilt = self._spoilt()
            if spoilt or text != self._text or not self._begun:
                self._put(text, spoilt)
            for network in inside:
                if network.name in open_ones:
                    _localnet(network.bridge, "1")
        return [f"rules of nftables (table inet {self.table})"] if spoilt else []

    def _put(self, text: str | None, spoilt: bool) -> None:
        whole = f"{rules.remove(self.table)}\n{text or ''}"
        try:
            if text is None or spoilt:
                nftables.run(whole)
            else:
                try:
                    nftables.run(rules.replace(self.table, self._comment, text))
                except nftables.MissingLibrary:
                    raise
                except NetworkError:  # what there is cannot be changed into it
                    nftables.run(whole)
            self._left = nftables.listing(self.table)
        except nftables.MissingLibrary as error:
            if text is not None:
                raise NetworkError(
                    f"network.publish, masquerade, isolate, and more than one network: {error}"
                ) from None
        except NetworkError as error:
            raise NetworkError(f"set the rules of nftables: {error}") from None
        self._text, self._sure, self._begun = text, True, True

    def _spoilt(self) -> bool:
        """Whether others have changed the table since it was left."""
        if self._sure or not self._begun:
            return False
        try:
            found = nftables.listing(self.table)
        except nftables.MissingLibrary:
            return False
        self._sure = found == self._left
        return not self._sure

    def _look(self) -> bool:
        with self._lock:
            self._sure = False
            return self._spoilt()

    async def run(self, change: Callable[[], object]) -> None:
        """Be told by the kernel of what happens to the table."""
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        with socket.socket(socket.AF_NETLINK, kind, _NETLINK_NETFILTER) as events:
            events.bind((0, _NFTABLES))
            while True:
                # Ours are among them, too.
                if self._begun and await trio.to_thread.run_sync(self._look):
                    change()
                while not await self._told(events):
                    pass

    async def _told(self, events: socket.socket) -> bool:
        """Whether something happens to the table: waits for what comes, and takes all there is."""
        await trio.lowlevel.wait_readable(events)
        concerned = False
        while True:
            try:
                data = events.recv(1 << 16)
            except BlockingIOError:
                return concerned
            except OSError:  # ENOBUFS: so much has happened that some of it was dropped
                return True
            name = self.table.encode() + b"\0"
            for _, body in messages(data):
                concerned |= any(each == (_TABLE, name) for each in attributes(body[_NFGENMSG:]))


def _localnet(bridge: str, value: str) -> None:
    """Whether packets from 127.0.0.0/8 may leave by a bridge, and answers to them come back."""
    path = f"/proc/sys/net/ipv4/conf/{bridge}/route_localnet"
    try:
        with open(path, "r+", encoding="ascii") as file:
            if file.read().strip() != value:
                file.seek(0)
                file.write(value)
    except FileNotFoundError:
        if value == "1":
            raise NetworkError(f"there is no bridge {bridge} (any more)") from None
    except OSError as error:
        raise NetworkError(f"set {path} to {value}: {error.strerror}") from None
