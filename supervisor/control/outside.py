"""creched as it is seen from outside: what the handlers ask, gathered in one place."""

from __future__ import annotations

import datetime
import os
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import trio

from runtime import VERSION
from runtime.cgroups.layout import UNIFIED
from runtime.cgroups.stats import collect
from runtime.cgroups.stats_v2 import with_pressure
from runtime.errors import CrecheError
from runtime.state import StateDir
from supervisor.control.request import Refused, Request
from supervisor.control.types import Counts, Keepers
from supervisor.control.usage import Usage, usage_of
from supervisor.events import EventLog
from supervisor.network.view import Topology
from supervisor.store.journal import Journal
from supervisor.workload.errors import WorkloadError

_PRESSURE = (("cpu", "cpu.pressure"), ("memory", "memory.pressure"), ("blkio", "io.pressure"))


class Outside:
    """See supervisor.control.types.Supervised. `acts`: plan, reload, reexec, as far as there are
    any."""

    def __init__(
        self,
        nursery: Keepers,
        journal: Journal,
        log: EventLog,
        root: str,
        directory: str,
        acts: Mapping[str, Callable[..., Any]] | None = None,
    ) -> None:
        self.nursery = nursery
        self.journal = journal
        self.closing = trio.Event()
        self._log = log
        self._root = root
        self._directory = directory
        self._acts = dict(acts or {})
        self._counts: Counter[tuple[str, str]] = Counter()
        self._cgroups: dict[str, tuple[int, dict[str, str]]] = {}

    def about(self) -> dict[str, Any]:
        """The fields of routes.About."""
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
        return {
            "release": VERSION,
            "pid": os.getpid(),
            "boot": self._log.boot,
            "run": self._log.run,
            "root": self._root,
            "directory": self._directory,
            "now": round(self._log.now(), 6),
            "time": now.replace("+00:00", "Z"),
            "seq": self.journal.last,
            "first_seq": self.journal.first,
            "workloads": len(self.nursery.statuses()),
        }

    def note(self, event: Mapping[str, Any]) -> None:
        """An event was reported: endings are counted for /metrics."""
        if event["event"] == "exited":
            self._counts[str(event["workload"]), str(event["cause"])] += 1

    def counts(self) -> Counts:
        """By workload and cause, of the workloads there are."""
        names = {found.name for found in self.nursery.statuses()}
        return {key: count for key, count in self._counts.items() if key[0] in names}

    def usages(self) -> list[Usage]:
        """Reads some ten files for each container."""
        statuses = self.nursery.statuses()
        gone = self._cgroups.keys() - {found.container for found in statuses}
        for container in gone:
            del self._cgroups[container]
        found = []
        for status in statuses:
            if status.container is None or status.pid is None:
                continue
            paths = self._paths(status.container, status.pid)
            if paths:
                try:
                    found.append(usage_of(status.name, _stats(paths)))
                except OSError:
                    continue  # it is just going away
        return found

    def networks(self) -> Topology:
        """Empty for one that has no networks."""
        found: Topology = self._acts.get("networks", Topology)()
        return found

    def logs(self, name: str, lines: int, follow: bool) -> AsyncIterator[str]:
        """Records of what it writes."""
        found: AsyncIterator[str] = self._act("logs")(name, lines, follow)
        return found

    async def plan(self) -> object:
        """What a reload would do."""
        return await _document(self._act("plan")())

    async def reload(self, who: str) -> object:
        """Do it."""
        return await _document(self._act("reload")(who))

    async def reexec(self, who: str) -> None:
        """Replace the process; returns before that is done."""
        try:
            await self._act("reexec")(who)
        except CrecheError as error:
            raise Refused(409, str(error)) from None

    def asked(self, action: str, workload: str | None, request: Request) -> None:
        """The event that says who."""
        peer = request.peer
        self._log.emit(
            "control",
            workload=workload,
            action=action,
            who=request.who,
            pid=None if peer is None else peer.pid,
            uid=None if peer is None else peer.uid,
            gid=None if peer is None else peer.gid,
        )

    def fault(self, error: str, message: str, traceback: str) -> None:
        """A mistake of creched's while it answered somebody."""
        self._log.emit("control-fault", error=error, message=message, traceback=traceback)

    def _act(self, name: str) -> Callable[..., Any]:
        try:
            return self._acts[name]
        except KeyError:
            raise Refused(409, f"this creched cannot {name}") from None

    def _paths(self, container: str, pid: int) -> dict[str, str]:
        """The cgroups of a container, out of its saved state; read once for each run."""
        known = self._cgroups.get(container)
        if known is not None and known[0] == pid:
            return known[1]
        try:
            paths = dict(StateDir(self._root, container).load()["cgroup"])
        except CrecheError:
            return {}
        self._cgroups[container] = (pid, paths)
        return paths


async def _document(done: Awaitable[Any]) -> object:
    try:
        found = await done
    except WorkloadError as error:
        raise Refused(409, str(error)) from None
    return found.to_json()


def _stats(paths: dict[str, str]) -> dict[str, Any]:
    """As for `creche events`, and pressure also where the controllers are version 1: the unified
    tree of a hybrid machine has it for every cgroup."""
    stats: dict[str, Any] = collect(paths)
    unified = paths.get(UNIFIED)
    if unified is not None:
        for section, file in _PRESSURE:
            if "psi" not in stats[section]:
                stats[section] = with_pressure(stats[section], unified, file)
    return stats
