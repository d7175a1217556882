"""What goes with links as a whole: rules of nftables, names, plugins. Each is an `Edge`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Protocol

from supervisor.network.errors import NetworkError
from supervisor.network.model import Endpoint, Network


class Need(StrEnum):
    """What a declaration can ask of an edge."""

    PUBLISH = "publish"
    MASQUERADE = "masquerade"
    DNS = "dns"


class Edge(Protocol):
    """One of them."""

    @property
    def provides(self) -> Collection[Need]:
        """What declarations can ask of it."""

    def apply(self, endpoints: Sequence[Endpoint], networks: Mapping[str, Network]) -> list[str]:
        """Make things be as these endpoints say, all at once or not at all.

        Called in a thread in the host's namespace, after every change and at each reconcile. Raises
        NetworkError; the change is undone then, and `apply` called again without it. No endpoints:
        nothing is to be left. Gives what others had changed, in words.
        """

    async def run(self, change: Callable[[], object]) -> None:
        """Watch, or serve, until cancelled; `change` has everything applied anew."""


def refuse(
    edges: Sequence[Edge], endpoints: Sequence[Endpoint], networks: Mapping[str, Network]
) -> None:
    """Raise NetworkError if something is declared that none of them provides."""
    provided = {need for edge in edges for need in edge.provides}
    for endpoint in endpoints:
        for need, key in _needs(endpoint, networks.get(endpoint.network or "")):
            if need not in provided:
                raise NetworkError(f"{key}: this version of creched cannot do that yet")


def _needs(endpoint: Endpoint, network: Network | None) -> Iterator[tuple[Need, str]]:
    """With the key that asks for it."""
    if endpoint.publish:
        yield Need.PUBLISH, "network.publish"
    if network is not None and network.masquerade:
        yield Need.MASQUERADE, f"networks.{network.name}.masquerade"
    if network is not None and network.dns:
        yield Need.DNS, f"networks.{network.name}.dns"
