"""The rules of nftables that published ports, masquerade and isolation come to. Pure.

Names of bridges and addresses have been parsed: nothing that is written here needs quoting.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address

from supervisor.network.model import Address, Endpoint, Mode, Network, Protocol, Publish

LOOPBACK6 = IPv6Address("::1")
_MAPS = {
    "given4": "ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service",
    "given6": "ipv6_addr . inet_proto . inet_service : ipv6_addr . inet_service",
    "any4": "inet_proto . inet_service : ipv4_addr . inet_service",
    "any6": "inet_proto . inet_service : ipv6_addr . inet_service",
}
"""Ports of one address of the host, and of all; to where each leads."""


def published(endpoint: Endpoint) -> Iterator[tuple[int, Publish, Address]]:
    """Index of each declaration, and an address that it leads to: of each family that fits."""
    if endpoint.mode is not Mode.BRIDGE:
        return
    for index, publish in enumerate(endpoint.publish):
        for address in endpoint.addresses:
            if publish.host is None or publish.host.version == address.version:
                yield index, publish, address.ip


def used(endpoints: Iterable[Endpoint], networks: Mapping[str, Network]) -> list[Network]:
    """The networks that have a bridge now, by name."""
    names = {each.network for each in endpoints if each.mode is Mode.BRIDGE}
    return [networks[name] for name in sorted(networks) if name in names]


def localnet(endpoints: Iterable[Endpoint]) -> set[str]:
    """The networks that something of the host's 127.0.0.0/8 leads to."""
    return {
        endpoint.network or ""
        for endpoint in endpoints
        for _, publish, address in published(endpoint)
        if address.version == 4 and (publish.host is None or publish.host.is_loopback)
    }


def forwarding(endpoints: Collection[Endpoint], networks: Mapping[str, Network]) -> set[int]:
    """The families (4, 6) that have to be forwarded between the host's links."""
    found: set[int] = {
        subnet.version
        for network in used(endpoints, networks)
        if network.masquerade
        for subnet in network.subnets
    }
    for endpoint in endpoints:
        for _, publish, address in published(endpoint):
            if publish.host is None or not publish.host.is_loopback:
                found.add(address.version)
    return found


Where = tuple[int, Protocol, int, Address | None]
"""Family (4, 6), protocol, port, and address of the host (None: all of them)."""


@dataclass(frozen=True, slots=True)
class Ruleset:
    """A table of the family inet, as it is to be. `ports`: address and port that each leads to."""

    table: str
    comment: str
    chains: str
    ports: Mapping[Where, tuple[Address, int]]

    def whole(self) -> str:
        """What makes it, in place of whatever there is, as nft(8) reads it."""
        return f"{remove(self.table)}\n{self._filled()}"

    def replacing(self) -> str:
        """The same where chains may stay as they are: if they do not, answers to what is under way
        may not be recognised for an instant."""
        maps = [f"{name} {{ type {kind}; }}" for name, kind in _MAPS.items()]
        return "\n".join(
            [
                f'add table inet {self.table} {{ comment "{self.comment}"; }}',
                f"flush table inet {self.table}",
                *(f"add map inet {self.table} {each}" for each in maps),
                *(f"flush map inet {self.table} {name}" for name in _MAPS),
                self._filled(),
            ]
        )

    def changing(self, old: Ruleset) -> str:
        """The same where the table is as `old` says, with other ports at most."""
        gone = {where: to for where, to in old.ports.items() if self.ports.get(where) != to}
        come = {where: to for where, to in self.ports.items() if old.ports.get(where) != to}
        return "\n".join([*self._elements("delete", gone), *self._elements("add", come)])

    def _elements(self, verb: str, ports: Mapping[Where, tuple[Address, int]]) -> Iterator[str]:
        for name, elements in _sorted(ports).items():
            if elements:
                yield f"{verb} element inet {self.table} {name} {{ {', '.join(elements)} }}"

    def _filled(self) -> str:
        lines = [f"table inet {self.table} {{", f'comment "{self.comment}"']
        for name, elements in _sorted(self.ports).items():
            lines += [f"map {name} {{", f"type {_MAPS[name]}"]
            if elements:
                lines.append(f"elements = {{ {', '.join(elements)} }}")
            lines.append("}")
        return "\n".join([*lines, self.chains, "}"])


def ruleset(
    table: str, comment: str, endpoints: Sequence[Endpoint], networks: Mapping[str, Network]
) -> Ruleset | None:
    """The table that there is to be; None: none is needed."""
    inside = used(endpoints, networks)
    ports: dict[Where, tuple[Address, int]] = {}
    for endpoint in endpoints:
        for _, publish, address in published(endpoint):
            if publish.host != LOOPBACK6:  # see relay
                where = (address.version, publish.protocol, publish.host_port, publish.host)
                ports.setdefault(where, (address, publish.port))
    asked = any(network.masquerade or network.isolate for network in inside)
    if not asked and len(inside) < 2 and not ports:
        return None
    bridges = _any_of(network.bridge for network in inside)
    lines: list[str] = []
    for name, chain in (
        ("published", _published()),
        ("arriving", _arriving()),
        ("own", _own()),
        ("leaving", _leaving(inside, bridges)),
        ("between", _between(inside, bridges)),
        ("loopback", _loopback(bridges)),
    ):
        lines += [f"chain {name} {{", *chain, "}"]
    return Ruleset(table, comment, "\n".join(lines), ports)


def remove(table: str) -> str:
    """Have no table, whatever is in it; fine if there is none."""
    return f"add table inet {table}\ndelete table inet {table}"


def _sorted(ports: Mapping[Where, tuple[Address, int]]) -> dict[str, list[str]]:
    """Elements of each map."""
    found: dict[str, list[str]] = {name: [] for name in _MAPS}
    for (version, protocol, port, host), (address, to) in ports.items():
        key = f"{protocol} . {port}" if host is None else f"{host} . {protocol} . {port}"
        name = f"{'any' if host is None else 'given'}{version}"
        found[name].append(f"{key} : {address} . {to}")
    return found


def _published() -> Iterator[str]:
    for family, prefix in (("ip", 4), ("ip6", 6)):
        yield f"dnat {family} to {family} daddr . meta l4proto . th dport map @given{prefix}"
        yield f"dnat {family} to meta l4proto . th dport map @any{prefix}"


def _arriving() -> Iterator[str]:
    yield "type nat hook prerouting priority -100; policy accept;"
    # What is on the loopback is the host's alone, whatever route_localnet is elsewhere
    # (CVE-2020-8558).
    yield "ip daddr 127.0.0.0/8 return"
    yield "fib daddr type local jump published"


def _own() -> Iterator[str]:
    yield "type nat hook output priority -100; policy accept;"
    yield "ip6 daddr ::1 return"
    yield "fib daddr type local jump published"


def _leaving(inside: Sequence[Network], bridges: str) -> Iterator[str]:
    yield "type nat hook postrouting priority 100; policy accept;"
    yield f"ip saddr 127.0.0.0/8 oifname {bridges} masquerade"
    for network in inside:
        for subnet in network.subnets:
            ip = "ip" if subnet.version == 4 else "ip6"
            # The answer would go straight to who has asked, who asked somebody else.
            yield (
                f"{ip} saddr {subnet} {ip} daddr {subnet} "
                f'oifname "{network.bridge}" ct status dnat masquerade'
            )
            if network.masquerade:
                yield f"{ip} saddr {subnet} oifname != {bridges} masquerade"


def _between(inside: Sequence[Network], bridges: str) -> Iterator[str]:
    yield "type filter hook forward priority 0; policy accept;"
    yield "ct state established,related accept"
    for network in inside:
        if network.isolate:  # the bridge's ports are; this is for the way round by the gateway
            yield f'iifname "{network.bridge}" oifname "{network.bridge}" drop'
    yield "ct status dnat accept"
    for network in inside:
        yield f'iifname "{network.bridge}" oifname "{network.bridge}" accept'
    yield f"iifname {bridges} oifname {bridges} drop"
    hidden = _any_of(network.bridge for network in inside if network.masquerade)
    if hidden:
        yield f"oifname {hidden} drop"


def _loopback(bridges: str) -> Iterator[str]:
    yield "type filter hook prerouting priority -300; policy accept;"
    # With route_localnet the kernel would take these.
    yield f"iifname {bridges} ip saddr 127.0.0.0/8 drop"
    yield f"iifname {bridges} ip daddr 127.0.0.0/8 drop"


def _any_of(names: Iterable[str]) -> str:
    """A set of names of links; "" for none."""
    quoted = [f'"{name}"' for name in names]
    return f"{{ {', '.join(quoted)} }}" if quoted else ""
