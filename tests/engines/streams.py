"""The streams of a container or a pod, as kubectl gets them from a kubelet: over a WebSocket.

The subprotocol v4.channel.k8s.io puts the number of a channel in front of each message: for exec
and attach 0 to 2 are the standard streams, 3 is how it ended and 4 the size of the terminal; each
forwarded port has two, for data and for errors, which begin with the port's number.
"""

from __future__ import annotations

import json
import socket
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.support.waiting import DEADLINE

STDIN, STDOUT, STDERR, STATUS, RESIZE = range(5)
_PROTOCOL = "v4.channel.k8s.io"


class Streams:
    """One connection with its channels."""

    def __init__(self, wsproto: Any, url: str) -> None:
        address = urlsplit(url)
        assert address.hostname is not None
        self._events = wsproto.events
        self._protocol = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)
        self._unread: defaultdict[int, bytes] = defaultdict(bytes)
        self._open = True
        peer = (address.hostname, address.port or 80)
        self.socket = socket.create_connection(peer, DEADLINE)
        target = f"{address.path}?{address.query}" if address.query else address.path
        self._send(
            self._events.Request(host=address.netloc, target=target, subprotocols=[_PROTOCOL])
        )
        self._accepted = False
        while not self._accepted and self._receive():
            pass

    def _send(self, event: Any) -> None:
        self.socket.sendall(self._protocol.send(event))

    def write(self, data: bytes, channel: int = STDIN) -> None:
        """Send some bytes through a channel."""
        self._send(self._events.BytesMessage(data=bytes([channel]) + data))

    def resize(self, rows: int, columns: int) -> None:
        """Change the size of the terminal."""
        self.write(json.dumps({"Width": columns, "Height": rows}).encode(), RESIZE)

    def read_until(self, marker: bytes, channel: int = STDOUT) -> bytes:
        """Return what comes through a channel, up to a marker and no further."""
        while marker not in self._unread[channel]:
            if not self._receive():
                raise EOFError(f"no {marker!r} on channel {channel}, only {dict(self._unread)!r}")
        shown, found, self._unread[channel] = self._unread[channel].partition(marker)
        return shown + found

    def read_status(self) -> tuple[int, str]:
        """Read all, then return how the program ended: its exit code, and words if there are any.

        The code is -1 if it was not even started.
        """
        while self._receive():
            pass
        status = json.loads(self._unread[STATUS])
        if status["status"] == "Success":
            return 0, ""
        causes = {
            one.get("reason"): one["message"]
            for one in (status.get("details") or {}).get("causes") or []
        }
        return int(causes.get("ExitCode", -1)), status.get("message", "")

    def read_rest(self, channel: int = STDOUT) -> bytes:
        """Return the rest of a channel up to the end of the connection."""
        while self._receive():
            pass
        return self._unread.pop(channel, b"")

    def _receive(self) -> bool:
        """Take in what the server has sent; False at the end."""
        if not self._open:
            return False
        received = self.socket.recv(65536)
        self._protocol.receive_data(received or None)
        for event in self._protocol.events():
            if isinstance(event, self._events.BytesMessage):
                data = bytes(event.data)
                if data:  # the server opens each channel with an empty message
                    self._unread[data[0]] += data[1:]
            elif isinstance(event, self._events.AcceptConnection):
                self._accepted = True
            elif isinstance(event, self._events.RejectConnection):
                raise AssertionError(f"refused with status {event.status_code}")
            elif isinstance(event, self._events.CloseConnection):
                self._open = False
        self._open = self._open and bool(received)
        return self._open


@contextmanager
def streams(url: str) -> Iterator[Streams]:
    """Connect to an address that the CRI socket has given for exec, attach or a port."""
    reason = "needs wsproto: ./dev engines installs it"
    pytest.importorskip("wsproto.events", reason=reason)
    made = Streams(pytest.importorskip("wsproto", reason=reason), url)
    try:
        yield made
    finally:
        made.socket.close()
