"""Descriptors that outlive creched: by name, in systemd's store, and across `reexec`.

systemd keeps copies of what it is sent (FDSTORE=1) and hands them to the next creched, whatever
became of this one. Only names count: they come back in no fixed order. Nothing is taken that
nobody asks for by its exact name; the rest is closed and removed from the store.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from supervisor.systemd.notify import Notifier

if TYPE_CHECKING:
    from runtime.state import State


class Descriptors:
    """inherited: what an earlier creched has left, by name."""

    def __init__(self, notifier: Notifier, inherited: Iterable[tuple[str, int]] = ()) -> None:
        self._notifier = notifier
        self._inherited: dict[str, int] = {}
        self._kept: dict[str, int] = {}
        for name, fd in inherited:
            if name in self._inherited:
                os.close(fd)  # the same one twice: handed over, and from the store
            else:
                self._inherited[name] = fd

    def take(self, name: str) -> int:
        """The descriptor an earlier creched kept by this name, which is then the caller's; or -1.

        It stays kept, until `drop`.
        """
        fd = self._inherited.pop(name, -1)
        if fd >= 0:
            self._kept[name] = fd
        return fd

    def keep(self, name: str, fd: int) -> None:
        """Keep a copy by this name (ASCII, no colon), until `drop`; `fd` stays the caller's."""
        self._kept[name] = fd
        # Without FDPOLL=0 systemd drops a descriptor that hangs up: a pidfd at the very moment that
        # it becomes interesting (Linux 6.12 and later).
        self._notifier.tell("FDSTORE=1", f"FDNAME={name}", "FDPOLL=0", fds=[fd])

    def drop(self, name: str) -> None:
        """Keep it no longer. To be called before the caller closes it."""
        if self._kept.pop(name, None) is not None:
            self._forget(name)

    def sweep(self, unwanted: Callable[[str], bool] = lambda _name: True) -> list[str]:
        """Let go of what nobody has taken, or of what is `unwanted` of that; gives the names."""
        names = sorted(filter(unwanted, self._inherited))
        for name in names:
            os.close(self._inherited.pop(name))
            self._forget(name)
        return names

    def all(self) -> dict[str, int]:
        """What is kept, to be handed to the next program in this process."""
        return dict(self._kept)

    def _forget(self, name: str) -> None:
        self._notifier.tell("FDSTOREREMOVE=1", f"FDNAME={name}")


def name_of(kind: str, state: State) -> str:
    """By which something of this very run of a container is kept, and of no other.

    kind: `pid`, its first process; `stdout`, `stderr`, the reading ends; `notify`, its socket.

    Short: systemd hands all names over in one variable, and execve(2) takes none that is longer
    than 128 KiB (MAX_ARG_STRLEN). FileDescriptorStoreMax= of the unit goes with that.
    """
    run = f"{state['id']} {state['pid']} {state['start_time']}"
    return f"{kind}-{hashlib.blake2b(run.encode(), digest_size=8).hexdigest()}"
