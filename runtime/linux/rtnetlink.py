"""The few rtnetlink(7) requests that moving a network interface takes; no more than that.

The supervisor uses pyroute2; a runtime that starts once per container cannot pay for loading it.
Numbers: include/uapi/linux/rtnetlink.h, if_link.h, if_addr.h, netlink.h.
"""

from __future__ import annotations

import _socket
import os
import struct

NLMSG_ERROR = 2
NLMSG_DONE = 3
NLM_F_REQUEST = 0x001
NLM_F_ACK = 0x004
NLM_F_EXCL = 0x200
NLM_F_DUMP = 0x300
NLM_F_CREATE = 0x400
NETLINK_ROUTE = 0

RTM_NEWLINK = 16
RTM_GETLINK = 18
RTM_NEWADDR = 20
RTM_GETADDR = 22

IFLA_IFNAME = 3
IFLA_NET_NS_FD = 28
IFA_ADDRESS = 1
IFA_LOCAL = 2
IFA_BROADCAST = 4
IFA_FLAGS = 8
IFA_F_PERMANENT = 0x80
RT_SCOPE_UNIVERSE = 0
IFF_UP = 1

_HEADER = struct.Struct("=IHHII")
_LINK = struct.Struct("=BxHiII")
_ADDRESS = struct.Struct("=BBBBI")
_ATTRIBUTE = struct.Struct("=HH")


class Address:
    """A global, permanent address of an interface; attributes as the kernel gave them."""

    __slots__ = ("attributes", "family", "prefix")

    def __init__(self, family: int, prefix: int, attributes: dict[int, bytes]) -> None:
        self.family = family
        self.prefix = prefix
        self.attributes = attributes


class Rtnetlink:
    """A netlink socket; it stays in the network namespace in which it was made."""

    def __init__(self) -> None:
        kind = _socket.SOCK_RAW | _socket.SOCK_CLOEXEC
        self._sock = _socket.socket(_socket.AF_NETLINK, kind, NETLINK_ROUTE)
        self._sock.bind((0, 0))
        self._sequence = 0

    def close(self) -> None:
        self._sock.close()

    def link_index(self, name: str) -> int:
        """The index of an interface. OSError ENODEV if there is none."""
        body = _LINK.pack(0, 0, 0, 0, 0) + _attribute(IFLA_IFNAME, name.encode() + b"\0")
        for message in self._request(RTM_GETLINK, 0, body):
            return int(_LINK.unpack_from(message)[2])
        raise OSError(19, "no such device")

    def move_link(self, index: int, name: str, namespace: int) -> None:
        """Move an interface into the namespace behind a descriptor, under a name there."""
        body = _LINK.pack(0, 0, index, 0, 0)
        body += _attribute(IFLA_IFNAME, name.encode() + b"\0")
        body += _attribute(IFLA_NET_NS_FD, struct.pack("=I", namespace))
        self._request(RTM_NEWLINK, NLM_F_ACK, body)

    def rename(self, index: int, name: str) -> None:
        """Give an interface that is down another name; the kernel fills in a ``%d``."""
        body = _LINK.pack(0, 0, index, 0, 0)
        body += _attribute(IFLA_IFNAME, name.encode() + b"\0")
        self._request(RTM_NEWLINK, NLM_F_ACK, body)

    def set_up(self, index: int) -> None:
        """Set an interface up."""
        self._request(RTM_NEWLINK, NLM_F_ACK, _LINK.pack(0, 0, index, IFF_UP, IFF_UP))

    def addresses(self, index: int) -> list[Address]:
        """The addresses that moving would lose: permanent ones of global scope."""
        found = []
        for message in self._request(RTM_GETADDR, NLM_F_DUMP, _ADDRESS.pack(0, 0, 0, 0, 0)):
            family, prefix, flags, scope, owner = _ADDRESS.unpack_from(message)
            attributes = _attributes(message[_ADDRESS.size :])
            if IFA_FLAGS in attributes:
                flags = struct.unpack("=I", attributes[IFA_FLAGS])[0]
            if owner == index and scope == RT_SCOPE_UNIVERSE and flags & IFA_F_PERMANENT:
                found.append(Address(family, prefix, attributes))
        return found

    def add_address(self, index: int, address: Address) -> None:
        """Give an interface an address that it had before."""
        body = _ADDRESS.pack(address.family, address.prefix, 0, RT_SCOPE_UNIVERSE, index)
        for kind in (IFA_LOCAL, IFA_ADDRESS, IFA_BROADCAST):
            if kind in address.attributes:
                body += _attribute(kind, address.attributes[kind])
        self._request(RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, body)

    def _request(self, kind: int, flags: int, body: bytes) -> list[bytes]:
        """Send one request; the bodies of what comes back. OSError with the kernel's errno."""
        self._sequence += 1
        header = _HEADER.pack(
            _HEADER.size + len(body), kind, NLM_F_REQUEST | flags, self._sequence, 0
        )
        self._sock.send(header + body)
        answers: list[bytes] = []
        while True:
            data = self._sock.recv(1 << 17)
            while len(data) >= _HEADER.size:
                length, found, _, sequence, _ = _HEADER.unpack_from(data)
                message, data = data[_HEADER.size : length], data[(length + 3) & ~3 :]
                if sequence != self._sequence:
                    continue
                if found == NLMSG_ERROR:
                    number = -struct.unpack_from("=i", message)[0]
                    if number:
                        raise OSError(number, os.strerror(number))
                    return answers
                if found == NLMSG_DONE:
                    return answers
                answers.append(message)
                if not flags & (NLM_F_DUMP | NLM_F_ACK):
                    return answers


def _attribute(kind: int, data: bytes) -> bytes:
    length = _ATTRIBUTE.size + len(data)
    return _ATTRIBUTE.pack(length, kind) + data + bytes(-length % 4)


def _attributes(data: bytes) -> dict[int, bytes]:
    found = {}
    while len(data) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(data)
        if length < _ATTRIBUTE.size:
            break
        found[kind] = data[_ATTRIBUTE.size : length]
        data = data[(length + 3) & ~3 :]
    return found
