"""What links, namespaces and hardware addresses are called, and how ours are told from others'.

Everything that is made carries an alias (`ip link` shows it), `creche:INSTANCE:WHAT`. The instance
stands for one state root: two creched on one machine leave each other's links alone.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

MARK = "creche"
VETH = "crv"
NEW = "crn"
"""What the name of a bridge begins with while it is being made."""
TABLE = "namespaces"
"""Directory in ROOT/.creched."""


@dataclass(frozen=True, slots=True)
class Names:
    """`own` is ROOT/.creched."""

    own: str

    @property
    def instance(self) -> str:
        """Short, and another one for another root."""
        return _digest(self.own)[:8]

    @property
    def prefix(self) -> str:
        """What every alias of ours begins with."""
        return f"{MARK}:{self.instance}:"

    @property
    def namespaces(self) -> str:
        """The directory of network namespaces."""
        return f"{self.own}/{TABLE}"

    def namespace(self, workload: str) -> str:
        """Path of a workload's network namespace."""
        return f"{self.namespaces}/{workload}"

    def veth(self, workload: str, interface: str) -> str:
        """The host's end of a pair: 15 bytes are too few for the names themselves."""
        return f"{VETH}{self.instance[:4]}{_digest(workload, interface)[:8]}"

    def unfinished(self, bridge: str) -> str:
        """What a bridge is called until it carries its alias."""
        return f"{NEW}{self.instance[:4]}{_digest(bridge)[:8]}"

    def half_made(self, link: str) -> bool:
        """Whether a link without a mark is one that we were killed over."""
        return link.startswith((f"{VETH}{self.instance[:4]}", f"{NEW}{self.instance[:4]}"))

    def link_alias(self, workload: str, interface: str) -> str:
        """Of the host's end of a pair."""
        return f"{self.prefix}{workload}/{interface}"

    def bridge_alias(self, network: str) -> str:
        """Of a network's bridge."""
        return f"{self.prefix}network/{network}"

    def mac(self, *of: str) -> str:
        """Always the same for the same workload and interface: locally administered (IEEE 802)."""
        digest = _digest(self.own, *of)
        return ":".join(["02", *(digest[i : i + 2] for i in range(0, 10, 2))])


def _digest(*words: str) -> str:
    return hashlib.sha256("\0".join(words).encode("utf-8", "surrogateescape")).hexdigest()
