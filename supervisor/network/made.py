"""What was made for a workload, written down before it is made: whoever comes next finds it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

from supervisor.network.model import Endpoint
from supervisor.network.plan import Setup
from supervisor.store.files import Documents


@dataclass(frozen=True, slots=True)
class Made:
    """See `plan.Setup`. `bridges` are names with aliases; not `done`: we may have been killed."""

    workload: str
    shape: str
    netns: str
    owner: str | None
    links: tuple[str, ...]
    bridges: tuple[tuple[str, str], ...]
    endpoints: tuple[Endpoint, ...]
    done: bool = False

    @classmethod
    def of(cls, setup: Setup, done: bool) -> Self:
        """What `setup` leads to."""
        bridges = tuple((bridge.name, bridge.alias) for bridge in setup.bridges)
        return cls(
            setup.workload, setup.shape, setup.netns, setup.owner, setup.links, bridges,
            setup.endpoints, done,
        )  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "workload": self.workload,
            "shape": self.shape,
            "netns": self.netns,
            "owner": self.owner,
            "links": list(self.links),
            "bridges": [list(pair) for pair in self.bridges],
            "endpoints": [endpoint.to_json() for endpoint in self.endpoints],
            "done": self.done,
        }

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> Self:
        """The same back. Raises KeyError, TypeError, ValueError."""
        return cls(
            str(found["workload"]),
            str(found["shape"]),
            str(found["netns"]),
            found["owner"],
            tuple(map(str, found["links"])),
            tuple((str(name), str(alias)) for name, alias in found["bridges"]),
            tuple(Endpoint.from_json(each) for each in found["endpoints"]),
            bool(found["done"]),
        )


def load(documents: Documents) -> Iterator[Made]:
    """All that an earlier creched wrote down; what cannot be read is set aside. Raises OSError."""
    for name in list(documents.names()):
        document = documents.load(name)
        if document is None:
            continue
        try:
            made = Made.from_json(document)
            if made.workload != name:
                raise ValueError(f"it is that of {made.workload!r}")
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            documents.set_aside(name, f"it is no network: {error!r}")
            continue
        yield made
