"""What control asks of the rest of creched, and nothing more."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Protocol

import trio

from supervisor.control.request import Request
from supervisor.control.usage import Usage
from supervisor.network.view import Topology
from supervisor.status import WorkloadStatus
from supervisor.store.journal import Journal

Counts = dict[tuple[str, str], int]
"""How many runs have ended, by workload and cause."""


class Keepers(Protocol):
    """The nursery's commands. All raise KeyError for a name that is not there."""

    def statuses(self) -> list[WorkloadStatus]:
        """All of them, by name."""

    def status(self, name: str) -> WorkloadStatus:
        """One of them."""

    def start(self, name: str, who: str) -> None:
        """Run it."""

    def stop(self, name: str, who: str) -> None:
        """End it gracefully."""

    def restart(self, name: str, who: str) -> None:
        """End it, and run it again."""

    def kill(self, name: str, signal: int, who: str) -> None:
        """Send its first process a signal."""

    def reset(self, name: str, who: str) -> None:
        """Forget restarts and failures."""

    async def reached(self, name: str, target: str) -> None:
        """Until it is `target`."""


class Supervised(Protocol):
    """One creched, as it is seen from outside."""

    nursery: Keepers
    journal: Journal
    closing: trio.Event
    """Set when there will be no more events."""

    def about(self) -> dict[str, Any]:
        """What is to be told of creched itself: About's fields."""

    def usages(self) -> list[Usage]:
        """What every container uses now: reads its cgroups."""

    def counts(self) -> Counts:
        """Endings by workload and cause, since this creched began."""

    def networks(self) -> Topology:
        """Networks, and who is on them."""

    def logs(self, name: str, lines: int, follow: bool) -> AsyncIterator[str]:
        """Records of what it writes. Iterating raises CrecheError if nothing is kept."""

    async def plan(self) -> object:
        """What a reload would do, for JSON."""

    async def reload(self, who: str) -> object:
        """Read the directories anew, and do it."""

    async def reexec(self, who: str) -> None:
        """Replace the process in place."""

    def asked(self, action: str, workload: str | None, request: Request) -> None:
        """Report that somebody asked for a change."""
