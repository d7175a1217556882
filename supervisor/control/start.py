"""Puts control together: listeners, server, and what the handlers ask."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import trio

from supervisor.control.kept import KeptListeners
from supervisor.control.outside import Outside
from supervisor.control.request import Access
from supervisor.control.server import Listener, Server
from supervisor.control.settings import SOCKET, Control, Http, group_id
from supervisor.control.types import Keepers
from supervisor.events import EventLog
from supervisor.store.journal import Journal
from supervisor.systemd.descriptors import Descriptors
from supervisor.systemd.notify import Notifier


class ControlServer:
    """The control of one creched. `own`: its private directory, which holds the admin socket."""

    def __init__(
        self,
        settings: Control,
        http: Http,
        own: str,
        nursery: Keepers,
        journal: Journal,
        log: EventLog,
        root: str,
        directory: str,
        acts: Mapping[str, Callable[..., Any]] | None = None,
        descriptors: Descriptors | None = None,
    ) -> None:
        self._settings = settings
        self._http = http
        self._own = own
        self._outside = Outside(nursery, journal, log, root, directory, acts)
        self._server = Server(self._outside, self._outside.fault)
        self._kept = KeptListeners(descriptors or Descriptors(Notifier("")))
        self._ended = trio.Event()
        log.tap(self._outside.note)

    async def run(
        self, begin: trio.Event, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Until `close`. Raises CrecheError, before it is started, if it cannot listen.

        Who connects before `begin` waits for it.
        """
        try:
            await self._server.run(self._listeners(), task_status, begin)
        finally:
            if not self._server.leaving:
                self._kept.drop()
        self._ended.set()

    async def close(self, leaving: bool = False) -> None:
        """There are no more events: streams end, then everything does, within a second or so.

        leaving: to another creched, which listens on; its clients do not notice.
        """
        self._server.leaving = leaving
        self._outside.closing.set()
        await self._ended.wait()

    def _listeners(self) -> list[Listener]:
        settings = self._settings
        made: list[Listener] = []
        try:
            made.append(self._kept.unix(f"{self._own}/{SOCKET}", Access.ADMIN))
            if settings.read_only is not None:
                group = group_id(settings.group)
                made.append(self._kept.unix(settings.read_only, Access.READ, group))
            if self._http.listen is not None:
                made.append(self._kept.page(self._http.listen))
        except BaseException:
            for listener in made:
                listener.discard()
            raise
        return made
