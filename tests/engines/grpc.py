"""Unary gRPC calls over a Unix socket, in this process and without threads.

gRPC is HTTP/2 with a convention (PROTOCOL-HTTP2.md of gRPC): the message after five bytes of
length, the status in the trailers. h2 does the HTTP/2; grpcio would bring threads and descriptors
that stay until the end into a process whose descriptors are compared after each test.
"""

from __future__ import annotations

import socket
import struct
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from tests.support.waiting import DEADLINE


class CallFailed(Exception):
    """The server answered with a status; 0 would be OK (status codes of gRPC)."""

    def __init__(self, method: str, status: int, message: str) -> None:
        super().__init__(f"{method}: {message} ({status})")
        self.status = status


class Channel:
    """One connection."""

    def __init__(self, path: Path) -> None:
        reason = "needs h2: ./dev engines installs it"
        connection: Any = pytest.importorskip("h2.connection", reason=reason)
        self._http = connection.H2Connection()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(DEADLINE)
        self._socket.connect(str(path))
        self._http.initiate_connection()
        self._socket.sendall(self._http.data_to_send())

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def call(self, method: str, request: bytes) -> bytes:
        """Call /package.Service/Method and return its answer."""
        stream = self._http.get_next_available_stream_id()
        headers = {":method": "POST", ":scheme": "http", ":path": method}
        headers |= {":authority": "localhost", "content-type": "application/grpc"}
        headers |= {"te": "trailers"}
        self._http.send_headers(stream, list(headers.items()))
        message = struct.pack(">BI", 0, len(request)) + request
        self._http.send_data(stream, message, end_stream=True)
        body, trailers, ended = b"", dict[str, str](), False
        while not ended:
            self._socket.sendall(self._http.data_to_send())
            received = self._socket.recv(65536)
            if not received:
                raise EOFError(f"{method}: the server hung up")
            for event in self._http.receive_data(received):
                if getattr(event, "stream_id", stream) != stream:
                    continue
                kind = type(event).__name__
                if kind == "DataReceived":
                    body += event.data
                    self._http.acknowledge_received_data(event.flow_controlled_length, stream)
                elif kind in ("ResponseReceived", "TrailersReceived"):
                    for pair in event.headers:
                        name, value = (x.decode() if isinstance(x, bytes) else x for x in pair)
                        trailers[name] = value
                elif kind in ("StreamEnded", "StreamReset", "ConnectionTerminated"):
                    ended = True
        self._socket.sendall(self._http.data_to_send())
        status = int(trailers.get("grpc-status", "2"))
        if status:
            raise CallFailed(method, status, unquote(trailers.get("grpc-message", "")))
        return body[5:]
