"""Networks of one creched: made before a container that needs them, gone after it.

Whoever wants a change waits for its turn: the kernel does one at a time anyway (rtnl_lock), and so
nothing is made and removed at once. Each change is whole or undone; what there is to be is written
down first, so that the next creched finds out whatever one that was killed has left.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

import trio

from runtime.errors import CrecheError
from supervisor.machine import RESTING, State
from supervisor.network import carry, joining, namespaces
from supervisor.network.errors import NetworkError
from supervisor.network.leases import Leases
from supervisor.network.made import Made, load
from supervisor.network.model import Attachment, Endpoint, Mode, Network
from supervisor.network.namespaces import in_a_thread
from supervisor.network.naming import Names
from supervisor.network.plan import Setup, compile_setup, declared
from supervisor.network.watching import Expected, listen
from supervisor.record import Resumed
from supervisor.store.files import Documents
from supervisor.workload.model import Workload

Report = Callable[..., object]
SETTLE = 0.2
"""Seconds after a change until it is looked at: who takes things apart does more than one."""
BURST, PATIENCE = 8, 20.0
"""So often within so many seconds something is mended at once; then it takes half as many."""


class Edge(Protocol):
    """What goes with links as a whole: rules of nftables, names, plugins.

    `apply` runs in a thread in the host's namespace, after every change and at each reconcile. It
    makes things be as these endpoints say, all at once or not at all, and raises NetworkError; the
    change is undone then. No endpoints: nothing is to be left.
    """

    def apply(self, endpoints: Sequence[Endpoint], networks: Mapping[str, Network]) -> None:
        """See above."""


class Nothing:
    """No edge: what would need one is refused."""

    def apply(self, endpoints: Sequence[Endpoint], networks: Mapping[str, Network]) -> None:
        """Raise NetworkError if something would not be as declared."""
        for endpoint in endpoints:
            network = networks.get(endpoint.network or "")
            for key, asked in (
                ("network.publish", bool(endpoint.publish)),
                ('network.mode = "cni"', endpoint.mode is Mode.CNI),
                (f"networks.{endpoint.network}.masquerade", network and network.masquerade),
                (f"networks.{endpoint.network}.dns", network and network.dns),
            ):
                if asked:
                    raise NetworkError(f"{key}: this version of creched cannot do that yet")


class Networks:
    """own: ROOT/.creched. leases: directory that lasts, "" for none. find: a workload by name."""

    def __init__(
        self,
        own: str,
        leases: str,
        networks: Mapping[str, Network],
        find: Callable[[str], Workload | None],
        report: Report,
        damaged: Callable[[str, str, str], object],
        edge: Edge | None = None,
    ) -> None:
        self.names = Names(own)
        self.networks = networks
        self.made: dict[str, Made] = {}
        """By workload; also of those that have ended, as long as others share their namespace."""
        self.leases = Leases(Documents(leases, True, damaged) if leases else None)
        self._records = Documents(f"{own}/networks", False, damaged)
        self._find = find
        self._report = report
        self._edge = edge or Nothing()
        self._users: set[str] = set()
        self._rested: set[str] = set()
        self._gone: set[str] = set()
        self._attached: dict[str, tuple[Attachment, ...]] = {}
        self._changed: set[str] = set()
        self._wake = trio.Event()
        self._lock = trio.Lock()
        self._expected = Expected()

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Of all workloads, by name."""
        return tuple(each for name in sorted(self.made) for each in self.made[name].endpoints)

    def load(self) -> None:
        """What an earlier creched has left. Raises OSError."""
        self.leases.load()
        for made in load(self._records):
            self.made[made.workload] = made

    # --- what happens to workloads -----------------------------------------------------------

    async def attach(self, workload: Workload) -> None:
        """Have its networks there before it is created. Raises NetworkError; nothing is left then.

        Those of a workload whose namespace it shares, too. Not to be cancelled half-way.
        """
        if not workload.settings.network:
            return
        name = workload.name
        with trio.CancelScope(shield=True):
            async with self._lock:
                self._rested.discard(name)
                self._gone.discard(name)
                self._users.add(name)
                try:
                    await self._share(workload)
                    await self._make(workload)
                    self._attached[name] = workload.settings.network
                except BaseException:
                    self._users.discard(name)
                    await self._sweep()
                    raise

    def joined(self, workload: Workload, config: dict[str, Any]) -> dict[str, Any]:
        """Its config.json with the network namespace that it runs in."""
        if not workload.settings.network:
            return config
        path = joining.namespace(self.names, workload.name, workload.settings.network)
        return joining.join(config, path)

    def changed(self, workload: Workload) -> None:
        """Settings that apply at once may be others."""
        before = self._attached.get(workload.name)
        if before is not None and before != workload.settings.network:
            self._attached[workload.name] = workload.settings.network
            self._changed.add(workload.name)
            self._expected.change()

    def note(self, event: Mapping[str, Any]) -> None:
        """Something has happened: what rests needs no network. Never waits, never raises."""
        name = event.get("workload")
        if event["event"] == "workload-removed":
            self._gone.add(str(name))
        elif event.get("new") not in RESTING or name not in self._users:
            return
        self._rested.add(str(name))
        self._wake.set()

    # --- keeping it so -----------------------------------------------------------------------

    async def begin(self, users: Collection[str], unread: Collection[str] = ()) -> None:
        """After `load`: these workloads run, or are about to. All else that was left is removed.

        `unread` may be declared, though nobody can find them: they keep their addresses.
        """
        for name in {*self.leases.held} - {*unread} - {*users}:
            if self._find(name) is None:
                self._forget(name)
        self._users |= {name for name in users if name in self.made}
        for name in self._users:
            if (workload := self._find(name)) is not None:
                self._attached[name] = workload.settings.network
        if not self.made and not self.networks and not self._others_left():
            return
        await self.reconcile()

    async def run(self) -> None:
        """Remove what is not needed any more, and mend what others break, until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen, self._expected)
            nursery.start_soon(self._mend)
            while True:
                await self._wake.wait()
                self._wake = trio.Event()
                await self.settle()

    async def settle(self) -> None:
        """Remove what workloads that have come to rest leave."""
        with trio.CancelScope(shield=True):
            async with self._lock:
                self._users -= self._rested
                self._rested.clear()
                await self._sweep()
                for name in [n for n in self._gone if n not in self.made and n not in self._users]:
                    self._gone.discard(name)
                    self._forget(name)

    async def reconcile(self) -> list[str]:
        """Make everything as it is declared; what had to be mended or removed, in words."""
        async with self._lock:
            with trio.CancelScope(shield=True):
                mended = await self._reconcile()
        return mended

    async def _mend(self) -> None:
        times: list[float] = []
        while True:
            await self._expected.wait()
            now = trio.current_time()
            times = [time for time in times if time > now - PATIENCE]
            # Who takes his own network apart again and again is not to keep us busy.
            await trio.sleep(SETTLE if len(times) < BURST else PATIENCE / 2)
            self._expected.looked()
            mended = await self.reconcile()
            if mended:
                self._report("network-restored", message="; ".join(mended))
                times.append(now)

    async def _reconcile(self) -> list[str]:
        await self._sweep()
        told = []
        changed = []
        links = await in_a_thread(carry.seen)
        addresses = await in_a_thread(carry.addresses)
        for name in sorted(self.made):
            await trio.lowlevel.checkpoint()  # two hundred of them take a while
            made, workload = self.made[name], self._find(name)
            if workload is None or not workload.settings.network:
                continue  # its files cannot be read: what was made stays
            try:
                setup = self._compile(workload)
                if setup.shape != made.shape:
                    continue  # it is another one from its next start on
                wrong = self._expected.wrong(setup, links, addresses)
                if wrong or not made.done:
                    told += wrong
                    await in_a_thread(partial(carry.establish, self.names, setup))
                elif name in self._changed:
                    await in_a_thread(partial(carry.limit, setup))
                    changed.append(name)
                self._changed.discard(name)
                self._keep(Made.of(setup, True))
                self._expected.add(setup)
            except (CrecheError, OSError) as error:
                self._trouble(name, error)
        owned = [link for made in self.made.values() for link in self._links_of(made)]
        told += await in_a_thread(partial(carry.strays, self.names, owned, self._namespaces()))
        try:
            await self._apply()
        except (CrecheError, OSError) as error:
            self._trouble(None, error)
        else:
            for name in changed:
                self._report("network-changed", workload=name)
        return list(dict.fromkeys(told))

    def close(self) -> None:
        """Nothing happens any more: leave no empty directories."""
        for directory in (self._records.directory, self.names.namespaces):
            try:
                os.rmdir(directory)
            except OSError:
                pass  # something is in it, or it is not there

    # --- one change --------------------------------------------------------------------------

    async def _share(self, workload: Workload) -> None:
        """The namespace of the workload whose it shares."""
        owner = workload.settings.network[0].workload
        if owner is None or owner in self.made:
            return
        other = self._find(owner)
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
        await self._make(other)

    def _compile(self, workload: Workload) -> Setup:
        attachments = workload.settings.network
        wanted = list(declared(attachments, self.networks))
        leases = self.leases.give(workload.name, wanted, self.made) if wanted else {}
        return compile_setup(self.names, workload.name, attachments, self.networks, leases)

    async def _make(self, workload: Workload) -> None:
        name = workload.name
        setup = self._compile(workload)
        old = self.made.get(name)
        same = old is not None and old.shape == setup.shape
        if old is not None and not same:
            shared = any(each.owner == name for each in self.made.values())
            await self._take_down([old], keep_namespaces=shared)
        if not same:
            self._keep(Made.of(setup, False))
        try:
            # Also what is there: who may do as he likes with his network may have spoiled it.
            await in_a_thread(partial(carry.establish, self.names, setup))
            if old != Made.of(setup, True):
                await self._apply()
        except BaseException:
            if not same:
                await self._undo(setup)
            raise
        self._changed.discard(name)
        self._keep(Made.of(setup, True))
        self._expected.add(setup)
        if setup.endpoints and not same:
            self._report(
                "network-attached",
                workload=name,
                addresses=[str(a) for each in setup.endpoints for a in each.addresses],
            )

    async def _undo(self, setup: Setup) -> None:
        try:
            await self._remove([Made.of(setup, False)])
            await self._apply()
        except (CrecheError, OSError) as error:
            self._trouble(setup.workload, error)

    async def _sweep(self) -> None:
        """Remove what nobody needs."""
        shared = {self.made[user].owner for user in self._users if user in self.made}
        unneeded = [name for name in self.made if name not in self._users and name not in shared]
        if not unneeded:
            return
        try:
            await self._remove([self.made[name] for name in unneeded])
            await self._apply()
        except (CrecheError, OSError) as error:
            self._trouble(unneeded[0], error)

    async def _remove(self, unneeded: Sequence[Made]) -> None:
        """All at once: the kernel takes as long for many links as for one."""
        await self._take_down(unneeded, keep_namespaces=False)
        for made in unneeded:
            self.made.pop(made.workload, None)
            self._attached.pop(made.workload, None)
            self._records.remove(made.workload)

    async def _take_down(self, some: Sequence[Made], keep_namespaces: bool) -> None:
        names = {made.workload for made in some}
        others = [other for other in self.made.values() if other.workload not in names]
        used = {bridge for other in others for bridge in other.bridges}
        bridges = {bridge for made in some for bridge in made.bridges} - used
        for made in some:
            self._expected.drop(made)
        for name, _ in bridges:
            self._expected.drop_bridge(name)
        links = [link for made in some for link in made.links]
        kept = [made.netns for made in some if made.netns and not keep_namespaces]
        await in_a_thread(partial(carry.take_down, self.names, links, kept, bridges))

    async def _apply(self) -> None:
        await in_a_thread(partial(self._edge.apply, self.endpoints, self.networks))

    def _keep(self, made: Made) -> None:
        os.makedirs(self._records.directory, 0o700, exist_ok=True)
        if self.made.get(made.workload) != made:
            self._records.save(made.workload, made.to_json())
            self.made[made.workload] = made

    def _forget(self, name: str) -> None:
        try:
            self.leases.forget(name)
        except OSError as error:
            self._trouble(name, error)

    def _links_of(self, made: Made) -> Iterable[str]:
        return (*made.links, *(name for name, _ in made.bridges))

    def _namespaces(self) -> set[str]:
        return {name for name, made in self.made.items() if made.netns}

    def _others_left(self) -> bool:
        return bool(namespaces.names(self.names.namespaces))

    def _trouble(self, name: str | None, error: Exception) -> None:
        self._report("network-trouble", workload=name, message=str(error))


def is_attached(left: Resumed) -> bool:
    """Whether a workload that an earlier creched has left needs its networks."""
    resting = left.record.state in RESTING or left.record.state is State.IDLE
    return left.container is not None or not resting
