"""[networks.NAME] of creched.toml and of networks.d/*.toml."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from itertools import combinations

from supervisor.network import kinds as network
from supervisor.network.model import Address, Network, Subnet
from supervisor.workload import kinds
from supervisor.workload.schema import Field, Section, Values

PREFIX = "cr-"
"""What the name of a bridge begins with that is not given one."""


def _make(name: str, values: Values) -> Network:
    made = {key: value for key, value in values.items() if key not in ("bridge",)}
    for key in ("", "6"):
        subnet = made[f"subnet{key}"]
        if subnet is not None and made[f"gateway{key}"] is None:
            made[f"gateway{key}"] = subnet[1]
    return Network(name, values["bridge"] or f"{PREFIX}{name}", **made)


def _rules(name: str, values: Values) -> Iterable[tuple[str, str]]:
    if values["subnet"] is None and values["subnet6"] is None:
        yield "subnet", "expected subnet or subnet6, or both, found none"
    for family in ("", "6"):
        subnet, gateway = values[f"subnet{family}"], values[f"gateway{family}"]
        if gateway is not None and subnet is None:
            yield f"gateway{family}", f"goes together with subnet{family}"
        elif gateway is not None and not usable(subnet, gateway):
            yield f"gateway{family}", f"expected an address of a host in {subnet}, found {gateway}"
    if values["subnet6"] is not None and values["mtu"] < 1280:
        yield "mtu", f"expected at least 1280 with IPv6 (RFC 8200), found {values['mtu']}"
    if values["dns"] and not sayable(name):
        yield "dns", "expected a network whose name has no empty part and none of 64 letters"
    if values["bridge"] is None:
        try:
            network.link_name(f"{PREFIX}{name}")
        except ValueError:
            yield "bridge", f"expected a name, since {PREFIX}{name} is none that a link may have"


def sayable(name: str) -> bool:
    """Whether it is one in DNS (RFC 1035, 2.3.4): of no network it is too long as a whole."""
    return all(0 < len(part) < 64 for part in name.split("."))


def usable(subnet: Subnet, address: Address) -> bool:
    """Whether `address` can be that of a host in `subnet`: neither its first nor a broadcast's."""
    if address not in subnet or address == subnet.network_address:
        return False
    return subnet.version == 6 or address != subnet.broadcast_address


NETWORK = Section(
    "networks.NAME",
    "A network that workloads join (`[network] name`): a bridge on the host. It is there as long "
    "as one of them is.",
    (
        Field(
            "bridge",
            network.LINK,
            None,
            f"`{PREFIX}NAME`",
            "Its name. A link of that name that creched has not made is an error.",
        ),
        Field("subnet", network.SUBNET, None, "none", "Where workloads' IPv4 addresses are from."),
        Field("subnet6", network.SUBNET6, None, "none", "Where their IPv6 addresses are from."),
        Field(
            "gateway",
            network.GATEWAY,
            None,
            "the subnet's first",
            "The host's IPv4 address on the bridge, and the workloads' default route.",
        ),
        Field("gateway6", network.GATEWAY6, None, "the subnet's first", "The same of IPv6."),
        Field("mtu", kinds.integer(68, 65535), 1500, "1500", "Bytes in the largest packet."),
        Field(
            "isolate",
            kinds.BOOLEAN,
            False,
            "false",
            "Whether workloads on it are kept from reaching each other.",
            live=True,
        ),
        Field(
            "masquerade",
            kinds.BOOLEAN,
            False,
            "false",
            "Whether what leaves its subnets for elsewhere does so under the host's address.",
            live=True,
        ),
        Field(
            "dns",
            kinds.BOOLEAN,
            False,
            "false",
            "Whether workloads on it find each other by name: `NAME`, `NAME.NETWORK.internal`. "
            "They get `/etc/hosts` and `/etc/resolv.conf`, unless they mount their own; those that "
            "run already, from their next start.",
            live=True,
        ),
    ),
    make=partial(_make, "NAME"),
    optional=True,
)


def networks(names: Iterable[str]) -> Section:
    """The table of networks, which has these."""
    parts = tuple(
        replace(NETWORK, keys=(name,), make=partial(_make, name), rules=partial(_rules, name))
        for name in names
    )
    return Section(
        "networks",
        "Networks.",
        (),
        make=lambda values: {name: made for name, made in values.items() if made is not None},
        parts=parts or (NETWORK,),
        rules=_together,
    )


def _together(values: Values) -> Iterable[tuple[str, str]]:
    """Networks that are in each other's way."""
    for name in values:
        try:
            kinds.workload_name(name)
        except ValueError:
            yield name, f"expected {kinds.NAME.expected}"
    for one, other in combinations([made for made in values.values() if made is not None], 2):
        yield from ((other.name, message) for message in conflicts(one, other))


def conflicts(one: Network, other: Network) -> Iterable[str]:
    """Why two networks cannot both be there, said of the second."""
    if one.bridge == other.bridge:
        yield f"bridge {other.bridge} is that of network {one.name} already"
    for mine in other.subnets:
        for theirs in one.subnets:
            if mine.version == theirs.version and mine.overlaps(theirs):
                yield f"{mine} overlaps with {theirs} of network {one.name}"
