"""[network], or several [[network]]: how a workload is attached to networks."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Interface, IPv6Interface
from itertools import combinations

from supervisor.network import kinds as network
from supervisor.network.model import Attachment, Mode
from supervisor.workload import kinds
from supervisor.workload.schema import Field, Section, Values, into

FITS: dict[str, tuple[Mode, ...]] = {
    "name": (Mode.BRIDGE,),
    "address": (Mode.BRIDGE, Mode.MACVLAN),
    "address6": (Mode.BRIDGE, Mode.MACVLAN),
    "mac": (Mode.BRIDGE, Mode.MACVLAN),
    "interface": (Mode.BRIDGE, Mode.MACVLAN, Mode.CNI),
    "mtu": (Mode.BRIDGE, Mode.MACVLAN),
    "routes": (Mode.BRIDGE, Mode.MACVLAN),
    "sysctls": (Mode.BRIDGE, Mode.MACVLAN, Mode.CNI, Mode.NONE),
    "publish": (Mode.BRIDGE, Mode.CNI),
    "rate": (Mode.BRIDGE, Mode.MACVLAN),
    "parent": (Mode.MACVLAN,),
    "workload": (Mode.NAMESPACE,),
    "path": (Mode.NAMESPACE,),
    "conflist": (Mode.CNI,),
}
"""The modes that a key goes together with."""
NEEDS = {Mode.BRIDGE: "name", Mode.MACVLAN: "parent", Mode.CNI: "conflist"}
ETH0 = "eth0"
ALONE = (Mode.HOST, Mode.NONE, Mode.NAMESPACE)


def _rules(values: Values) -> Iterable[tuple[str, str]]:
    mode = values["mode"]
    for key, modes in FITS.items():
        if mode not in modes and values[key] not in (None, (), ETH0):
            fitting = " or ".join(f'"{each}"' for each in modes)
            yield key, f'goes together with mode = {fitting}, found "{mode}"'
    needed = NEEDS.get(mode)
    if needed is not None and values[needed] is None:
        yield "mode", f'mode = "{mode}" needs {needed}, which is missing'
    if mode is Mode.NAMESPACE and (values["workload"] is None) == (values["path"] is None):
        yield "mode", 'mode = "namespace" needs either workload or path'
    if mode is Mode.MACVLAN:
        if values["address"] is None and values["address6"] is None:
            yield "mode", 'mode = "macvlan" needs address or address6, such as "192.168.1.5/24"'
        for key in ("address", "address6"):
            if values[key] is not None and not isinstance(
                values[key], (IPv4Interface, IPv6Interface)
            ):
                yield key, f"expected an address with its prefix, such as {values[key]}/24"
    elif mode is Mode.BRIDGE:
        for key in ("address", "address6"):
            if isinstance(values[key], (IPv4Interface, IPv6Interface)):
                yield key, f"expected an address without a prefix, found {values[key]}"
    for one, other in combinations(values["publish"], 2):
        if one.collides(other):
            yield "publish", f"{other} is in the way of {one}"


NETWORK = Section(
    "network",
    "How it is attached to networks; an array of tables, `[[network]]`, for several. It cannot go "
    "together with `container.network`; with a config.json it takes the place of the network "
    "namespace that is named there.",
    (
        Field(
            "mode",
            network.MODE,
            Mode.BRIDGE,
            '"bridge"',
            "`bridge`: to the network `name`; `macvlan`: to the host's link `parent`; `cni`: as "
            "CNI plugins do it; `namespace`: it shares the network of `workload` or `path`; "
            "`host`: it has the host's; `none`: nothing but loopback.",
        ),
        Field("name", kinds.NAME, None, "none", "The network: `[networks.NAME]` of creched.toml."),
        Field(
            "address",
            network.ADDRESS,
            None,
            '"auto"',
            "Its IPv4 address. `auto`: one of the subnet's, and always the same one. With "
            "`macvlan` it is given, with its prefix: `192.168.1.5/24`.",
        ),
        Field("address6", network.ADDRESS6, None, '"auto"', "The same of IPv6."),
        Field("mac", network.MAC, None, "one made from its name", "Its hardware address."),
        Field(
            "interface",
            network.LINK,
            ETH0,
            f'"{ETH0}"',
            "What the interface is called inside; each of several is called otherwise.",
        ),
        Field(
            "mtu",
            kinds.integer(68, 65535),
            None,
            "the network's",
            "Bytes in the largest packet that it sends.",
        ),
        Field(
            "routes",
            kinds.list_of(network.ROUTE),
            (),
            "[]",
            'Routes besides the default one by the gateway: `"10.8.0.0/16 via 192.168.10.254"`. '
            "With `macvlan` the default one too: `default via 192.168.1.1`.",
        ),
        Field(
            "sysctls",
            network.SYSCTLS,
            (),
            "{}",
            'Sysctls of its namespace: `{ "net.ipv4.ip_default_ttl" = 65 }`.',
        ),
        Field(
            "publish",
            kinds.list_of(network.PUBLISH),
            (),
            "[]",
            'Ports of the host that lead to it: `"8080:80/tcp"`, `"127.0.0.1:53:53/udp"`, '
            '`"[::1]:8443:443"`.',
            live=True,
        ),
        Field(
            "rate",
            network.RATE,
            None,
            "no limit",
            'Bits per second, each way: `"100mbit"`.',
            live=True,
        ),
        Field("parent", network.LINK, None, "none", "The host's link, of a `macvlan`."),
        Field("workload", kinds.NAME, None, "none", "Whose network is shared."),
        Field("path", kinds.ABSOLUTE, None, "none", "A network namespace that is there."),
        Field(
            "conflist",
            kinds.ABSOLUTE,
            None,
            "none",
            "A list of CNI plugins, such as `/etc/cni/net.d/lan.conflist`. Ports go to the one "
            "with the capability `portMappings`, and change with the next start.",
        ),
    ),
    make=into(Attachment),
    repeated=True,
    single=True,
    rules=_rules,
)


def together(attachments: tuple[Attachment, ...]) -> Iterable[tuple[int, str, str]]:
    """Which of several (its index), which key, and why they cannot all be."""
    for index, attachment in enumerate(attachments):
        if attachment.mode in ALONE and len(attachments) > 1:
            yield index, "mode", f'"{attachment.mode}" cannot be one of several'
    for (_, one), (index, other) in combinations(enumerate(attachments), 2):
        if one.interface == other.interface:
            yield index, "interface", f"{other.interface} is there more than once"
        if other.name is not None and one.name == other.name:
            yield index, "name", f"it is on network {other.name} already"
        for mine in other.publish:
            for theirs in one.publish:
                if mine.collides(theirs):
                    yield index, "publish", f"{mine} is in the way of {theirs}"
