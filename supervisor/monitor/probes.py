"""One look at a container: a program in it, a connection, a request, a file.

Each function returns if all is well and raises Failure, with the reason, if not. They wait for as
long as the container lets them: the caller sets the limit, and what was begun ends with its scope.
"""

from __future__ import annotations

import socket

import trio

from hooks.tail import show
from runtime.errors import CrecheError, strerror
from supervisor.inside import Inside, Unreachable
from supervisor.launching import Plan
from supervisor.monitor import http
from supervisor.workload.sections.health import Exec, File, Health, Http, Tcp

KEEP = 2048
"""Bytes of a program's output that are kept; 512 of them are shown."""
_SHOWN = 512


class Failure(Exception):
    """The container is not well."""


class Prober:
    """The probe of one container, again and again."""

    __slots__ = ("_inside", "_plan", "_settings")

    def __init__(self, settings: Health, inside: Inside) -> None:
        self._settings = settings
        self._inside = inside
        self._plan: Plan | None = None

    async def probe(self) -> None:
        """Once, within the time it has. Raises Failure, Unreachable."""
        try:
            async with self._inside.gate.inside():
                await self._look_in_time()
        except Failure:
            if not self._inside.alive():
                raise Unreachable("it has ended") from None  # which is told by its end
            raise

    async def _look_in_time(self) -> None:
        limit = self._settings.timeout
        with trio.move_on_after(limit) as scope:
            try:
                await self._look()
            except Unreachable:
                raise
            except CrecheError as error:
                raise Failure(str(error)) from None
            except OSError as error:
                raise Failure(f"{self.name}: {strerror(error.errno or 0)}") from None
        if scope.cancelled_caught:
            raise Failure(f"{self.name}: no answer within {limit:g} s")

    @property
    def name(self) -> str:
        """What is done, for people."""
        match self._settings.probe:
            case Exec(args):
                return f"exec {args[0]}"
            case Tcp(host, port):
                return f"tcp {_address(host, port)}"
            case Http(host, port, path):
                return f"GET http://{_address(host, port)}{path}"
            case File(path):
                return f"file {path}"

    async def _look(self) -> None:
        match self._settings.probe:
            case Exec(args):
                await self._execute(args)
            case Tcp(host, port):
                (await self._connect(host, port)).close()
            case Http(host, port, path):
                await self._get(host, port, path)
            case File(path):
                if not await self._inside.exists(path):
                    raise Failure(f"{self.name}: is not there")

    async def _execute(self, args: tuple[str, ...]) -> None:
        if self._plan is None:
            self._plan = self._inside.prepare(args)
        ran = await self._inside.run(self._plan, KEEP)
        if ran.exit.code == 0:
            return
        how = f"exit status {ran.exit.code}"
        if ran.exit.code is None:
            how = f"signal {ran.exit.signal}"
        said = show(ran.output, ran.total, _SHOWN)
        raise Failure(f"{self.name}: {how}{': ' if said else ''}{said}")

    async def _connect(self, host: str, port: int) -> trio.socket.SocketType:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        connection = await self._inside.socket(family)
        try:
            await connection.connect((host, port))
        except BaseException:
            connection.close()
            raise
        return connection

    async def _get(self, host: str, port: int, path: str) -> None:
        connection = await self._connect(host, port)
        try:
            await _send(connection, http.request(host, port, path))
            received = b""
            while (status := http.status(received)) is None:
                chunk = await connection.recv(http.LONGEST_LINE)
                if not chunk:
                    raise Failure(f"{self.name}: the connection was closed without an answer")
                received += chunk
        except http.NotHttp as error:
            raise Failure(f"{self.name}: {error}") from None
        finally:
            connection.close()
        if status >= 400:
            raise Failure(f"{self.name}: status {status}")


async def _send(connection: trio.socket.SocketType, data: bytes) -> None:
    while data:
        data = data[await connection.send(data) :]


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
