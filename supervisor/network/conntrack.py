"""Exchanges by UDP that the kernel still takes for going on, forgotten when their port moves.

Where packets of one go is settled by its first; as long as they keep coming it never ends. A client
that sends without a pause would never reach who has the port now.

Source: linux/netfilter/nfnetlink_conntrack.h.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Collection, Iterator

from supervisor.network.netlink import NETLINK_NETFILTER, attributes, messages

_GET, _DELETE = 1 << 8 | 1, 1 << 8 | 2  # NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_…
_REQUEST, _ACK, _DUMP = 1, 4, 0x300
_ERROR, _DONE = 2, 3
_HEADER = struct.Struct("=IHHII")
_NFGENMSG = struct.Struct("=BBH")
_ORIGINAL, _PROTO, _NUMBER, _TO_PORT = 1, 2, 1, 3  # CTA_TUPLE_ORIG, CTA_TUPLE_PROTO, …
_NESTED = 0x8000
_TYPE = 0x3FFF  # NLA_TYPE_MASK


def forget(ports: Collection[tuple[int, int]]) -> None:
    """Those that were begun to any of these: family (4, 6) and port.

    As far as it can be done: without nf_conntrack_netlink they last until they pause.
    """
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER) as kernel:
            kernel.bind((0, 0))
            for version in sorted({version for version, _ in ports}):
                family = socket.AF_INET if version == 4 else socket.AF_INET6
                kernel.send(_message(_GET, _REQUEST | _DUMP, family))
                # All, before anything else is asked.
                for original in list(_found(kernel)):
                    if (version, _port(original)) in ports:
                        body = struct.pack("=HH", 4 + len(original), _ORIGINAL | _NESTED)
                        kernel.send(_message(_DELETE, _REQUEST | _ACK, family, body + original))
                        kernel.recv(1 << 16)  # it may have ended by itself: that is as well
    except OSError:
        pass  # see above


def _message(kind: int, flags: int, family: int, body: bytes = b"") -> bytes:
    body = _NFGENMSG.pack(family, 0, 0) + body
    return _HEADER.pack(_HEADER.size + len(body), kind, flags, 1, 0) + body


def _found(kernel: socket.socket) -> Iterator[bytes]:
    """Attributes of how each was begun."""
    while True:
        for kind, body in messages(kernel.recv(1 << 20)):
            if kind == _DONE:
                return
            if kind == _ERROR:
                code = -int.from_bytes(body[:4], "little", signed=True)
                raise OSError(code, os.strerror(code))
            for each, value in attributes(body[_NFGENMSG.size :]):
                if each & _TYPE == _ORIGINAL:
                    yield value


def _port(original: bytes) -> int:
    """The port that it was begun to; 0 if that is none of UDP."""
    for kind, value in attributes(original):
        if kind & _TYPE == _PROTO:
            found = {each & _TYPE: content for each, content in attributes(value)}
            if found.get(_NUMBER) == bytes([socket.IPPROTO_UDP]):
                return int.from_bytes(found.get(_TO_PORT, b""), "big")
    return 0
