"""What a container may say on its notify socket: sd_notify(3), believed line by line. Pure.

A message is bytes from somebody who may be hostile. Of its lines only those are understood that
speak about the service's own progress. MAINPID names a process, which the supervisor knows better;
FDSTORE, FDNAME and the like would have it keep descriptors. They and everything unknown are passed
over, as sd_notify(3) asks of a receiver.
"""

from __future__ import annotations

from dataclasses import dataclass

from hooks.tail import printable
from supervisor.monitor.types import Signal

LARGEST = 4096
"""Bytes of the longest message that is read; systemd reads as much (NOTIFY_BUFFER_MAX)."""
LONGEST_STATUS = 256
"""Characters of STATUS that are kept."""
LONGEST_EXTENSION = 3600 * 1_000_000
"""Microseconds: no single EXTEND_TIMEOUT_USEC is worth more than an hour."""
LONGEST_WATCHDOG = 86400 * 1_000_000


@dataclass(frozen=True, slots=True)
class Message:
    """signals: for the keeper, in order. alive: it contained WATCHDOG=1. trigger: WATCHDOG=trigger.
    interval: microseconds of WATCHDOG_USEC, None if it was not there."""

    signals: tuple[tuple[Signal, str], ...] = ()
    alive: bool = False
    trigger: bool = False
    interval: int | None = None


_PLAIN = {
    b"READY=1": Signal.READY,
    b"RELOADING=1": Signal.RELOADING,
    b"STOPPING=1": Signal.STOPPING,
}


def parse(data: bytes) -> Message:
    """The meaning of one datagram; whatever it is, there is one."""
    signals: list[tuple[Signal, str]] = []
    alive = trigger = False
    interval: int | None = None
    for line in data.split(b"\n"):
        plain = _PLAIN.get(line)
        if plain is not None:
            signals.append((plain, ""))
            continue
        name, _, value = line.partition(b"=")
        if name == b"STATUS":
            signals.append((Signal.STATUS, printable(value[: 4 * LONGEST_STATUS])[:LONGEST_STATUS]))
        elif name == b"ERRNO" and _number(value, 4095) is not None:
            signals.append((Signal.STATUS, f"error number {int(value)}"))
        elif name == b"EXTEND_TIMEOUT_USEC" and _number(value) is not None:
            signals.append((Signal.EXTEND, str(min(int(value), LONGEST_EXTENSION))))
        elif name == b"WATCHDOG":
            alive = alive or value == b"1"
            trigger = trigger or value == b"trigger"
        elif name == b"WATCHDOG_USEC" and _number(value, LONGEST_WATCHDOG):
            interval = int(value)
    return Message(tuple(signals), alive, trigger, interval)


def _number(value: bytes, highest: int = 1 << 64) -> int | None:
    """A number in decimal digits; None if it is none or too large."""
    if not value.isdigit() or len(value) > 20 or int(value) > highest:
        return None
    return int(value)
