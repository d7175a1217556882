"""Where creched listens: the tables [control] and [http] of creched.toml."""

from __future__ import annotations

import grp
from dataclasses import dataclass

from runtime.errors import CrecheError

SOCKET = "control.sock"
"""Name of the admin socket in ROOT/.creched, where only root comes."""


@dataclass(frozen=True, slots=True)
class Control:
    """`read_only`: path of a socket that members of `group` may read from; `listen`: loopback
    address and port of the status page. None: there is none."""

    read_only: str | None = None
    group: str = "creche"
    listen: str | None = None


def group_id(name: str) -> int:
    """Of a group by name or number. Raises CrecheError if there is none."""
    if name.isdecimal():
        return int(name)
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise CrecheError(
            f"control.group: there is no group {name} (groupadd --system {name})"
        ) from None
