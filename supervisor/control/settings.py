"""Where creched listens: the tables [control] and [http] of creched.toml."""

from __future__ import annotations

import grp
from dataclasses import dataclass

from runtime.errors import CrecheError
from supervisor.workload import kinds
from supervisor.workload.schema import Field, Section, into

SOCKET = "control.sock"
"""Name of the admin socket in ROOT/.creched, where only root comes."""


@dataclass(frozen=True, slots=True)
class Control:
    """`read_only`: path of a socket that members of `group` may read from; None: there is none."""

    read_only: str | None = None
    group: str = "creche"


@dataclass(frozen=True, slots=True)
class Http:
    """`listen`: loopback address and port of the status page; None: there is none."""

    listen: str | None = None


CONTROL = Section(
    "control",
    "The control sockets. That of root is ROOT/.creched/control.sock, with mode 0600.",
    (
        Field(
            "read-only",
            kinds.ABSOLUTE,
            None,
            "none",
            "Path of one more socket, with mode 0660, on which nothing can be changed. Nobody else "
            "may be able to write its directory, which has to be there.",
        ),
        Field(
            "group", kinds.NONEMPTY, "creche", '"creche"', "Who may connect to it: a name or a gid."
        ),
    ),
    make=into(Control),
)
HTTP = Section(
    "http",
    "The status page and /metrics for this machine. Anybody on it may read them; what programs "
    "wrote is not shown.",
    (
        Field(
            "listen",
            kinds.NONEMPTY,
            None,
            "none",
            '`"127.0.0.1:PORT"` or `"[::1]:PORT"`; other addresses are refused.',
        ),
    ),
    make=into(Http),
)


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
