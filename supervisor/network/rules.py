"""The rules of nftables that published ports, masquerade and isolation come to. Pure.

Names of bridges and addresses have been parsed: nothing that is written here needs quoting.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from ipaddress import IPv6Address

from supervisor.network.model import Address, Endpoint, Mode, Network, Publish

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


def ruleset(
    table: str, comment: str, endpoints: Sequence[Endpoint], networks: Mapping[str, Network]
) -> str | None:
    """A table as nft(8) reads it; None: none is needed."""
    inside = used(endpoints, networks)
    maps = _elements(endpoints)
    asked = any(network.masquerade or network.isolate for network in inside)
    if not asked and len(inside) < 2 and not any(maps.values()):
        return None
    bridges = _any_of(network.bridge for network in inside)
    lines = [f"table inet {table} {{", f'comment "{comment}"']
    for name, kind in _MAPS.items():
        lines += [f"map {name} {{", f"type {kind}"]
        if maps[name]:
            lines.append(f"elements = {{ {', '.join(maps[name])} }}")
        lines.append("}")
    for name, chain in (
        ("published", _published()),
        ("arriving", _arriving()),
        ("own", _own()),
        ("leaving", _leaving(inside, bridges)),
        ("between", _between(inside, bridges)),
        ("loopback", _loopback(bridges)),
    ):
        lines += [f"chain {name} {{", *chain, "}"]
    return "\n".join([*lines, "}"])


def replace(table: str, comment: str, text: str) -> str:
    """Take a table as it is to be in place of what there is, in one transaction.

    Chains stay where they are, or what is under way would pass by without them for an instant.
    """
    maps = [f"add map inet {table} {name} {{ type {kind}; }}" for name, kind in _MAPS.items()]
    maps += [f"flush map inet {table} {name}" for name in _MAPS]
    begin = f'add table inet {table} {{ comment "{comment}"; }}'
    return "\n".join([begin, f"flush table inet {table}", *maps, text])


def remove(table: str) -> str:
    """Have no table, whatever is in it; fine if there is none."""
    return f"add table inet {table}\ndelete table inet {table}"


def _elements(endpoints: Iterable[Endpoint]) -> dict[str, list[str]]:
    """Of each map. What belongs to ::1 is none: see relay."""
    found: dict[str, dict[str, str]] = {name: {} for name in _MAPS}
    for endpoint in endpoints:
        for _, publish, address in published(endpoint):
            if publish.host == LOOPBACK6:
                continue
            key = f"{publish.protocol} . {publish.host_port}"
            if publish.host is not None:
                key = f"{publish.host} . {key}"
            name = f"{'any' if publish.host is None else 'given'}{address.version}"
            found[name].setdefault(key, f"{key} : {address} . {publish.port}")
    return {name: list(elements.values()) for name, elements in found.items()}


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
