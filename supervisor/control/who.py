"""Who is at the other end of a Unix socket."""

from __future__ import annotations

import socket
import struct

import trio

from supervisor.control.request import Peer

_UCRED = struct.Struct("3i")


def peer_of(connection: trio.socket.SocketType) -> Peer:
    """The process that connected, as the kernel noted it then: SO_PEERCRED of unix(7).

    The process may have gone since, and its id been given to another: good for a log, and for
    nothing that has to be decided. Raises OSError.
    """
    raw: bytes = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    return Peer(*_UCRED.unpack(raw))
