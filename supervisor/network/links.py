"""What is asked of the kernel about links, through pyroute2: one method, one request.

A `Links` talks to the network namespace in which it was made, whichever its thread is in later; but
it is of use in that thread alone: pyroute2 (0.9) opens a socket for each. Errors are OSError with
the kernel's number.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

IFF_UP = 1
_NODAD = 2  # IFA_F_NODAD, linux/if_addr.h
_NO_ADDRESS = 1  # IN6_ADDR_GEN_MODE_NONE, linux/if_link.h
_ROOT = 0x10000
"""Handle of the queueing discipline that is ours (tc(8): `1:`)."""
_DOOMED = 0x63726563
"""Group (ip-link(8)) of links that are about to be deleted."""
_QUEUE = 0.05
"""Seconds that a packet may wait in it; then it is dropped."""


@dataclass(frozen=True, slots=True)
class Link:
    """As the kernel has it. `master`: index of the bridge it is a port of, 0 for none."""

    index: int
    name: str
    kind: str
    alias: str
    master: int
    mtu: int
    mac: str
    up: bool


class Links:
    """Use with `with`."""

    def __init__(self) -> None:
        # Here, since who has no networks is spared it: it takes long to load, and some megabytes.
        from pyroute2 import IPRoute
        from pyroute2.netlink.exceptions import NetlinkError

        self._refusal = NetlinkError
        self._ipr = IPRoute()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ipr.close()

    def ask(self, verb: str, *words: Any, **values: Any) -> Any:
        """One request; what is asked for is complete when it returns."""
        try:
            found = getattr(self._ipr, verb)(*words, **values)
            return list(found) if found is not None else None
        except self._refusal as error:
            raise OSError(error.code, str(error)) from None

    def all(self) -> list[Link]:
        """Every link there is."""
        return [_link(message) for message in self.ask("get_links")]

    def find(self, name: str) -> Link | None:
        """A link by its name."""
        try:
            found = self.ask("link", "get", ifname=name)
        except OSError as error:
            if error.errno == errno.ENODEV:
                return None
            raise
        return _link(found[0])

    def add_bridge(self, name: str, mac: str, mtu: int) -> None:
        """It is off, and has no addresses."""
        self.ask("link", "add", ifname=name, kind="bridge", address=mac, mtu=mtu)

    def add_veth(self, name: str, mtu: int, namespace: int, peer: str, mac: str) -> None:
        """The other end is made where the descriptor `namespace` leads; both are off."""
        other = {"ifname": peer, "net_ns_fd": namespace, "address": mac, "mtu": mtu}
        self.ask("link", "add", ifname=name, kind="veth", mtu=mtu, peer=other)

    def add_macvlan(
        self, name: str, parent: int, namespace: int, mac: str, mtu: int | None
    ) -> None:
        """In the namespace behind a descriptor; it is off."""
        values: dict[str, Any] = {} if mtu is None else {"mtu": mtu}
        self.ask(
            "link", "add", ifname=name, kind="macvlan", link=parent, macvlan_mode="bridge",
            net_ns_fd=namespace, address=mac, **values,
        )  # fmt: skip

    def mark(self, index: int, alias: str, master: int | None = None, v6: bool = True) -> None:
        """Its alias, and the bridge it is a port of; not `v6`: it makes no address of its own."""
        values: dict[str, Any] = {"ifalias": alias}
        if master is not None:
            values["master"] = master
        if not v6:
            mode = ("IFLA_INET6_ADDR_GEN_MODE", _NO_ADDRESS)
            values["IFLA_AF_SPEC"] = {"attrs": [("AF_INET6", {"attrs": [mode]})]}
        try:
            self.ask("link", "set", index=index, **values)
        except OSError as error:
            if v6 or error.errno not in (errno.EAFNOSUPPORT, errno.EOPNOTSUPP, errno.EINVAL):
                raise
            del values["IFLA_AF_SPEC"]  # the kernel has no IPv6
            self.ask("link", "set", index=index, **values)

    def change(self, index: int, **values: Any) -> None:
        """mtu, state, ifname …"""
        self.ask("link", "set", index=index, **values)

    def plug(self, index: int, isolated: bool) -> None:
        """A bridge's port: `isolated`, it exchanges nothing with other ports like it; if not, what
        comes in by it may go out by it (hairpin): a workload may call its own published port."""
        self.ask("brport", "set", index=index, isolated=int(isolated), mode=int(not isolated))

    def delete(self, *indices: int) -> None:
        """All of them at once, which takes no longer than one. Fine if they are gone."""
        try:
            if len(indices) == 1:
                self.ask("link", "del", index=indices[0])
            elif indices:
                for index in indices:
                    self.ask("link", "set", index=index, group=_DOOMED)
                self.ask("link", "del", group=_DOOMED)
        except OSError as error:
            if error.errno != errno.ENODEV:
                raise

    def addresses(self, index: int | None = None) -> list[tuple[int, str]]:
        """Index of the link and address with prefix, of one link or all; none of link scope."""
        values = {} if index is None else {"index": index}
        found = []
        for message in self.ask("get_addr", **values):
            if message["scope"] < 253:  # RT_SCOPE_LINK
                address = message.get("IFA_LOCAL") or message.get("IFA_ADDRESS")
                found.append((int(message["index"]), f"{address}/{message['prefixlen']}"))
        return found

    def add_address(self, index: int, address: str) -> None:
        """Fine if it has it. Not `tentative`: nobody else has it, and programs want to bind it."""
        ip, _, prefix = address.partition("/")
        values = {"flags": _NODAD} if ":" in ip else {}
        try:
            self.ask("addr", "add", index=index, address=ip, prefixlen=int(prefix), **values)
        except OSError as error:
            if error.errno != errno.EEXIST:
                raise

    def delete_address(self, index: int, address: str) -> None:
        """Of a link."""
        ip, _, prefix = address.partition("/")
        self.ask("addr", "del", index=index, address=ip, prefixlen=int(prefix))

    def add_route(self, index: int, to: str, via: str) -> None:
        """Or change what there is to the same destination. `via` "": it is on the link."""
        values = {"gateway": via} if via else {}
        self.ask("route", "replace", dst=to, oif=index, **values)

    def limit(self, index: int, rate: int) -> None:
        """Bits per second; 0: none. A token bucket: tc-tbf(8)."""
        if not rate:
            try:
                self.ask("tc", "del", index=index, root=True)
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.EINVAL):
                    raise
            return
        # Room for what comes within a tick of a slow clock, and for a packet that is still whole.
        burst = max(rate // 8 // 100, 32 << 10)
        limit = int(rate / 8 * _QUEUE) + burst
        self.ask("tc", "replace", "tbf", index, _ROOT, rate=rate // 8, burst=burst, limit=limit)


def _link(message: Any) -> Link:
    info = message.get("IFLA_LINKINFO")
    return Link(
        int(message["index"]),
        str(message.get("IFLA_IFNAME")),
        str(info.get("IFLA_INFO_KIND") or "") if info is not None else "",
        str(message.get("IFLA_IFALIAS") or ""),
        int(message.get("IFLA_MASTER") or 0),
        int(message.get("IFLA_MTU") or 0),
        str(message.get("IFLA_ADDRESS") or ""),
        bool(message["flags"] & IFF_UP),
    )
