"""What a workload's networks come to: steps, in the order in which they are taken. Pure.

Each step can be taken again: what is there already stays as it is. So the same list makes a
network, finishes one that was begun, and mends one that somebody has taken apart.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Interface, IPv6Interface

from supervisor.network import model
from supervisor.network.errors import NetworkError
from supervisor.network.leases import Lease
from supervisor.network.model import Attachment, Endpoint, Mode, Network
from supervisor.network.naming import Names


@dataclass(frozen=True, slots=True)
class Bridge:
    """The host's side of a network; `mac` keeps it from taking that of one of its ports."""

    network: str
    name: str
    alias: str
    mac: str
    mtu: int
    addresses: tuple[str, ...]

    def __str__(self) -> str:
        return f"make bridge {self.name} (networks.{self.network}.bridge)"


@dataclass(frozen=True, slots=True)
class Veth:
    """A pair: `link` is a port of `bridge`, the other end is `interface` in the namespace."""

    link: str
    alias: str
    bridge: str
    interface: str
    mac: str
    mtu: int
    v6: bool

    def __str__(self) -> str:
        return f"join {self.interface} to bridge {self.bridge} by {self.link} (network.name)"


@dataclass(frozen=True, slots=True)
class Isolate:
    """Whether a port reaches no other isolated one of its bridge."""

    network: str
    link: str
    isolated: bool

    def __str__(self) -> str:
        what = "isolate" if self.isolated else "do not isolate"
        return f"{what} {self.link} (networks.{self.network}.isolate)"


@dataclass(frozen=True, slots=True)
class Macvlan:
    """One more address on `parent`."""

    parent: str
    interface: str
    mac: str
    mtu: int | None
    v6: bool

    def __str__(self) -> str:
        return f"make macvlan {self.interface} on {self.parent} (network.parent)"


@dataclass(frozen=True, slots=True)
class SetSysctl:
    """In the namespace."""

    name: str
    value: str

    def __str__(self) -> str:
        return f"set {self.name} to {self.value} (network.sysctls)"


@dataclass(frozen=True, slots=True)
class AddAddress:
    """`address` with the length of its prefix."""

    interface: str
    address: str

    def __str__(self) -> str:
        return f"give {self.interface} {self.address} (network.address)"


@dataclass(frozen=True, slots=True)
class SetUp:
    """Switch it on."""

    interface: str

    def __str__(self) -> str:
        return f"switch {self.interface} on"


@dataclass(frozen=True, slots=True)
class AddRoute:
    """`via` "": the destination is on the link."""

    interface: str
    to: str
    via: str

    def __str__(self) -> str:
        by = f"via {self.via}" if self.via else "on the link"
        return f"add the route to {self.to} {by} (network.routes)"


@dataclass(frozen=True, slots=True)
class Limit:
    """What leaves by a link; of the host if it is one of the host's. `rate` 0: no limit."""

    link: str
    host: bool
    rate: int

    def __str__(self) -> str:
        return f"limit {self.link} to {self.rate} bits per second (network.rate)"


Step = Bridge | Veth | Isolate | Macvlan | SetSysctl | AddAddress | SetUp | AddRoute | Limit
SHARED = (Bridge,)
"""Steps about what is not the workload's alone."""
LIVE = (Bridge, Isolate, Limit)
"""Steps that can be taken again with other values while the workload runs."""


@dataclass(frozen=True, slots=True)
class Plug:
    """What CNI plugins are to make: `conflist` is a path. They publish ports themselves."""

    conflist: str
    interface: str
    publish: tuple[model.Publish, ...] = ()


@dataclass(frozen=True, slots=True)
class Setup:
    """All that a workload's networks come to. `netns` "": it has no namespace of its own.

    `joins`: path of the namespace that it runs in, None for the host's. `owner`: the workload
    whose namespace it shares.
    """

    workload: str
    netns: str
    joins: str | None
    owner: str | None
    steps: tuple[Step, ...]
    endpoints: tuple[Endpoint, ...]
    cni: tuple[Plug, ...] = ()

    @property
    def shape(self) -> str:
        """What cannot be changed while it runs: the same for two that differ in nothing else."""
        fixed = [step for step in self.steps if not isinstance(step, LIVE)]
        said = repr((self.netns, self.joins, fixed, self.cni))
        return hashlib.sha256(said.encode()).hexdigest()[:16]

    @property
    def links(self) -> tuple[str, ...]:
        """Those of the host that are the workload's."""
        return tuple(step.link for step in self.steps if isinstance(step, Veth))

    @property
    def bridges(self) -> tuple[Bridge, ...]:
        """Those that it needs."""
        return tuple(step for step in self.steps if isinstance(step, Bridge))


def declared(
    attachments: Sequence[Attachment], networks: Mapping[str, Network]
) -> Iterator[tuple[Attachment, Network]]:
    """Those that have a network, with it. Raises NetworkError if there is no such network."""
    for attachment in attachments:
        if attachment.name is None:
            continue
        if attachment.name not in networks:
            known = ", ".join(sorted(networks)) or "none"
            raise NetworkError(
                f"network.name: there is no network {attachment.name} in creched.toml or "
                f"networks.d; known: {known}"
            )
        yield attachment, networks[attachment.name]


def compile_setup(
    names: Names,
    workload: str,
    attachments: Sequence[Attachment],
    networks: Mapping[str, Network],
    leases: Mapping[str, Lease],
) -> Setup:
    """The steps for one workload. Pure. Raises NetworkError."""
    first = attachments[0] if attachments else Attachment(Mode.HOST)
    if first.mode is Mode.HOST:
        return Setup(workload, "", None, None, (), ())
    if first.mode is Mode.NAMESPACE:
        joins = first.path or names.namespace(first.workload or "")
        return Setup(workload, "", joins, first.workload, (), ())
    netns = names.namespace(workload)
    steps: list[Step] = []
    endpoints: list[Endpoint] = []
    cni: list[Plug] = []
    routed: set[int] = set()  # families that have a default route
    for attachment in attachments:
        match attachment.mode:
            case Mode.BRIDGE:
                network = networks[attachment.name or ""]
                endpoint = _endpoint(names, workload, attachment, network, leases)
                steps += _bridge(names, attachment, network, endpoint, routed)
            case Mode.MACVLAN:
                endpoint = _endpoint(names, workload, attachment, None, leases)
                steps += _macvlan(attachment, endpoint)
            case _:
                endpoint = _endpoint(names, workload, attachment, None, leases)
                steps += [SetSysctl(*pair) for pair in attachment.sysctls]
                if attachment.mode is Mode.CNI:
                    publish, endpoint = endpoint.publish, replace(endpoint, publish=())
                    cni.append(Plug(attachment.conflist or "", attachment.interface, publish))
        if attachment.mode is not Mode.NONE:
            endpoints.append(endpoint)
    return Setup(workload, netns, netns, None, tuple(steps), tuple(endpoints), tuple(cni))


def _endpoint(
    names: Names,
    workload: str,
    attachment: Attachment,
    network: Network | None,
    leases: Mapping[str, Lease],
) -> Endpoint:
    found: dict[int, IPv4Interface | IPv6Interface] = {}
    if network is not None:
        for subnet, address in zip(network.subnets, leases[network.name].addresses, strict=True):
            kind = IPv4Interface if subnet.version == 4 else IPv6Interface
            found[subnet.version] = kind(f"{address}/{subnet.prefixlen}")
    elif attachment.mode is Mode.MACVLAN:
        for given in (attachment.address, attachment.address6):
            if isinstance(given, (IPv4Interface, IPv6Interface)):
                found[given.version] = given
    v4, v6 = found.get(4), found.get(6)
    interface = attachment.interface
    return Endpoint(
        workload,
        attachment.name,
        attachment.mode,
        names.namespace(workload),
        names.veth(workload, interface) if network is not None else None,
        interface,
        None if attachment.mode is Mode.CNI else attachment.mac or names.mac(workload, interface),
        v4 if isinstance(v4, IPv4Interface) else None,
        v6 if isinstance(v6, IPv6Interface) else None,
        attachment.publish,
    )


def _bridge(
    names: Names,
    attachment: Attachment,
    network: Network,
    endpoint: Endpoint,
    routed: set[int],
) -> Iterator[Step]:
    link, mac, interface = endpoint.link or "", endpoint.mac or "", endpoint.interface
    mtu = attachment.mtu or network.mtu
    if mtu > network.mtu:
        raise NetworkError(f"network.mtu: {mtu} is more than the {network.mtu} of {network.name}")
    yield Bridge(
        network.name,
        network.bridge,
        names.bridge_alias(network.name),
        names.mac("network", network.name),
        network.mtu,
        tuple(map(str, network.gateways)),
    )
    alias = names.link_alias(endpoint.workload, interface)
    v6 = network.subnet6 is not None
    yield Veth(link, alias, network.bridge, interface, mac, mtu, v6)
    yield Isolate(network.name, link, network.isolate)
    routes = list(attachment.routes)
    routed |= {route.to.version for route in routes if route.to.prefixlen == 0}
    for gateway in network.gateways:
        if gateway.version not in routed:
            routed.add(gateway.version)
            routes.append(
                model.Route(
                    type(gateway)("::/0" if gateway.version == 6 else "0.0.0.0/0").network,
                    gateway.ip,
                )
            )
    yield from _inside(attachment, endpoint, routes)
    yield Limit(link, True, attachment.rate or 0)


def _macvlan(attachment: Attachment, endpoint: Endpoint) -> Iterator[Step]:
    v6 = endpoint.address6 is not None
    yield Macvlan(
        attachment.parent or "", endpoint.interface, endpoint.mac or "", attachment.mtu, v6
    )
    yield from _inside(attachment, endpoint, attachment.routes)


def _inside(
    attachment: Attachment, endpoint: Endpoint, routes: Sequence[model.Route]
) -> Iterator[Step]:
    interface = endpoint.interface
    for address in endpoint.addresses:
        yield AddAddress(interface, str(address))
    for pair in attachment.sysctls:
        yield SetSysctl(*pair)
    yield SetUp(interface)
    for route in sorted(routes, key=lambda route: route.via is not None):
        yield AddRoute(interface, str(route.to), str(route.via or ""))
    yield Limit(interface, False, attachment.rate or 0)
