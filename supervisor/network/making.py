"""What is there of networks, and one change of it: whole, or undone.

What there is to be is written down first, so that the next creched finds out whatever one that was
killed has left. Whoever calls sees to it that there is one change at a time.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial

from runtime.errors import CrecheError
from supervisor.network import carry, forwarding, namespaces, rules
from supervisor.network.accepted import Accepted
from supervisor.network.cni.chain import Cni
from supervisor.network.edges import Edge, refuse
from supervisor.network.errors import NetworkError
from supervisor.network.leases import Leases
from supervisor.network.made import Made, load
from supervisor.network.model import Endpoint, Mode, Network
from supervisor.network.namespaces import in_a_thread
from supervisor.network.naming import Names
from supervisor.network.plan import Setup, compile_setup, declared
from supervisor.network.ports import Ports, claims
from supervisor.network.watching import Expected
from supervisor.store.files import Documents
from supervisor.workload.model import Workload

Report = Callable[..., object]


class Making:
    """See `service.Networks` for its parameters."""

    def __init__(
        self,
        own: str,
        leases: str,
        networks: Mapping[str, Network],
        find: Callable[[str], Workload | None],
        report: Report,
        damaged: Callable[[str, str, str], object],
        edges: Sequence[Edge],
        cni: Cni | None = None,
    ) -> None:
        self.names = Names(own)
        self.declared = dict(networks)
        """Those of creched.toml, as far as they are in use by now (network/reloading.py)."""
        self.made: dict[str, Made] = {}
        """By workload; also of those that have ended, as long as others share their namespace."""
        self.leases = Leases(Documents(leases, True, damaged) if leases else None)
        self.edges = edges
        self.ports = Ports()
        self.cni = cni or Cni(self.names, Documents(f"{own}/cni", False, damaged), ())
        self.expected = Expected()
        self.find = find
        self.report = report
        self._records = Documents(f"{own}/networks", False, damaged)
        self._accepted = Accepted(own, damaged)
        self._leaving: dict[str, Network] = {}

    @property
    def networks(self) -> dict[str, Network]:
        """Those that are declared; and those that were, as long as somebody is still on them."""
        used = {endpoint.network for endpoint in self.endpoints}
        return {name: net for name, net in self._leaving.items() if name in used} | self.declared

    def declare(self, networks: Mapping[str, Network]) -> None:
        """These from now on. Raises OSError; then those before."""
        if networks or self.declared:
            self._accepted.save(networks)
        self._leaving = {**self._leaving, **self.declared}
        self.declared = dict(networks)

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Of all workloads, by name."""
        return tuple(each for name in sorted(self.made) for each in self.made[name].endpoints)

    def load(self) -> None:
        """What an earlier creched has left. Raises OSError."""
        self.leases.load()
        self.cni.records.load()
        for made in load(self._records):
            self.made[made.workload] = made
        if self.made:
            used = {endpoint.network for endpoint in self.endpoints}
            kept = self._accepted.load() or {}
            self.declared |= {name: net for name, net in kept.items() if name in used}
        self.declare(self.declared)

    def close(self) -> None:
        """Nothing happens any more: leave nothing that would stand for nothing."""
        self.ports.close()
        if not self.made:
            self._accepted.forget()
        self.cni.records.close()
        for directory in (self._records.directory, self.names.namespaces):
            try:
                os.rmdir(directory)
            except OSError:
                pass  # something is in it, or it is not there

    async def share(self, workload: Workload) -> None:
        """Make the networks of the workload whose namespace it shares. Raises NetworkError."""
        owner = workload.settings.network[0].workload
        if owner is None:
            return
        other = self.find(owner)
        if owner in self.made and (
            other is None or self.compile(other).shape == self.made[owner].shape
        ):
            return
        if other is None:
            raise NetworkError(f"network.workload: there is no workload {owner}")
        if not other.settings.network or other.settings.network[0].mode in (
            Mode.HOST,
            Mode.NAMESPACE,
        ):
            raise NetworkError(
                f"network.workload: {owner} has no network namespace to share; give it [network] "
                'with mode = "bridge", "macvlan", "cni" or "none"'
            )
        await self.make(other)

    def compile(self, workload: Workload) -> Setup:
        """What its networks come to. Raises NetworkError, OSError."""
        attachments = workload.settings.network
        wanted = list(declared(attachments, self.networks))
        leases = self.leases.give(workload.name, wanted, self.made) if wanted else {}
        setup = compile_setup(self.names, workload.name, attachments, self.networks, leases)
        return self.cni.told(setup)

    async def establish(self, setup: Setup) -> Setup:
        """Make what is not there; with all addresses. Raises NetworkError, OSError."""
        await in_a_thread(partial(carry.establish, self.names, setup))
        await self.cni.ensure(setup)
        return self.cni.told(setup)

    async def make(self, workload: Workload) -> None:
        """Have its networks there. Raises NetworkError, OSError; then they are not."""
        name = workload.name
        setup = self.compile(workload)
        old = self.made.get(name)
        same = old is not None and old.shape == setup.shape
        held = self.ports.holds(name)
        self.ports.take(name, claims(setup.endpoints))
        if old is not None and not same:
            shared = any(each.owner == name for each in self.made.values())
            await self._take_down([old], keep_namespaces=shared)
        if not same:
            self.keep(Made.of(setup, False))
        try:
            # Also what is there: who may do as he likes with his network may have spoiled it.
            await self.cni.wrong(setup)
            setup = await self.establish(setup)
            if old != Made.of(setup, True):
                await self.apply()
        except BaseException:
            if same:
                self.ports.take(name, held)
            else:
                await self._undo(setup)
            raise
        self.keep(Made.of(setup, True))
        self.expected.add(setup)
        if setup.endpoints and not same:
            self.report(
                "network-attached",
                workload=name,
                addresses=[str(a) for each in setup.endpoints for a in each.addresses],
            )

    def hold(self, made: Made) -> None:
        """Have its published ports and no others for a workload. Raises NetworkError."""
        before = self.made.get(made.workload)
        same = before is not None and before.endpoints == made.endpoints
        hold = self.ports.keep if same else self.ports.take
        hold(made.workload, claims(made.endpoints))

    async def _undo(self, setup: Setup) -> None:
        try:
            await self._remove([Made.of(setup, False)])
        except (CrecheError, OSError) as error:
            self.trouble(setup.workload, error)

    async def sweep(self, users: Collection[str]) -> list[str]:
        """Remove what none of these workloads needs; whose it was."""
        shared = {self.made[user].owner for user in users if user in self.made}
        unneeded = [name for name in self.made if name not in users and name not in shared]
        if not unneeded:
            return []
        try:
            await self._remove([self.made[name] for name in unneeded])
        except (CrecheError, OSError) as error:
            self.trouble(unneeded[0], error)
        return [name for name in unneeded if name not in self.made]

    async def strays(self) -> list[str]:
        """Remove what is ours and nobody's; what it was. Raises OSError."""
        links = [
            link
            for made in self.made.values()
            for link in (*made.links, *(name for name, _ in made.bridges))
        ]
        kept = {name for name, made in self.made.items() if made.netns}
        told = []
        for workload in self.cni.strays(self.made):
            try:
                await self.cni.remove(workload)
                told.append(f"what CNI plugins have made for {workload}")
            except NetworkError as error:
                self.trouble(workload, error)
        return told + await in_a_thread(partial(carry.strays, self.names, links, kept))

    def others_left(self) -> bool:
        """Whether there is a namespace, whoever's, or something that plugins have made."""
        return bool(namespaces.names(self.names.namespaces) or self.cni.records.held)

    async def apply(self) -> list[str]:
        """Have every edge be as it should; what was not. Raises NetworkError, OSError."""
        endpoints = self.endpoints
        refuse(self.edges, endpoints, self.networks)
        families = rules.forwarding(endpoints, self.networks)
        switched = await in_a_thread(partial(forwarding.switch_on, families))
        if switched:
            self.report("network-forwarding", message=", ".join(switched))
        told: list[str] = []
        for edge in self.edges:
            told += await in_a_thread(partial(edge.apply, endpoints, self.networks))
        return told

    def keep(self, made: Made) -> None:
        """Write down what is to be. Raises OSError."""
        os.makedirs(self._records.directory, 0o700, exist_ok=True)
        if self.made.get(made.workload) != made:
            self._records.save(made.workload, made.to_json())
            self.made[made.workload] = made

    def forget(self, names: Iterable[str]) -> None:
        """They are not declared any more: their addresses are free."""
        for name in names:
            try:
                self.leases.forget(name)
            except OSError as error:
                self.trouble(name, error)

    def trouble(self, name: str | None, error: Exception) -> None:
        """Report what went wrong where nobody waits for it."""
        self.report("network-trouble", workload=name, message=str(error))

    async def _remove(self, unneeded: Sequence[Made]) -> None:
        """All at once: the kernel takes as long for many links as for one."""
        await self._take_down(unneeded, keep_namespaces=False)
        for made in unneeded:
            self.made.pop(made.workload, None)
            self.ports.drop(made.workload)
        await self.apply()
        for made in unneeded:  # not before, or nobody would know of rules that are left
            self._records.remove(made.workload)

    async def _take_down(self, some: Sequence[Made], keep_namespaces: bool) -> None:
        names = {made.workload for made in some}
        others = [other for other in self.made.values() if other.workload not in names]
        used = {bridge for other in others for bridge in other.bridges}
        bridges = {bridge for made in some for bridge in made.bridges} - used
        for made in some:
            self.expected.drop(made)
            try:
                await self.cni.remove(made.workload)
            except NetworkError as error:  # it is tried again, but its namespace is not kept for it
                self.trouble(made.workload, error)
        for name, _ in bridges:
            self.expected.drop_bridge(name)
        links = [link for made in some for link in made.links]
        kept = [made.netns for made in some if made.netns and not keep_namespaces]
        await in_a_thread(partial(carry.take_down, self.names, links, kept, bridges))
