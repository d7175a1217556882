"""creched.toml is read anew: what becomes of networks, and of the workloads that are on them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

from supervisor.directories.directories import Directories
from supervisor.directories.plan import Action, Plan
from supervisor.network.changes import Attached, NetworkAction, NetworkStep, decide, outcome
from supervisor.network.model import Network
from supervisor.network.service import Networks
from supervisor.workload.model import Workload

Declared = Mapping[str, Network]


class Reloading:
    """read: the networks of creched.toml; raises WorkloadError. restart: one workload, and why."""

    def __init__(
        self,
        networks: Networks,
        read: Callable[[], Declared],
        find: Callable[[str], Workload | None],
        restart: Callable[[Workload, str], object],
        report: Callable[..., object],
    ) -> None:
        self._networks = networks
        self._read = read
        self._find = find
        self._restart = restart
        self._report = report

    async def begin(self, new: Declared) -> None:
        """What an earlier creched has left by another declaration follows this one.

        Also if it was killed after it had taken the declaration, and before it had restarted all.
        """
        await self._take(new, self._steps(new, Plan()))
        self._restarts(self._networks.outdated())

    async def plan(self, directories: Directories) -> Plan:
        """What `reload` would do. Raises WorkloadError, OSError."""
        new = self._read()
        found = await directories.plan()
        return replace(found, networks=self._steps(new, found))

    async def reload(self, directories: Directories) -> Plan:
        """Follow creched.toml and the directories now; what was done.

        Raises WorkloadError, OSError: then nothing has changed.
        """
        new = self._read()
        steps = self._steps(new, await directories.plan())
        # First, so that who is new, or restarted, finds them as they are to be.
        await self._take(new, steps)
        done = await directories.reload()
        busy = {step.name for step in done.steps if step.action in (Action.RESTART, Action.REMOVE)}
        # Others of them `done` restarts anyway.
        self._restarts({name for step in steps for name in step.restarts} - busy)
        return replace(done, networks=steps)

    def _steps(self, new: Declared, plan: Plan) -> tuple[NetworkStep, ...]:
        return decide(self._networks.declared, new, self._attached(plan))

    def _attached(self, plan: Plan) -> Attached:
        """Who is attached now, as the directories will have it."""
        found = dict(self._networks.attached())
        for step in plan.steps:
            if step.action is Action.REMOVE:
                found.pop(step.name, None)
            elif step.name in found and step.action in (Action.RESTART, Action.APPLY):
                assert step.reading is not None
                assert step.reading.workload is not None
                found[step.name] = step.reading.workload.settings.network
        return found

    async def _take(self, new: Declared, steps: tuple[NetworkStep, ...]) -> None:
        if not steps:
            return
        await self._networks.declare(outcome(self._networks.declared, new, steps))
        for step in steps:
            if step.action is NetworkAction.REFUSE:
                self._report("network-refused", network=step.network, message=step.reason)
                continue
            keys = [change.key for change in step.keys]
            self._report(
                "network-declared", network=step.network, action=step.action.value, keys=keys
            )

    def _restarts(self, names: Collection[str]) -> None:
        for name in sorted(names):
            workload = self._find(name)
            if workload is not None:
                self._restart(workload, "its network has changed")
