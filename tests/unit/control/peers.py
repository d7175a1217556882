"""A creched that control can ask, and clients that talk to it within the process."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import h11
import trio
from trio.testing import memory_stream_pair

from supervisor.control.connection import Connection, Patience
from supervisor.control.outside import Outside
from supervisor.control.request import Access, Peer
from supervisor.control.server import Server
from supervisor.events import EventLog, Lines
from supervisor.nursery import Refused
from supervisor.status import WorkloadStatus
from supervisor.store.journal import Journal
from supervisor.workload.errors import Problem

ROOT = Peer(pid=4711, uid=0, gid=0)

WEB = WorkloadStatus(
    name="web", state="running", status="running", result="none", ready=True, health="healthy",
    status_text="", container="web", pid=None, attempt=1, restarts=2, series=0, window_used=2,
    limit=5, next_attempt_at=None, why="it was started", intent="up", start="boot", group=None,
    after=("db:ready",), waiting_for=(), since=10.0, started_at=10.0, exit=None, generation=1,
    directory="/etc/creche/workloads/web", policy="on-failure", problems=(),
)  # fmt: skip


PROBLEM = Problem("/etc/creche/workloads/db/workload.toml", None, "not TOML", 3)


class Keepers:
    """Notes what it is asked."""

    def __init__(self) -> None:
        self.all = {
            "web": WEB,
            "db": replace(WEB, name="db", pid=None, health=None, after=(), problems=(PROBLEM,)),
        }
        self.asked: list[tuple[Any, ...]] = []
        self.moved = trio.Event()

    def statuses(self) -> list[WorkloadStatus]:
        """All of them."""
        return [self.all[name] for name in sorted(self.all)]

    def status(self, name: str) -> WorkloadStatus:
        """One of them."""
        return self.all[name]

    def start(self, name: str, who: str) -> None:
        """As creched does while it stops."""
        if name == "db":
            raise Refused("creched is stopping")
        self.asked.append(("start", name, who))

    def stop(self, name: str, who: str) -> None:
        """Note it."""
        self.asked.append(("stop", name, who))

    def restart(self, name: str, who: str) -> None:
        """Note it."""
        self.asked.append(("restart", name, who))

    def kill(self, name: str, signal: int, who: str) -> None:
        """Note it."""
        self.asked.append(("kill", name, signal, who))

    def reset(self, name: str, who: str) -> None:
        """A mistake in creched."""
        raise ZeroDivisionError("by mistake")

    async def reached(self, name: str, target: str) -> None:
        """When the test says so."""
        await self.moved.wait()
        if name not in self.all:
            raise KeyError(name)


class Creched:
    """Everything behind the sockets but the engine."""

    def __init__(self, directory: Path, **journal: int) -> None:
        numbers = itertools.count(1)
        self.journal = Journal(str(directory / "journal"), lambda *told: None, **journal)
        self.events: list[dict[str, object]] = []
        lines = Lines(json.dumps, None)
        self.log = EventLog(
            lambda level, event: self.events.append(event),
            lambda: "2026-01-01T00:00:00.000000Z",
            lambda: float(next(numbers)),
            "boot",
            "run",
            lines,
        )
        self.log.keep(self.journal)
        self.keepers = Keepers()
        self.outside = Outside(self.keepers, self.journal, self.log, "/nowhere", "/etc/w")
        self.log.tap(self.outside.note)
        self.server = Server(self.outside, self.outside.fault)

    def happen(self, count: int, workload: str = "web") -> None:
        """So many events."""
        for _ in range(count):
            self.log.emit("workload-warning", workload=workload, message="x")

    def named(self, name: str) -> list[dict[str, object]]:
        """Events of that name."""
        return [event for event in self.events if event["event"] == name]

    @asynccontextmanager
    async def connected(
        self, access: Access = Access.ADMIN, patience: Patience | None = None
    ) -> AsyncIterator[Client]:
        """A client with a connection of its own, of root's."""
        ours, theirs = memory_stream_pair()
        peer = None if access is Access.PAGE else ROOT
        connection = Connection(theirs, self.server.answer, access, peer, patience or Patience())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(connection.run)
            yield Client(ours)
            await ours.aclose()

    async def ask(
        self, path: str, method: str = "GET", access: Access = Access.ADMIN, **headers: str
    ) -> tuple[int, Any]:
        """One request on a connection of its own: status and the JSON answered."""
        async with self.connected(access) as client:
            return await client.ask(path, method, **headers)


class Client:
    """Speaks h11 over a stream."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self._http = h11.Connection(h11.CLIENT)
        self.head: h11.Response | None = None

    async def begin(self, path: str, method: str = "GET", **headers: str) -> h11.Response:
        """Ask, and give the head of the answer."""
        if self._http.our_state is h11.DONE:
            self._http.start_next_cycle()
        given = {"Host": "localhost", **headers}
        request = h11.Request(
            method=method,
            target=path,
            headers=[(name.replace("_", "-"), value) for name, value in given.items()],
        )
        await self.stream.send_all(self._http.send(request) or b"")
        await self.stream.send_all(self._http.send(h11.EndOfMessage()) or b"")
        head = await self.event()
        assert isinstance(head, h11.Response)
        self.head = head
        return head

    async def event(self) -> object:
        """The next event of h11's."""
        while (event := self._http.next_event()) is h11.NEED_DATA:
            self._http.receive_data(bytes(await self.stream.receive_some()))
        return event

    async def body(self) -> bytes:
        """The rest of an answer."""
        body = b""
        while not isinstance(event := await self.event(), h11.EndOfMessage):
            assert isinstance(event, h11.Data)
            body += bytes(event.data)
        return body

    async def ask(self, path: str, method: str = "GET", **headers: str) -> tuple[int, Any]:
        """Status and the JSON answered."""
        head = await self.begin(path, method, **headers)
        return head.status_code, json.loads(await self.body() or "null")

    async def blocks(self, count: int) -> list[dict[str, str]]:
        """So many server-sent events (comments left out)."""
        text = ""
        while True:
            found = [
                dict(line.split(": ", 1) for line in block.split("\n"))
                for block in text.split("\n\n")[:-1]
                if not block.startswith(":")
            ]
            if len(found) >= count:
                assert len(found) == count
                return found
            event = await self.event()
            assert isinstance(event, h11.Data), event
            text += bytes(event.data).decode()
