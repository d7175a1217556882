"""A workload's CNI attachments: plugins in order, in reverse order, and asked whether all is well.

An ADD that fails is undone by DEL of the whole list, and so is one over which creched was killed:
plugins have to bear a DEL of what is not there (SPEC.md, 2).
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from runtime.errors import CrecheError
from supervisor.network import namespaces
from supervisor.network.cni.conflist import PORTS, Conflist, port_mappings
from supervisor.network.cni.plugin import Place, call, find
from supervisor.network.cni.records import Plugged, Records
from supervisor.network.cni.result import addresses, read_result
from supervisor.network.errors import NetworkError
from supervisor.network.model import Endpoint, Mode
from supervisor.network.naming import Names
from supervisor.network.plan import Plug, Setup
from supervisor.store.files import Documents
from supervisor.workload import files
from supervisor.workload.errors import WorkloadError


class Cni:
    """documents: where attachments are written down. path: directories of plugins."""

    def __init__(self, names: Names, documents: Documents, path: Sequence[str]) -> None:
        self._names = names
        self._path = path
        self.records = Records(documents)

    async def ensure(self, setup: Setup) -> None:
        """Have those of a workload there; its namespace is. Raises NetworkError, OSError.

        What was not finished is made anew. If one cannot be made, nothing of that one is left.
        """
        wanted = [each.interface for each in setup.cni]
        for plugged in self.records.held.get(setup.workload, ())[::-1]:
            if not plugged.done or plugged.place.interface not in wanted:
                await self._delete(setup.workload, plugged)
        for each in setup.cni:
            if self.records.find(setup.workload, each.interface) is None:
                await self._add(setup.workload, self._plugged(setup, each))

    async def wrong(self, setup: Setup) -> list[str]:
        """Which are not as they were made, in words; `ensure` makes those anew. Raises OSError."""
        found = []
        for plugged in self.records.held.get(setup.workload, ()):
            if plugged.done and not await self._check(plugged):
                self.records.reopen(setup.workload, plugged)
                found.append(f"{plugged.place.interface} of {setup.workload}, made by CNI")
        return found

    async def remove(self, workload: str) -> None:
        """All of a workload's, in reverse. Raises NetworkError if plugins refuse; those stay."""
        left = []
        for plugged in self.records.held.get(workload, ())[::-1]:
            try:
                await self._delete(workload, plugged)
            except (CrecheError, OSError) as error:
                left.append(str(error))
        if left:
            raise NetworkError("; ".join(left))

    def strays(self, workloads: Collection[str]) -> list[str]:
        """Workloads of which there are attachments, and which are none of these."""
        return sorted({*self.records.held} - {*workloads})

    def told(self, setup: Setup) -> Setup:
        """With the addresses that plugins have given its endpoints. Pure."""
        ends = tuple(self._told(end) if end.mode is Mode.CNI else end for end in setup.endpoints)
        return replace(setup, endpoints=ends)

    def _told(self, endpoint: Endpoint) -> Endpoint:
        plugged = self.records.find(endpoint.workload, endpoint.interface)
        if plugged is None or plugged.result is None:
            return endpoint
        v4, v6, mac = addresses(plugged.result, endpoint.interface)
        return replace(endpoint, address=v4, address6=v6, mac=mac)

    def _plugged(self, setup: Setup, wanted: Plug) -> Plugged:
        conflist = read(wanted.conflist)
        for plugin in conflist.plugins:
            self._there(wanted.conflist, plugin["type"])
        if wanted.publish and not conflist.able(PORTS):
            raise NetworkError(
                f"network.publish: no plugin of {wanted.conflist} has the capability {PORTS}"
            )
        ports = {PORTS: port_mappings(wanted.publish)} if wanted.publish else {}
        container = f"{self._names.instance}-{setup.workload}"
        place = Place(container, setup.netns, wanted.interface)
        return Plugged(wanted.conflist, place, conflist, ports)

    def _there(self, conflist: str, kind: str) -> None:
        """Raise NetworkError if there is no such plugin: before the first is run."""
        try:
            find(kind, self._path)
        except NetworkError as error:
            raise NetworkError(_of(kind, conflist, error)) from None

    async def _add(self, workload: str, plugged: Plugged) -> None:
        self.records.keep(workload, plugged)
        try:
            for plugin in plugged.conflist.plugins:
                plugged = await self._next(plugged, plugin["type"], plugin)
                self.records.keep(workload, plugged)
        except BaseException as error:
            try:
                await self._delete(workload, plugged)
            except (CrecheError, OSError) as other:
                error.add_note(str(other))
                if isinstance(error, NetworkError):
                    raise NetworkError(f"{error}; and undoing it: {other}") from None
            raise
        self.records.keep(workload, replace(plugged, done=True))

    async def _next(self, plugged: Plugged, kind: str, plugin: dict[str, Any]) -> Plugged:
        """One ADD."""
        request = plugged.conflist.request(plugin, "ADD", plugged.result, plugged.runtime)
        try:
            printed = await call("ADD", kind, plugged.place, request, self._path)
            return replace(plugged, result=read_result(printed))
        except NetworkError as error:
            raise _failed(plugged, kind, error) from None

    async def _check(self, plugged: Plugged) -> bool:
        if not namespaces.is_there(plugged.place.netns):
            return False
        conflist = plugged.conflist
        if not conflist.can_check:
            return True
        for plugin in conflist.plugins:
            request = conflist.request(plugin, "CHECK", plugged.result, plugged.runtime)
            try:
                await call("CHECK", plugin["type"], plugged.place, request, self._path)
            except NetworkError:
                return False
        return True

    async def _delete(self, workload: str, plugged: Plugged) -> None:
        """One attachment; all of its plugins are asked. Raises NetworkError; then it stays."""
        conflist, place = plugged.conflist, plugged.place
        if not namespaces.is_there(place.netns):
            place = replace(place, netns="")  # "" is what a plugin is told of one that has gone
        left: NetworkError | None = None
        for plugin in conflist.plugins[::-1]:
            request = conflist.request(plugin, "DEL", plugged.result, plugged.runtime)
            try:
                await call("DEL", plugin["type"], place, request, self._path)
            except NetworkError as error:
                left = left or _failed(plugged, plugin["type"], error)
        if left is not None:
            self.records.reopen(workload, plugged)
            raise left
        self.records.drop(workload, plugged)


def read(path: str) -> Conflist:
    """The list of plugins in a file. Raises NetworkError, also if others could have written it."""
    parent, name = os.path.split(path)
    try:
        directory = files.open_directory(parent, parent)
        try:
            data = files.read_file(directory, path, name)
        finally:
            os.close(directory)
        return Conflist.parse(data)
    except FileNotFoundError:
        raise NetworkError(f"network.conflist: {path}: does not exist") from None
    except WorkloadError as error:
        raise NetworkError(f"network.conflist: {error}") from None
    except NetworkError as error:
        raise NetworkError(f"network.conflist: {path}: {error}") from None


def _failed(plugged: Plugged, kind: str, error: NetworkError) -> NetworkError:
    return NetworkError(_of(kind, plugged.path, error))


def _of(kind: str, conflist: str, error: NetworkError) -> str:
    return f"plugin {kind} of {conflist} (network.conflist): {error}"
