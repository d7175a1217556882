"""Messages of netlink as they come (netlink(7)): taken apart, and not trusted to be whole."""

from __future__ import annotations

import struct
from collections.abc import Iterator

NETLINK_NETFILTER = 12  # linux/netlink.h
_HEADER = struct.Struct("=IHHII")


def messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Kind and body of each; what is cut short is none."""
    at = 0
    while at + _HEADER.size <= len(data):
        length, kind, *_ = _HEADER.unpack_from(data, at)
        if length < _HEADER.size:
            return
        yield kind, data[at + _HEADER.size : at + length]
        at += (length + 3) & ~3


def attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Kind and value of each."""
    at = 0
    while at + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, at)
        if length < 4:
            return
        yield kind, data[at + 4 : at + length]
        at += (length + 3) & ~3
