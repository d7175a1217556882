"""Being told by the kernel that a link or an address of ours is not as it was left."""

from __future__ import annotations

import os
import socket
import struct
import sys
from collections.abc import Mapping

import trio

from supervisor.network.links import IFF_UP, Link
from supervisor.network.made import Made
from supervisor.network.netlink import attributes, messages
from supervisor.network.plan import Bridge, Setup, Veth

_GROUPS = 0x1 | 0x10 | 0x100  # RTMGRP_LINK, _IPV4_IFADDR, _IPV6_IFADDR (linux/rtnetlink.h)
_NEWLINK, _DELLINK, _DELADDR = 16, 17, 21
_IFLA_IFNAME = 3
_IFLA_MASTER = 10
_LINK = struct.Struct("=BBHiII")
_ADDRESS = struct.Struct("=BBBBI")


class Expected:
    """The host's links as they were left; `wait` is over when one may be otherwise."""

    def __init__(self) -> None:
        self._bridges: dict[str, Bridge] = {}
        self._ports: dict[str, Veth] = {}
        self._changed = trio.Event()

    def add(self, setup: Setup) -> None:
        """It is complete."""
        self._bridges |= {bridge.name: bridge for bridge in setup.bridges}
        self._ports |= {step.link: step for step in setup.steps if isinstance(step, Veth)}

    def drop(self, made: Made) -> None:
        """It is about to be removed."""
        for link in made.links:
            self._ports.pop(link, None)

    def drop_bridge(self, name: str) -> None:
        """The same of a bridge."""
        self._bridges.pop(name, None)

    def change(self) -> None:
        """Something else is to be looked at."""
        self._changed.set()

    async def wait(self) -> None:
        """Until something is to be looked at."""
        await self._changed.wait()

    def looked(self) -> None:
        """It is looked at now."""
        self._changed = trio.Event()

    @property
    def empty(self) -> bool:
        """There is nothing of ours."""
        return not self._bridges and not self._ports

    def is_bridge(self, name: str) -> bool:
        """Whether it is a bridge of ours."""
        return name in self._bridges

    def bridge_of(self, name: str) -> str | None:
        """The bridge that a link of ours is a port of."""
        port = self._ports.get(name)
        return None if port is None else port.bridge

    def wrong(
        self, setup: Setup, links: Mapping[str, Link], addresses: Mapping[int, set[str]]
    ) -> list[str]:
        """What of a setup's links on the host is not as it should be, in words."""
        found = []
        for step in setup.steps:
            if isinstance(step, Bridge):
                bridge = links.get(step.name)
                if bridge is None or not bridge.up or bridge.mtu != step.mtu:
                    found.append(f"bridge {step.name}")
                elif addresses.get(bridge.index, set()) != set(step.addresses):
                    found.append(f"addresses of bridge {step.name}")
            elif isinstance(step, Veth):
                port, bridge = links.get(step.link), links.get(step.bridge)
                plugged = port is not None and bridge is not None and port.master == bridge.index
                if port is None or not plugged or not port.up or port.alias != step.alias:
                    found.append(f"link {step.link} of {setup.workload}")
        return found


async def listen(expected: Expected) -> None:
    """Have it told of what the kernel tells, until cancelled."""
    kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
    with socket.socket(socket.AF_NETLINK, kind, socket.NETLINK_ROUTE) as events:
        events.bind((0, _GROUPS))
        while True:
            await trio.lowlevel.wait_readable(events)
            try:
                data = events.recv(1 << 16)
            except BlockingIOError:
                continue
            except OSError:  # ENOBUFS: so much has happened that some of it was dropped
                expected.change()
                continue
            if not expected.empty and any(_broken(expected, *each) for each in messages(data)):
                expected.change()


def _broken(expected: Expected, kind: int, body: bytes) -> bool:
    """Whether a message says that something of ours is not as it should be."""
    if kind == _DELADDR and len(body) >= _ADDRESS.size:
        return expected.is_bridge(_name_of(_ADDRESS.unpack_from(body)[4]))
    if kind not in (_NEWLINK, _DELLINK) or len(body) < _LINK.size:
        return False
    family, _, _, _, flags, _ = _LINK.unpack_from(body)
    found = dict(attributes(body[_LINK.size :]))
    name = os.fsdecode(found.get(_IFLA_IFNAME, b"").rstrip(b"\0"))
    if kind == _DELLINK:
        # AF_BRIDGE: it is not a port any more.
        return expected.is_bridge(name) or expected.bridge_of(name) is not None
    if family == socket.AF_UNSPEC and expected.is_bridge(name):
        return not flags & IFF_UP
    bridge = expected.bridge_of(name)
    if bridge is None or family != socket.AF_UNSPEC:
        return False
    master = int.from_bytes(found.get(_IFLA_MASTER, b""), sys.byteorder)
    return not flags & IFF_UP or _name_of(master) != bridge


def _name_of(index: int) -> str:
    try:
        return socket.if_indextoname(index)
    except (OSError, OverflowError):
        return ""
