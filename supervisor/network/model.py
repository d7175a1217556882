"""What is declared about networks, and what a declaration comes to: plain values, nothing more.

`Network` is a table of creched.toml, `Attachment` one of a workload.toml. An `Endpoint` is an
attachment once addresses are given out: what nftables rules and names are made from.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_address,
)
from typing import Any, Self

Address = IPv4Address | IPv6Address
Interface = IPv4Interface | IPv6Interface
Subnet = IPv4Network | IPv6Network


class Mode(StrEnum):
    """How a workload is attached."""

    BRIDGE = "bridge"
    HOST = "host"
    NONE = "none"
    NAMESPACE = "namespace"
    MACVLAN = "macvlan"
    CNI = "cni"


class Protocol(StrEnum):
    """Of a published port."""

    TCP = "tcp"
    UDP = "udp"


@dataclass(frozen=True, slots=True)
class Network:
    """[networks.NAME]: a bridge on the host, with at most one subnet of each family.

    `gateway` is the host's own address on the bridge. `isolate`: workloads on it do not reach each
    other. `masquerade`: what leaves the subnet leaves under the host's address. `dns`: workloads
    find each other by name. `mtu` in bytes.
    """

    name: str
    bridge: str
    subnet: IPv4Network | None = None
    subnet6: IPv6Network | None = None
    gateway: IPv4Address | None = None
    gateway6: IPv6Address | None = None
    mtu: int = 1500
    isolate: bool = False
    masquerade: bool = False
    dns: bool = False

    @property
    def subnets(self) -> tuple[Subnet, ...]:
        """Those that it has, IPv4 first."""
        return tuple(subnet for subnet in (self.subnet, self.subnet6) if subnet is not None)

    @property
    def gateways(self) -> tuple[Interface, ...]:
        """The host's addresses on the bridge, with the length of the prefix."""
        found: list[Interface] = []
        if self.subnet is not None and self.gateway is not None:
            found.append(IPv4Interface((self.gateway, self.subnet.prefixlen)))
        if self.subnet6 is not None and self.gateway6 is not None:
            found.append(IPv6Interface((self.gateway6, self.subnet6.prefixlen)))
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Publish:
    """A port of the host that leads to one of the workload; `host` None: on all its addresses."""

    host_port: int
    port: int
    protocol: Protocol = Protocol.TCP
    host: Address | None = None

    def __str__(self) -> str:
        """As people write it: `[::1]:8443:443/tcp`."""
        ports = f"{self.host_port}:{self.port}/{self.protocol}"
        if self.host is None:
            return ports
        host = f"[{self.host}]" if self.host.version == 6 else str(self.host)
        return f"{host}:{ports}"

    def to_json(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "host": None if self.host is None else str(self.host),
            "host_port": self.host_port,
            "port": self.port,
            "protocol": self.protocol.value,
        }

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> Self:
        """The same back. Raises KeyError, TypeError, ValueError."""
        host = None if found["host"] is None else ip_address(str(found["host"]))
        return cls(int(found["host_port"]), int(found["port"]), Protocol(found["protocol"]), host)

    def collides(self, other: Publish) -> bool:
        """Whether both want the same port of the same address of the host."""
        same = self.host_port == other.host_port and self.protocol == other.protocol
        return same and (self.host == other.host or None in (self.host, other.host))


@dataclass(frozen=True, slots=True)
class Route:
    """`via` None: the destination is on the link itself."""

    to: Subnet
    via: Address | None = None

    def __str__(self) -> str:
        """As people write it."""
        to = "default" if self.to.prefixlen == 0 and self.via is not None else str(self.to)
        return to if self.via is None else f"{to} via {self.via}"


@dataclass(frozen=True, slots=True)
class Attachment:
    """[network] of a workload.toml, one interface (or none). What does not fit its mode is None.

    `name` is the network's. `address` None is "auto": from its subnet, always the same one. With
    `macvlan` there is none to take one from: addresses carry the length of their prefix. `rate` in
    bits per second, each way. `workload`: whose namespace is shared; `path`: of one that is there.
    """

    mode: Mode = Mode.BRIDGE
    name: str | None = None
    address: IPv4Address | IPv4Interface | None = None
    address6: IPv6Address | IPv6Interface | None = None
    mac: str | None = None
    interface: str = "eth0"
    mtu: int | None = None
    routes: tuple[Route, ...] = ()
    sysctls: tuple[tuple[str, str], ...] = ()
    publish: tuple[Publish, ...] = ()
    rate: int | None = None
    parent: str | None = None
    workload: str | None = None
    path: str | None = None
    conflist: str | None = None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An attachment with its addresses given out.

    `netns` is the path of the workload's network namespace, `link` the host's side of the veth
    pair (None where there is none), `interface` the workload's. Addresses carry the length of the
    network's prefix.
    """

    workload: str
    network: str | None
    mode: Mode
    netns: str
    link: str | None
    interface: str
    mac: str | None
    address: IPv4Interface | None = None
    address6: IPv6Interface | None = None
    publish: tuple[Publish, ...] = ()

    @property
    def addresses(self) -> tuple[Interface, ...]:
        """Those that it has, IPv4 first."""
        return tuple(each for each in (self.address, self.address6) if each is not None)

    def to_json(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "workload": self.workload,
            "network": self.network,
            "mode": self.mode.value,
            "netns": self.netns,
            "link": self.link,
            "interface": self.interface,
            "mac": self.mac,
            "address": None if self.address is None else str(self.address),
            "address6": None if self.address6 is None else str(self.address6),
            "publish": [each.to_json() for each in self.publish],
        }

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> Self:
        """The same back. Raises KeyError, TypeError, ValueError."""
        return cls(
            str(found["workload"]),
            found["network"],
            Mode(found["mode"]),
            str(found["netns"]),
            found["link"],
            str(found["interface"]),
            found["mac"],
            None if found["address"] is None else IPv4Interface(found["address"]),
            None if found["address6"] is None else IPv6Interface(found["address6"]),
            tuple(Publish.from_json(each) for each in found["publish"]),
        )
