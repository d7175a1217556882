"""Networks of one creched: made before a container that needs them, gone after it.

Whoever wants a change waits for its turn: the kernel does one at a time anyway (rtnl_lock), and so
nothing is made and removed at once. `making` has one change, and what there is; here is who needs
it, when it is looked at again, and what is done then.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any

import trio

from runtime.errors import CrecheError
from supervisor.machine import RESTING, State
from supervisor.network import carry, joining
from supervisor.network.cni.chain import Cni
from supervisor.network.edges import Edge
from supervisor.network.leases import Leases
from supervisor.network.made import Made
from supervisor.network.making import Making, Report
from supervisor.network.model import Attachment, Endpoint, Network
from supervisor.network.names.files import DIRECTORY, mounted
from supervisor.network.namespaces import in_a_thread
from supervisor.network.view import Topology, topology
from supervisor.network.watching import listen
from supervisor.record import Resumed
from supervisor.workload.model import Workload

SETTLE = 0.2
"""Seconds after a change until it is looked at: who takes things apart does more than one."""
BURST, PATIENCE = 8, 20.0
"""So often within so many seconds something is mended at once; then it takes half as many. What
cannot be done is tried again after as many."""


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
        edges: Sequence[Edge] = (),
        cni: Cni | None = None,
    ) -> None:
        self._making = Making(own, leases, networks, find, report, damaged, edges, cni)
        self._users: set[str] = set()
        self._rested: set[str] = set()
        self._gone: set[str] = set()
        self._attached: dict[str, tuple[Attachment, ...]] = {}
        self._changed: set[str] = set()
        self._failing: dict[str | None, str] = {}
        """What could not be mended, or changed, and why: by workload, or of all."""
        self._wake = trio.Event()
        self._lock = trio.Lock()

    @property
    def made(self) -> Mapping[str, Made]:
        """By workload; also of those that have ended, as long as others share their namespace."""
        return self._making.made

    @property
    def networks(self) -> Mapping[str, Network]:
        """Those that are declared, and those that were, as long as somebody is still on them."""
        return self._making.networks

    @property
    def declared(self) -> Mapping[str, Network]:
        """Those that are declared, by the last creched.toml that was taken."""
        return self._making.declared

    @property
    def leases(self) -> Leases:
        """Also of workloads that do not run."""
        return self._making.leases

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Of all workloads, by name."""
        return self._making.endpoints

    def view(self) -> Topology:
        """As they are shown."""
        return topology(self.networks, self.made, self._attached, self.leases.held)

    def load(self) -> None:
        """What an earlier creched has left. Raises OSError."""
        self._making.load()

    def close(self) -> None:
        """Nothing happens any more: leave no empty directories."""
        self._making.close()

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
                    await self._making.share(workload)
                    await self._making.make(workload)
                    self._changed.discard(name)
                    self._attached[name] = workload.settings.network
                except BaseException:
                    self._users.discard(name)
                    self._attached.pop(name, None)
                    await self._sweep()
                    raise

    def joined(self, workload: Workload, config: dict[str, Any]) -> dict[str, Any]:
        """Its config.json with the network namespace that it runs in, and files with names."""
        if not workload.settings.network:
            return config
        names = self._making.names
        path = joining.namespace(names, workload.name, workload.settings.network)
        joined = joining.join(config, path)
        told = self.told(workload)
        return mounted(joined, told) if told else joined

    def told(self, workload: Workload) -> str:
        """The directory with its hosts file and resolv.conf; "" if it is told no names."""
        attachments = workload.settings.network
        owner = attachments[0].workload if attachments else None
        if owner is not None:
            other = self._making.find(owner)
            attachments = () if other is None else other.settings.network
        found = [self.networks.get(each.name or "") for each in attachments]
        if not any(network is not None and network.dns for network in found):
            return ""
        return f"{self._making.names.own}/{DIRECTORY}/{owner or workload.name}"

    def attached(self) -> dict[str, tuple[Attachment, ...]]:
        """What is declared for whom, of the workloads that are attached now.

        Who shares the namespace of one that does not run itself is on that one's networks.
        """
        found = {}
        for name in sorted(self._users & self._attached.keys()):
            if not self._attached[name]:
                continue  # its directory has vanished, or its [network]
            owner = self._attached[name][0].workload
            other = None if owner is None else self._making.find(owner)
            lends = other is not None and owner not in self._users
            found[name] = other.settings.network if other and lends else self._attached[name]
        return found

    def outdated(self) -> set[str]:
        """Workloads that are attached otherwise than is declared: a restart would change that."""
        found = set()
        for name in self.attached():
            workload = self._making.find(name)
            if workload is None or name not in self.made:
                continue
            try:
                if self._making.compile(workload).shape != self.made[name].shape:
                    found.add(name)
            except (CrecheError, OSError) as error:
                self._making.trouble(name, error)
        return found

    async def declare(self, networks: Mapping[str, Network]) -> None:
        """Have these networks from now on. Raises OSError; then nothing has changed.

        What can apply at once does; the rest when a workload is attached next.
        """
        with trio.CancelScope(shield=True):
            async with self._lock:
                before = self.declared
                self._making.declare(networks)
                self._changed |= {
                    endpoint.workload
                    for endpoint in self.endpoints
                    if networks.get(endpoint.network or "") != before.get(endpoint.network or "")
                }
                await self._reconcile()

    def changed(self, workload: Workload) -> None:
        """Settings that apply at once may be others."""
        before = self._attached.get(workload.name)
        if before is not None and before != workload.settings.network:
            self._attached[workload.name] = workload.settings.network
            self._changed.add(workload.name)
            self._making.expected.change()

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
        making = self._making
        declared = {*unread, *users}
        making.forget(name for name in {*self.leases.held} - declared if making.find(name) is None)
        self._users |= {name for name in users if name in self.made}
        for name in self._users:
            if (workload := making.find(name)) is not None:
                self._attached[name] = workload.settings.network
        if not self.made and not self.networks and not making.others_left():
            return
        await self.reconcile()

    async def run(self) -> None:
        """Remove what is not needed any more, and mend what others break, until cancelled."""
        expected = self._making.expected
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen, expected)
            nursery.start_soon(self._mend)
            nursery.start_soon(self._making.ports.run)
            for edge in self._making.edges:
                nursery.start_soon(edge.run, expected.change)
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
                gone = {name for name in self._gone if name not in {*self.made, *self._users}}
                self._gone -= gone
                self._making.forget(gone)

    async def reconcile(self) -> list[str]:
        """Make everything as it is declared; what had to be mended or removed, in words."""
        async with self._lock:
            with trio.CancelScope(shield=True):
                mended = await self._reconcile()
        return mended

    async def _mend(self) -> None:
        expected = self._making.expected
        times: list[float] = []
        while True:
            with trio.move_on_after(PATIENCE if self._failing else math.inf):
                await expected.wait()
            now = trio.current_time()
            times = [time for time in times if time > now - PATIENCE]
            # Who takes his own network apart again and again is not to keep us busy.
            await trio.sleep(SETTLE if len(times) < BURST else PATIENCE / 2)
            expected.looked()
            mended = await self.reconcile()
            if mended:
                self._making.report("network-restored", message="; ".join(mended))
                times.append(now)

    async def _reconcile(self) -> list[str]:
        await self._sweep()
        making = self._making
        told = []
        changed = []
        links = await in_a_thread(carry.seen)
        addresses = await in_a_thread(carry.addresses)
        for name in sorted(self.made):
            await trio.lowlevel.checkpoint()  # two hundred of them take a while
            made, workload = self.made[name], making.find(name)
            try:
                if workload is None or not workload.settings.network:
                    making.hold(made)  # its files cannot be read: what was made stays
                    continue
                setup = making.compile(workload)
                if setup.shape != made.shape:
                    making.hold(made)  # it is another one from its next start on
                    continue
                wrong = making.expected.wrong(setup, links, addresses)
                wrong += await making.cni.wrong(setup)
                if wrong or not made.done:
                    told += wrong
                    setup = await making.establish(setup)
                making.expected.add(setup)
                making.hold(Made.of(setup, True))
                if name in self._changed:
                    await in_a_thread(partial(carry.adjust, setup))
                    changed.append(name)
                making.keep(Made.of(setup, True))
                self._changed.discard(name)
                self._failing.pop(name, None)
            except (CrecheError, OSError) as error:
                self._trouble(name, error)
        told += await making.strays()
        try:
            told += await making.apply()
        except (CrecheError, OSError) as error:
            self._trouble(None, error)
        else:
            self._failing.pop(None, None)
            for name in changed:
                making.report("network-changed", workload=name)
        return list(dict.fromkeys(told))

    async def _sweep(self) -> None:
        for name in await self._making.sweep(self._users):
            self._attached.pop(name, None)
            self._failing.pop(name, None)

    def _trouble(self, name: str | None, error: Exception) -> None:
        """Told once, however often it is tried again."""
        if self._failing.get(name) != str(error):
            self._making.trouble(name, error)
        self._failing[name] = str(error)


def is_attached(left: Resumed) -> bool:
    """Whether a workload that an earlier creched has left needs its networks."""
    resting = left.record.state in RESTING or left.record.state is State.IDLE
    return left.container is not None or not resting
