"""What a service manager hands to creched in its environment (sd_notify(3), sd_listen_fds(3))."""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from dataclasses import dataclass

_FIRST = 3
"""SD_LISTEN_FDS_START."""
_VARIABLES = (
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
    "LISTEN_PID",
    "LISTEN_PIDFDID",
)
_LASTING = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


@dataclass(frozen=True, slots=True)
class Handed:
    """notify: address of the notify socket, "" without one. watchdog: seconds within which it wants
    a sign of life, 0 for never. descriptors: (name, number), in no order that means anything.
    lasting: variables that a program in the same process needs again (supervisor/reexec.py).
    """

    notify: str = ""
    watchdog: float = 0.0
    descriptors: tuple[tuple[str, int], ...] = ()
    lasting: tuple[tuple[str, str], ...] = ()


def take(environment: MutableMapping[str, str], pid: int) -> Handed:
    """Read the variables, and remove them: they are meant for this process, not for its children.

    What is meant for another process (its number is not `pid`) or is malformed counts as not given.
    """
    given = {name: environment.pop(name) for name in _VARIABLES if name in environment}
    return Handed(
        notify=given.get("NOTIFY_SOCKET", ""),
        watchdog=_watchdog(given, pid),
        descriptors=_descriptors(given, pid),
        lasting=tuple((name, given[name]) for name in _LASTING if name in given),
    )


def _watchdog(given: dict[str, str], pid: int) -> float:
    microseconds = _number(given.get("WATCHDOG_USEC", ""))
    if given.get("WATCHDOG_PID", str(pid)) != str(pid):
        return 0.0
    return microseconds / 1e6


def _descriptors(given: dict[str, str], pid: int) -> tuple[tuple[str, int], ...]:
    count = _number(given.get("LISTEN_FDS", ""))
    if given.get("LISTEN_PID") != str(pid):
        return ()
    names = given.get("LISTEN_FDNAMES", "").split(":")
    # Their order is no help: systemd's store gives them back in any (seen after daemon-reexec).
    return tuple((name, _FIRST + at) for at, name in enumerate(names[:count]))


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() else 0


def close_on_exec(handed: Handed) -> None:
    """They come without the flag, and no child of ours is to have them."""
    for _, fd in handed.descriptors:
        os.set_inheritable(fd, False)
