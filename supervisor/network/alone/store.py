"""Networks of containers without a creched: one change at a time, also between processes.

What creched does about its workloads is done here about containers and bundles, by the same code
and in a directory of its own. Nobody runs in between; so whoever comes next finds out what others
have left, and which containers are no more.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

import trio

from runtime.state import make_root, process_start_time
from supervisor.network import namespaces
from supervisor.network.edge import Rules
from supervisor.network.errors import NetworkError
from supervisor.network.making import Making
from supervisor.network.model import Attachment, Network
from supervisor.network.naming import Names
from supervisor.network.view import Topology, topology
from supervisor.store.files import Documents
from supervisor.workload.model import Settings, Workload

OWN = ".network"
"""Directory in the root of `creche`."""
T = TypeVar("T")


class Alone:
    """root: of `creche`. tell: what goes wrong beside what was asked for, in words."""

    def __init__(
        self, root: str, networks: Mapping[str, Network], tell: Callable[[str], object]
    ) -> None:
        own = f"{root}/{OWN}"
        self._root = root
        self._own = own
        self._tell = tell
        self._owners = Documents(f"{own}/owners", False, self._damaged)
        self._making = Making(
            own,
            f"{own}/leases",
            networks,
            lambda name: None,
            self._report,
            self._damaged,
            [Rules(Names(own))],
        )

    # --- what is asked for; all raise NetworkError and OSError, and then nothing has changed ------

    def up(self, name: str, wanted: tuple[Attachment, ...], pid: int | None = None) -> list[str]:
        """Have networks there for a container (its process is `pid`), or for one to come.

        In that process's network namespace, else in a new one: `path`. Gives the addresses.
        """
        with self._turn():
            return trio.run(self._up, name, wanted, pid)

    def down(self, name: str) -> None:
        """Remove what was made; fine if nothing was."""
        if os.path.isdir(self._own):
            with self._turn():
                trio.run(self._down, name)

    def ended(self, name: str) -> None:
        """The same for a container that has ended. What is one's that runs stays: it is called the
        same, and another runtime's, or of another root of its runtime."""
        if os.path.isdir(self._own):
            with self._turn():
                trio.run(self._ended, name)

    def view(self) -> Topology:
        """What there is."""
        if not os.path.isdir(self._own):
            return topology(self._making.networks, {}, {}, {})
        with self._turn():
            trio.run(self._tidy)
            making = self._making
            return topology(making.networks, making.made, {}, making.leases.held)

    def path(self, name: str) -> str:
        """Of the network namespace."""
        return self._making.names.namespace(name)

    # --- one turn -----------------------------------------------------------------------------

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Nobody else changes anything meanwhile; nothing is left where nothing is to be kept."""
        fd = self._lock()
        try:
            self._making.load()
            yield
        finally:
            self._making.close()
            for directory in (self._owners.directory, f"{self._own}/leases", self._own):
                try:
                    os.rmdir(directory)
                except OSError:
                    pass  # something is in it, or it is not there
            os.close(fd)

    def _lock(self) -> int:
        """The directory is the lock; whoever had it may have removed it, and then it is not.

        Raises StateError if others could have written what is in it.
        """
        make_root(self._root)
        while True:
            os.makedirs(self._own, 0o700, exist_ok=True)
            fd = os.open(self._own, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            fcntl.flock(fd, fcntl.LOCK_EX)
            try:
                if os.path.samestat(os.stat(self._own), os.fstat(fd)):
                    return fd
            except FileNotFoundError:
                pass
            os.close(fd)

    async def _tidy(self, but: str = "") -> set[str]:
        """Remove what belonged to containers that are no more, and to `but`; who is left."""
        making = self._making
        owners = {name: self._owners.load(name) for name in self._owners.names()}
        left = {name for name, owner in owners.items() if name != but and _lives(owner)}
        await making.sweep(left)
        making.forget(set(making.leases.held) - left)
        for name in owners.keys() - left - making.made.keys():
            self._owners.remove(name)
        await making.strays()
        for made in making.made.values():
            try:
                making.hold(made)  # nobody else's port is given out meanwhile
            except NetworkError as error:
                self._tell(str(error))
        await making.apply()
        return left

    async def _up(self, name: str, wanted: tuple[Attachment, ...], pid: int | None) -> list[str]:
        making = self._making
        for attachment in wanted:
            network = making.networks.get(attachment.name or "")
            if network is not None and network.dns:
                raise NetworkError(
                    f"networks.{network.name}.dns: only creched can do that; choose a network "
                    "without it"
                )
        left = await self._tidy()
        owner = self._owners.load(name) if name in left else None
        if owner is not None and pid is not None and owner.get("pid") not in (pid, None):
            raise NetworkError(
                f"a container that is called the same has networks already (process "
                f"{owner['pid']}); choose another id: that is what they are kept by"
            )
        if pid is not None and os.stat(f"/proc/{pid}/ns/net").st_ino == _own_namespace():
            raise NetworkError(
                "the container is in the host's network namespace; it needs one of its own: "
                'linux.namespaces of config.json needs {"type": "network"}'
            )
        os.makedirs(self._owners.directory, 0o700, exist_ok=True)
        start = None if pid is None else process_start_time(pid)
        self._owners.save(name, {"pid": pid, "start": start})
        if pid is not None:
            source = f"/proc/{pid}/ns/net"
            await namespaces.in_a_thread(partial(namespaces.keep, self.path(name), source))
        workload = Workload(name, "", Settings(network=wanted), {})
        try:
            await making.make(workload)
        except BaseException:
            await self._tidy(but=name)
            raise
        return [
            f"{endpoint.interface} {address}"
            for endpoint in making.made[name].endpoints
            for address in endpoint.addresses
        ]

    async def _down(self, name: str) -> None:
        await self._tidy(but=name)
        if name in self._making.made:
            raise NetworkError(f"not everything of {name} could be removed; try again")

    async def _ended(self, name: str) -> None:
        if name in await self._tidy():
            self._tell(f"{name}: a container that is called the same runs; its networks stay")

    def _report(self, event: str, **fields: Any) -> None:
        if event == "network-forwarding":
            self._tell(f"{fields['message']} switched on, which published ports need")
        elif "message" in fields:
            self._tell(str(fields["message"]))

    def _damaged(self, path: str, kept: str, reason: str) -> None:
        self._tell(f"{path} cannot be used ({reason}); it is kept as {kept}")


def _lives(owner: dict[str, Any] | None) -> bool:
    """Whether somebody still needs it: a container that runs, or one that is to come."""
    if owner is None:
        return False
    pid = owner.get("pid")
    if pid is None:
        return True
    # None: it had ended before that could be written down.
    start = process_start_time(pid) if isinstance(pid, int) else None
    return start is not None and start == owner.get("start")


def _own_namespace() -> int:
    return os.stat("/proc/self/ns/net").st_ino
