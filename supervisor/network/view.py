"""Networks as they are shown: `GET /networks`, `crechectl net`, the drawing. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from supervisor.network.leases import Lease
from supervisor.network.made import Made
from supervisor.network.model import Attachment, Network


@dataclass(frozen=True, slots=True)
class NetworkView:
    """A network that is declared; `users` are the workloads that are attached to it now."""

    name: str
    bridge: str
    subnets: tuple[str, ...]
    gateways: tuple[str, ...]
    mtu: int
    isolate: bool
    masquerade: bool
    dns: bool
    users: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class InterfaceView:
    """An interface of a workload that is there now; `network` is null for `macvlan` and `cni`.

    `link` is the host's side of it. `rate` in bits per second. `shared_by`: workloads that run in
    the same network namespace.
    """

    workload: str
    network: str | None
    mode: str
    interface: str
    link: str | None
    mac: str | None
    addresses: tuple[str, ...]
    publish: tuple[str, ...]
    rate: int | None
    shared_by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LeaseView:
    """Addresses that a workload has on a network, or keeps while it is not attached to it.

    `fixed`: which of them are given in its workload.toml.
    """

    workload: str
    network: str
    addresses: tuple[str, ...]
    fixed: tuple[bool, ...]
    attached: bool


@dataclass(frozen=True, slots=True)
class Topology:
    """All networks of one creched."""

    networks: tuple[NetworkView, ...] = ()
    interfaces: tuple[InterfaceView, ...] = ()
    leases: tuple[LeaseView, ...] = ()


def topology(
    networks: Mapping[str, Network],
    made: Mapping[str, Made],
    attached: Mapping[str, tuple[Attachment, ...]],
    leases: Mapping[str, Mapping[str, Lease]],
) -> Topology:
    """What is declared, what was made, who has which addresses; each by name.

    `attached` has the settings that hold for workloads that are made.
    """
    interfaces = tuple(_interfaces(made, attached))
    on = {(each.workload, each.network) for each in interfaces}
    return Topology(
        tuple(_network(networks[name], interfaces) for name in sorted(networks)),
        interfaces,
        tuple(
            LeaseView(
                workload,
                network,
                tuple(map(str, lease.addresses)),
                lease.fixed,
                (workload, network) in on,
            )
            for workload in sorted(leases)
            for network, lease in sorted(leases[workload].items())
        ),
    )


def _network(network: Network, interfaces: tuple[InterfaceView, ...]) -> NetworkView:
    users = {
        name
        for each in interfaces
        if each.network == network.name
        for name in (each.workload, *each.shared_by)
    }
    return NetworkView(
        network.name,
        network.bridge,
        tuple(map(str, network.subnets)),
        tuple(str(gateway.ip) for gateway in network.gateways),
        network.mtu,
        network.isolate,
        network.masquerade,
        network.dns,
        tuple(sorted(users)),
    )


def _interfaces(
    made: Mapping[str, Made], attached: Mapping[str, tuple[Attachment, ...]]
) -> Iterator[InterfaceView]:
    sharing: dict[str, list[str]] = {}
    for name in sorted(made):
        if (owner := made[name].owner) is not None:
            sharing.setdefault(owner, []).append(name)
    for name in sorted(made):
        rates = {each.interface: each.rate for each in attached.get(name, ())}
        for endpoint in made[name].endpoints:
            yield InterfaceView(
                name,
                endpoint.network,
                endpoint.mode.value,
                endpoint.interface,
                endpoint.link,
                endpoint.mac,
                tuple(map(str, endpoint.addresses)),
                tuple(map(str, endpoint.publish)),
                rates.get(endpoint.interface),
                tuple(sharing.get(name, ())),
            )
