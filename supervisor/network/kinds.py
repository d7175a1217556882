"""Kinds of values in declarations of networks, for the schema of their tables."""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_address,
    ip_network,
)

from supervisor.network.model import Address, Interface, Mode, Protocol, Publish, Route, Subnet
from supervisor.workload.kinds import Kind, Mismatch

_LINK = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,14}")
_MAC = re.compile(r"[0-9a-f][0-9a-f](:[0-9a-f][0-9a-f]){5}")
_PUBLISH = re.compile(
    r"(?:(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+)):)?([0-9]{1,5}):([0-9]{1,5})(?:/(tcp|udp))?"
)
_RATE = re.compile(r"([0-9]{1,12})([kmg]?)bit")
_RATES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}
_SYSCTL = re.compile(r"net(\.[A-Za-z0-9_-]+)+")


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def link_name(value: object) -> str:
    """A name a link may have, in 15 bytes (IFNAMSIZ, netdevice(7)); raises ValueError."""
    if _LINK.fullmatch(_text(value)) is None or value in ("all", "default", "lo"):
        raise ValueError  # all and default have a place in /proc/sys/net already
    return _text(value)


def _subnet(
    family: type[IPv4Network] | type[IPv6Network], shortest: int, longest: int
) -> Callable[[object], Subnet]:
    """Of one family, with a prefix of so many bits."""

    def parse(value: object) -> Subnet:
        found = family(_text(value))
        if not shortest <= found.prefixlen <= longest or _special(found.network_address):
            raise ValueError
        return found

    return parse


def _special(address: IPv4Address | IPv6Address) -> bool:
    # Link-local addresses are given out by the kernel, on every link.
    return (
        address.is_multicast
        or address.is_loopback
        or address.is_unspecified
        or address.is_link_local
        or address == IPv4Address("255.255.255.255")
    )


def _one(value: object) -> str:
    text = _text(value)
    if "%" in text:
        raise ValueError
    return text


def _address(
    family: type[IPv4Interface] | type[IPv6Interface],
) -> Callable[[object], Address | Interface | None]:
    """Of one family, with a prefix if there is one; None for "auto"."""

    def parse(value: object) -> Address | Interface | None:
        text = _one(value)
        if text == "auto":
            return None
        found = family(text)
        if _special(found.ip):
            raise ValueError
        return found if "/" in text else found.ip

    return parse


def _gateway(value: object) -> IPv4Address:
    return IPv4Address(_text(value))


def _gateway6(value: object) -> IPv6Address:
    return IPv6Address(_one(value))


def _mac(value: object) -> str:
    text = _text(value).lower()
    # The lowest bit of the first byte is that of groups (IEEE 802).
    if _MAC.fullmatch(text) is None or int(text[:2], 16) & 1 or text == "00:00:00:00:00:00":
        raise ValueError
    return text


def _port(text: str) -> int:
    port = int(text)
    if not 1 <= port <= 65535:
        raise ValueError
    return port


def _publish(value: object) -> Publish:
    match = _PUBLISH.fullmatch(_text(value))
    if match is None:
        raise ValueError
    host: Address | None = None
    if match[1] is not None:
        host = IPv6Address(match[1])
    elif match[2] is not None:
        host = IPv4Address(match[2])
    if host is not None and host.is_multicast:
        raise ValueError
    if host is not None and host.is_unspecified:
        raise Mismatch("an address of the host, or none for all of them", value)
    return Publish(_port(match[3]), _port(match[4]), Protocol(match[5] or "tcp"), host)


def _mode(value: object) -> Mode:
    return Mode(_text(value))


def _route(value: object) -> Route:
    words = _text(value).split()
    if len(words) not in (1, 3) or (len(words) == 3 and words[1] != "via") or "%" in str(value):
        raise ValueError
    via = ip_address(words[2]) if len(words) == 3 else None
    if words[0] == "default":
        if via is None:
            raise ValueError
        return Route(ip_network("0.0.0.0/0" if via.version == 4 else "::/0"), via)
    to = ip_network(words[0])
    if to.network_address.is_multicast or (via is not None and via.version != to.version):
        raise ValueError
    return Route(to, via)


def _rate(value: object) -> int:
    match = _RATE.fullmatch(_text(value).lower())
    if match is None:
        raise ValueError
    rate = int(match[1]) * _RATES[match[2]]
    if not 8_000 <= rate <= 32 * 10**9:
        raise ValueError
    return rate


def _sysctls(value: object) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, dict):
        raise TypeError
    pairs = []
    for name, item in value.items():
        if _SYSCTL.fullmatch(name) is None:
            raise Mismatch('a quoted name such as "net.ipv4.tcp_syncookies"', name, (name,))
        good = isinstance(item, (str, int)) and not isinstance(item, bool)
        if not good or "\0" in str(item) or not 0 < len(str(item)) < 4096:
            raise Mismatch("a string or a whole number", item, (name,))
        pairs.append((name, str(item)))
    return tuple(pairs)


MODE = Kind("one of " + ", ".join(f'"{mode}"' for mode in Mode), _mode)
LINK = Kind("a link's name: at most 15 letters, digits, dots, dashes and underscores", link_name)
SUBNET = Kind(
    'an IPv4 subnet such as "192.168.10.0/24", from /8 to /30', _subnet(IPv4Network, 8, 30)
)
SUBNET6 = Kind(
    'an IPv6 subnet such as "fd00:10::/64", from /16 to /126', _subnet(IPv6Network, 16, 126)
)
GATEWAY = Kind('an IPv4 address such as "192.168.10.1"', _gateway)
GATEWAY6 = Kind('an IPv6 address such as "fd00:10::1"', _gateway6)
ADDRESS = Kind('"auto" or an IPv4 address such as "192.168.10.101"', _address(IPv4Interface))
ADDRESS6 = Kind('"auto" or an IPv6 address such as "fd00:10::101"', _address(IPv6Interface))
MAC = Kind('an address of one interface such as "02:00:00:00:00:2a"', _mac)
PUBLISH = Kind(
    'a published port such as "8080:80/tcp", "127.0.0.1:53:53/udp" or "[::1]:8443:443"', _publish
)
ROUTE = Kind('a route such as "10.8.0.0/16 via 192.168.10.254" or "10.9.0.0/16"', _route)
RATE = Kind('a rate from 8kbit to 32gbit, such as "100mbit"', _rate)
SYSCTLS = Kind("a table of sysctls", _sysctls)
