"""Asking creched over its Unix socket, with the standard library's HTTP client."""

from __future__ import annotations

import http.client
import json
import os
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

from supervisor.ctl.commands import FAILED, REFUSED, TIMEOUT, UNKNOWN, UNREACHABLE
from supervisor.ctl.problem import HungUp, Problem

_STATUSES = {403: REFUSED, 404: UNKNOWN, 409: REFUSED, 504: TIMEOUT}
_ERRORS = "surrogateescape"
"""What is refused may have any bytes for a name."""


class Client:
    """One creched. Raises Problem, with the exit status it leads to."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._connection: _Connection | None = None

    def get(self, *path: str, **query: object) -> Any:
        """JSON from a path, given in parts."""
        return self._json("GET", path, query)

    def post(self, *path: str, **query: object) -> Any:
        """Ask for something, and give what is answered."""
        return self._json("POST", path, query)

    def stream(self, *path: str, **query: object) -> Iterator[tuple[str, str]]:
        """Server-sent events: name ("" for a plain one) and data, until creched ends the stream."""
        answer = self._ask("GET", path, query)
        name = ""
        try:
            for raw in answer:
                line = raw.decode("utf-8", "replace").rstrip("\n")
                key, _colon, value = line.partition(": ")
                if key == "event":
                    name = value
                elif key == "data":
                    yield name, value
                    name = ""
        except (OSError, http.client.HTTPException):
            raise HungUp("creched has gone", UNREACHABLE) from None
        finally:
            self.close()

    def close(self) -> None:
        """Hang up."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _json(self, method: str, path: tuple[str, ...], query: dict[str, object]) -> Any:
        return json.loads(self._ask(method, path, query).read())

    def _ask(
        self, method: str, path: tuple[str, ...], query: dict[str, object]
    ) -> http.client.HTTPResponse:
        target = "/" + "/".join(quote(part, safe="", errors=_ERRORS) for part in path)
        given = {
            name.rstrip("_"): str(value).lower() if isinstance(value, bool) else value
            for name, value in query.items()
            if value is not None
        }
        if given:
            target += "?" + urlencode(given, errors=_ERRORS)
        try:
            if self._connection is None:
                self._connection = _Connection(self._path)
            self._connection.request(method, target)
            answer = self._connection.getresponse()
        except PermissionError:
            raise Problem(
                f"{self._path}: permission denied (creched's admin socket is root's; a member of "
                "its group may use the read-only one: --socket)",
                UNREACHABLE,
            ) from None
        except (FileNotFoundError, ConnectionRefusedError):
            raise Problem(
                f"no creched listens at {self._path} (is it running? --root or --socket say where)",
                UNREACHABLE,
            ) from None
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise HungUp(f"{self._path}: {reason.lower()}", UNREACHABLE) from None
        if answer.status < 300:
            return answer
        try:
            message = json.loads(answer.read())["error"]
        except (ValueError, KeyError, TypeError, OSError):
            message = f"creched answered with status {answer.status}"
        raise Problem(message, _STATUSES.get(answer.status, FAILED))


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("creched")
        self._path = path

    def connect(self) -> None:
        """By way of its directory: sun_path has room for 108 bytes, and paths may be longer."""
        parent, name = os.path.split(os.path.abspath(self._path))
        directory = os.open(parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
            self.sock.connect(f"/proc/self/fd/{directory}/{name}")
        finally:
            os.close(directory)
