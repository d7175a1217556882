"""Which names there are, and who is told of which. Pure.

A workload is told of workloads on its own networks, if those have `dns`: `NAME`, and
`NAME.NETWORK.internal` (internal is for private use, as ICANN has resolved in 2024). Of all others
it does not even learn that they are there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import ip_address

from supervisor.network.model import Address, Endpoint, Network
from supervisor.network.names.wire import Answer, Code, Kind
from supervisor.network.settings import sayable

DOMAIN = "internal"
_REVERSE = {".in-addr.arpa": 4, ".ip6.arpa": 6}


def domain(network: str) -> str:
    """That of a network."""
    return f"{network}.{DOMAIN}".lower()


class Book:
    """Made anew with each change. `endpoints`: of all workloads, by name."""

    def __init__(
        self, endpoints: Iterable[Endpoint] = (), networks: Mapping[str, Network] | None = None
    ) -> None:
        known = networks or {}
        self.networks = {name: known[name] for name in known if known[name].dns}
        """Those that have names."""
        self._on: dict[str, list[str]] = {}  # workload: its networks
        self._who: dict[tuple[str, Address], str] = {}  # network, address: workload
        self._has: dict[tuple[str, str], tuple[Address, ...]] = {}  # network, name: addresses
        self._own: dict[str, list[Address]] = {}  # workload: addresses
        self._text: dict[str, str] = {}  # network: its lines of hosts files
        for endpoint in endpoints:
            network = endpoint.network
            if network is None or network not in self.networks:
                continue
            addresses = tuple(each.ip for each in endpoint.addresses)
            self._on.setdefault(endpoint.workload, []).append(network)
            self._own.setdefault(endpoint.workload, []).extend(addresses)
            self._who |= {(network, address): endpoint.workload for address in addresses}
            # A and a are one name: it is that of the first.
            self._has.setdefault((network, endpoint.workload.lower()), addresses)
            full = f"{endpoint.workload} {endpoint.workload}.{domain(network)}"
            lines = "".join(f"{address}\t{full}\n" for address in addresses)
            self._text[network] = self._text.get(network, "") + lines

    @property
    def used(self) -> dict[str, Network]:
        """Networks that somebody is on who may ask."""
        return {name: network for name, network in self.networks.items() if name in self._text}

    @property
    def askers(self) -> dict[str, tuple[str, ...]]:
        """Workloads that are told names, and of which networks."""
        return {name: tuple(networks) for name, networks in self._on.items()}

    def of(self, asker: str) -> list[Network]:
        """Networks of which it is told names, in its own order."""
        return [self.networks[name] for name in self._on.get(asker, ())]

    def asker(self, network: str, source: Address) -> str | None:
        """Whose address it is on that network."""
        return self._who.get((network, source))

    def passes_on(self, asker: str) -> bool:
        """Whether it may ask for other names: who cannot leave his networks cannot do so in
        questions either (CVE-2024-29018 was that, in moby)."""
        return any(network.masquerade for network in self.of(asker))

    def answer(self, asker: str, name: str, kind: int) -> Answer | None:
        """What it is told; None: it is a name that others know. `name` has small letters."""
        if not name:
            return None
        address = _reverse(name)
        if address is not None:
            return self._reversed(asker, address, kind)
        zone, short, networks = "", name, self.of(asker)
        for network in networks:
            suffix = f".{domain(network.name)}"
            if f".{name}".endswith(suffix):
                zone, short, networks = suffix[1:], name[: -len(suffix)], [network]
                break
        found = [self._has.get((network.name, short), ()) for network in networks]
        addresses = tuple(address for each in found for address in each)
        if not addresses and (zone or "." not in name):
            exists = name == zone
            return Answer(Code.NOERROR if exists else Code.NXDOMAIN, (), zone, True)
        if not addresses:
            return None
        wanted = _VERSIONS.get(kind, ())
        data = tuple(address for address in addresses if address.version in wanted)
        return Answer(Code.NOERROR, data, zone, True)

    def _reversed(self, asker: str, address: Address, kind: int) -> Answer | None:
        for network in self.of(asker):
            if not any(address in subnet for subnet in network.subnets):
                continue
            workload = self._who.get((network.name, address))
            if workload is None or not sayable(workload):
                return Answer(Code.NXDOMAIN, (), domain(network.name), True)
            name = f"{workload}.{domain(network.name)}"
            data = (name,) if kind in (Kind.PTR, Kind.ANY) else ()
            return Answer(Code.NOERROR, data, domain(network.name), True)
        return None

    def hosts(self, asker: str) -> str:
        """Its /etc/hosts, but for `own`: the same for all on the same networks."""
        return _LOOPBACK + "".join(self._text[each.name] for each in self.of(asker))

    def own(self, asker: str, names: Iterable[str]) -> str:
        """Lines with what it calls itself besides its name."""
        others = " ".join(name for name in names if name.lower() != asker.lower())
        return "".join(f"{each}\t{others}\n" for each in self._own[asker]) if others else ""

    def resolver(self, asker: str) -> str:
        """Its /etc/resolv.conf: constant as long as it is on the same networks."""
        networks = self.of(asker)
        servers = [each.ip for network in networks for each in network.gateways]
        lines = [f"nameserver {server}" for server in servers[:_MOST_SERVERS]]
        lines.append(f"search {' '.join(domain(network.name) for network in networks)}")
        return "".join(f"{line}\n" for line in lines)


_LOOPBACK = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
_MOST_SERVERS = 3  # MAXNS, resolv.conf(5)
_VERSIONS: dict[int, tuple[int, ...]] = {Kind.A: (4,), Kind.AAAA: (6,), Kind.ANY: (4, 6)}


def _reverse(name: str) -> Address | None:
    """The address that `1.10.168.192.in-addr.arpa` asks about."""
    for suffix, version in _REVERSE.items():
        if name.endswith(suffix):
            words = name.removesuffix(suffix).split(".")[::-1]
            if version == 6:
                text = "".join(words)
                if len(words) != 32 or any(len(word) != 1 for word in words):
                    return None
                words = [text[at : at + 4] for at in range(0, 32, 4)]
            try:
                found = ip_address((":" if version == 6 else ".").join(words))
            except ValueError:
                return None
            return found if found.version == version else None
    return None
