"""One request and its answer, as values: what the routes and the connections agree on."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum

JSON = "application/json"


class Access(IntEnum):
    """What the listener a request came by may be used for; more includes less."""

    PAGE = 0  # loopback TCP: anybody on this machine, and any web site in their browsers
    READ = 1  # the read-only socket: a group
    ADMIN = 2  # the admin socket: root


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end: SO_PEERCRED, taken by the kernel at connect(2) (unix(7))."""

    pid: int
    uid: int
    gid: int

    def __str__(self) -> str:
        return f"uid {self.uid}, pid {self.pid}"


@dataclass(frozen=True, slots=True)
class Request:
    """`path` is decoded, without the query; header names are lower case."""

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    access: Access = Access.ADMIN
    peer: Peer | None = None

    @property
    def who(self) -> str:
        """For causes and events."""
        return "somebody on loopback" if self.peer is None else str(self.peer)


@dataclass(frozen=True, slots=True)
class Response:
    """A whole answer."""

    status: int
    body: bytes
    type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Stream:
    """An answer that goes on: it ends with the iterator, or when the client has gone."""

    chunks: AsyncGenerator[bytes, None]
    type: str


@dataclass(frozen=True, slots=True)
class Later:
    """An answer that takes its time: it is given up when the client has gone."""

    response: Callable[[], Awaitable[Response]]


class Refused(Exception):
    """An answer that is an error: the HTTP status, and what is wrong in words."""

    def __init__(
        self, status: int, message: str, headers: tuple[tuple[str, str], ...] = ()
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers

    def response(self) -> Response:
        """The same as JSON."""
        return answer({"error": str(self)}, self.status, self.headers)


def answer(value: object, status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> Response:
    """A JSON answer; one line, for those who read with a shell."""
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n"
    # A lone surrogate stands for a byte of a file name that is not UTF-8.
    return Response(status, body.encode("utf-8", "replace"), JSON, headers)
