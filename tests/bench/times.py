"""What `first` says from inside of a container: when it began and when it ended."""

from __future__ import annotations

import os
import select
from pathlib import Path
from typing import Self

DEADLINE = 60.0
"""Seconds after which a program that says nothing has failed."""


class Times:
    """A FIFO in the root file system. Use with `with`."""

    def __init__(self, rootfs: Path, name: str) -> None:
        self.inside = f"/times-{name}"
        self._path = rootfs / self.inside[1:]
        os.mkfifo(self._path, 0o600)
        # Open for writing, too: so there is never an end of file, and no writer has to wait.
        self._fd = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        self._rest = b""

    def args(self, milliseconds: int | None = None) -> list[str]:
        """The program's arguments. milliseconds: how long it lives; None: it says only S."""
        return ["/bin/first", self.inside, *([] if milliseconds is None else [str(milliseconds)])]

    def next(self) -> tuple[str, int]:
        """`S` or `E`, and the moment in nanoseconds of CLOCK_MONOTONIC. Raises TimeoutError."""
        while b"\n" not in self._rest:
            if not select.select([self._fd], [], [], DEADLINE)[0]:
                raise TimeoutError(f"no container has written to {self.inside}")
            self._rest += os.read(self._fd, 65536)
        line, _, self._rest = self._rest.partition(b"\n")
        what, moment = line.decode().split()
        return what, int(moment)

    def started(self) -> int:
        """The moment of the next start."""
        while True:
            what, moment = self.next()
            if what == "S":
                return moment

    def gaps(self, count: int) -> list[float]:
        """Milliseconds from an end to the next start, of one program that is restarted."""
        found: list[float] = []
        ended = None
        while len(found) < count:
            what, moment = self.next()
            if what == "E":
                ended = moment
            elif ended is not None:
                found.append((moment - ended) / 1e6)
                ended = None
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)
        self._path.unlink()
