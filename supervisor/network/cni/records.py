"""What was asked of CNI plugins, written down before it is: they are told again at removal.

Lists of plugins may have changed by then, or be gone, and creched may have been killed in between
or the machine rebooted: host-local keeps its leases on disk.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self, cast

from runtime.lifecycle.runner import sweep_after, this_process
from runtime.state import boot_id
from supervisor.network.cni.conflist import Conflist
from supervisor.network.cni.plugin import Place
from supervisor.network.errors import NetworkError
from supervisor.store.files import Documents

if TYPE_CHECKING:
    from runtime.state import State


@dataclass(frozen=True, slots=True)
class Plugged:
    """One attachment. `result`: of the last plugin that has been through; not `done`: of an ADD
    that was not finished, or is to be made again."""

    path: str
    place: Place
    conflist: Conflist
    runtime: dict[str, Any]
    result: dict[str, Any] | None = None
    done: bool = False

    def to_json(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "path": self.path,
            "container": self.place.container,
            "netns": self.place.netns,
            "interface": self.place.interface,
            "conflist": self.conflist.to_json(),
            "runtime": self.runtime,
            "result": self.result,
            "done": self.done,
        }

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> Self:
        """The same back. Raises KeyError, TypeError, ValueError, NetworkError."""
        place = Place(str(found["container"]), str(found["netns"]), str(found["interface"]))
        result = found["result"]
        return cls(
            str(found["path"]),
            place,
            Conflist.from_json(found["conflist"]),
            dict(found["runtime"]),
            None if result is None else dict(result),
            bool(found["done"]),
        )


class Records:
    """By workload, in the order in which they were made."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self.held: dict[str, tuple[Plugged, ...]] = {}

    def load(self) -> None:
        """What an earlier creched wrote down; what cannot be read is set aside. Raises OSError.

        Plugins that it was killed over are ended.
        """
        for name in list(self._documents.names()):
            document = self._documents.load(name)
            if document is None:
                continue
            try:
                self.held[name] = tuple(map(Plugged.from_json, document["plugged"]))
                sweep_after(cast("State", document))
            except (AttributeError, KeyError, TypeError, ValueError, NetworkError) as error:
                self._documents.set_aside(name, f"it holds no CNI attachments: {error!r}")

    def find(self, workload: str, interface: str) -> Plugged | None:
        """One of them."""
        some = self.held.get(workload, ())
        return next((each for each in some if each.place.interface == interface), None)

    def keep(self, workload: str, plugged: Plugged) -> None:
        """Instead of what there is with that interface, or besides. Raises OSError."""
        some = list(self.held.get(workload, ()))
        at = [each.place.interface for each in some]
        if plugged.place.interface in at:
            some[at.index(plugged.place.interface)] = plugged
        else:
            some.append(plugged)
        self._save(workload, some)

    def drop(self, workload: str, plugged: Plugged) -> None:
        """It is no more. Raises OSError."""
        interface = plugged.place.interface
        some = self.held.get(workload, ())
        self._save(workload, [each for each in some if each.place.interface != interface])

    def reopen(self, workload: str, plugged: Plugged) -> None:
        """It is not as it was made. Raises OSError."""
        self.keep(workload, replace(plugged, done=False))

    def close(self) -> None:
        """Leave no empty directory."""
        try:
            os.rmdir(self._documents.directory)
        except OSError:
            pass  # something is in it, or it is not there

    def _save(self, workload: str, some: Sequence[Plugged]) -> None:
        if some:
            os.makedirs(self._documents.directory, 0o700, exist_ok=True)
            document = {
                "plugged": [each.to_json() for each in some],
                "runner": list(this_process()),
                "boot_id": boot_id(),
            }
            self._documents.save(workload, document)
            self.held[workload] = tuple(some)
        else:
            self._documents.remove(workload)
            self.held.pop(workload, None)
