"""Runs the programs of [[alerts]]: bounded like hooks, a few at a time, with the event on stdin."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import trio

from hooks.concurrent import run_hook
from hooks.errors import HookError
from runtime.jsonio import dumps
from supervisor.alerts.incidents import RECOVERED, Incident
from supervisor.container import Report
from supervisor.policy import Cause, Ending, succeeded
from supervisor.workload.model import Workload
from supervisor.workload.sections.alerts import Alert

AT_ONCE = 4
MOST_WAITING = 64
"""Alerts that wait for their turn; what is more is reported and not sent."""
ENVIRONMENT = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

Event = Mapping[str, Any]


class Alerts:
    """find: a workload by name, None if there is none. `note` is given every event."""

    def __init__(self, find: Callable[[str], Workload | None], report: Report) -> None:
        self._find = find
        self._report = report
        self._incidents: dict[tuple[str, Alert], Incident] = {}
        self._exits: dict[str, Event] = {}
        self._send, self._receive = trio.open_memory_channel[tuple[Workload, Alert, Any]](
            MOST_WAITING
        )
        self._recheck = trio.Event()
        self._unsent = 0
        self._sent = trio.Event()

    def note(self, event: Event) -> None:
        """Something has happened. Never waits, never raises."""
        name = event.get("workload")
        workload = None if name is None else self._find(str(name))
        if workload is None or not workload.settings.alerts:
            return
        if event["event"] == "exited":
            self._exits[workload.name] = event
        kinds = self._bad(workload, event)
        for alert in workload.settings.alerts:
            key = (workload.name, alert)
            incident = self._incidents.setdefault(key, Incident(alert.settle))
            for kind in kinds:
                if incident.bad(kind) and kind in alert.on:
                    self._tell(workload, alert, kind, event)
            self._course(incident, event)
        self._recheck.set()

    def forget(self, name: str) -> None:
        """The workload is not there any more."""
        self._exits.pop(name, None)
        for key in [key for key in self._incidents if key[0] == name]:
            del self._incidents[key]

    async def run(self) -> None:
        """Until cancelled; programs that run then are killed."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._recoveries)
            for _ in range(AT_ONCE):
                nursery.start_soon(self._serve)

    async def _serve(self) -> None:
        async for workload, alert, document in self._receive:
            await self._run(workload, alert, document)
            self._unsent -= 1
            self._sent.set()

    async def sent(self) -> None:
        """Until nothing waits for its turn, and nothing runs."""
        while self._unsent:
            self._sent = trio.Event()
            await self._sent.wait()

    def _bad(self, workload: Workload, event: Event) -> tuple[str, ...]:
        """What has gone wrong by this event."""
        name, cause = event["event"], event.get("cause")
        if name == "exited" and cause == Cause.OOM.value:
            return ("oom",)
        if name in ("unhealthy", "watchdog-expired"):
            return (name.partition("-")[0],)
        if name == "gave-up":
            return ("failed", "gave-up")
        if name == "restart-scheduled" and not self._succeeded(workload, str(cause)):
            return ("failed",)
        return ()

    def _succeeded(self, workload: Workload, cause: str) -> bool:
        end = self._exits.get(workload.name, {})
        number = end.get("code")
        if cause != Cause.EXIT.value or number is None:
            return False
        return succeeded(workload.settings.restart, Ending(Cause.EXIT, number))

    def _course(self, incident: Incident, event: Event) -> None:
        name = event["event"]
        if name == "ready" or event.get("ready") is True:
            incident.well(trio.current_time())
        elif name in ("done", "stopped"):
            incident.forget()
        elif name in ("exited", "stopping"):
            incident.unwell()

    def _tell(self, workload: Workload, alert: Alert, kind: str, event: Event) -> None:
        last = self._exits.get(workload.name, {}).get("output", [])
        document = {"alert": kind, "workload": workload.name, "event": dict(event), "last": last}
        try:
            self._send.send_nowait((workload, alert, document))
            self._unsent += 1
        except trio.WouldBlock:
            self._failed(workload, alert, kind, "too many alerts wait for their turn")

    def _failed(self, workload: Workload, alert: Alert, kind: str, why: str) -> None:
        self._report(
            "alert-failed", workload=workload.name, alert=kind, message=f"{alert.run[0]}: {why}"
        )

    async def _recoveries(self) -> None:
        while True:
            self._recheck = trio.Event()
            now = trio.current_time()
            for (name, alert), incident in self._incidents.items():
                if not incident.recovered(now) or RECOVERED not in alert.on:
                    continue
                workload = self._find(name)
                if workload is not None:
                    event = {"event": RECOVERED, "workload": name}
                    self._tell(workload, alert, RECOVERED, event)
            dues = (math.inf if i.due is None else i.due for i in self._incidents.values())
            with trio.move_on_at(min(dues, default=math.inf)):
                await self._recheck.wait()

    async def _run(self, workload: Workload, alert: Alert, document: Any) -> None:
        kind = document["alert"]
        try:
            await run_hook(
                "alert",
                workload.settings.alerts.index(alert),
                {
                    "path": alert.run[0],
                    "args": list(alert.run),
                    "env": [
                        ENVIRONMENT,
                        f"CRECHE_ALERT={kind}",
                        f"CRECHE_WORKLOAD={workload.name}",
                    ],
                },
                (dumps(document) + "\n").encode("utf-8", "surrogateescape"),
                cwd="/",
                default_timeout=alert.timeout,
            )
        except HookError as error:
            self._failed(workload, alert, kind, str(error))
        else:
            self._report("alerted", workload=workload.name, alert=kind, message=alert.run[0])
