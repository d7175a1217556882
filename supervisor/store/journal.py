"""All events of late, on disk, to be read again from any number on.

One line of JSON an event, in files of bounded size and number: `FIRST.jsonl` begins with the event
of that number and holds those that follow, without gaps; so line n of it is event FIRST + n. The
oldest file goes when there would be too many.

Whoever reads keeps a place of his own (`Cursor`), which costs nothing while he does not read. There
is no queue that a slow reader could fill: he reads on later, or finds that he was overtaken.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import trio

from supervisor.store.files import DAMAGED, Damage

SUFFIX = ".jsonl"
SIZE = 1 << 20
"""Bytes after which the next file begins."""
FILES = 8
CHUNK = 1 << 16
"""Bytes that are read at once."""


class Journal:
    """The events from number `first` to number `last`; none yet if last is first - 1."""

    def __init__(
        self, directory: str, damage: Damage, size: int = SIZE, files: int = FILES
    ) -> None:
        """Go on with what is there. Raises OSError if the directory cannot be used."""
        self.directory = directory
        self.first = 1
        self.last = 0
        self._size_limit = size
        self._files_limit = files
        self._starts: list[int] = []  # number of the first event of each file, in order
        self._fd = -1
        self._size = 0
        self._waiting = trio.lowlevel.ParkingLot()
        os.makedirs(directory, 0o700, exist_ok=True)
        self._open(damage)

    # --- writing ---------------------------------------------------------------------------

    def append(self, number: int, line: bytes) -> None:
        """Add one event, as a line that ends in a newline. Raises nothing.

        Where there is no room left, the old events go; an event that cannot be kept even so is
        missing here, and whoever reads is told.
        """
        if number != self.last + 1 or self._fd < 0 or self._size >= self._size_limit:
            self._begin(number)
        if not self._write(line):
            self._drop_all()
            self._begin(number)
            if not self._write(line):
                self._drop_all()
        self.last = number
        if not self._starts:
            self.first = number + 1
        if self._waiting:
            self._waiting.unpark_all()

    def close(self) -> None:
        """Nothing is written any more; what is there stays."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _write(self, line: bytes) -> bool:
        if self._fd < 0:
            return False
        rest = memoryview(line)
        try:
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        except OSError:
            return False
        self._size += len(line)
        return True

    def _begin(self, number: int) -> None:
        """A new file, from this event on."""
        if number != self.last + 1:  # what is older is not what came before it
            self._drop_all()
        self.close()
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            self._fd = os.open(self._path(number), flags, 0o600)
        except OSError:
            return
        self._size = 0
        self._starts.append(number)
        while len(self._starts) > self._files_limit:
            self._remove(self._starts.pop(0))
        self.first = self._starts[0]

    def _drop_all(self) -> None:
        self.close()
        for start in self._starts:
            self._remove(start)
        self._starts.clear()
        self.first = self.last + 1

    def _remove(self, start: int) -> None:
        try:
            os.unlink(self._path(start))
        except OSError:
            pass

    # --- what an earlier creched wrote -----------------------------------------------------

    def _open(self, damage: Damage) -> None:
        """Find the files that belong together, newest first.

        One that is damaged is set aside. What lies before it no longer leads up to what comes, and
        is removed; numbers are not used twice, so those of lost events stay theirs.
        """
        following = 0
        problem = ""
        for start in sorted(self._files(), reverse=True):
            if problem:
                self._remove(start)
                continue
            path = self._path(start)
            complete, lines, problem = _examine(path, start)
            if following and not problem and start + lines != following:
                problem = f"it should lead up to event {following}"
            if problem:
                os.replace(path, path + DAMAGED)
                damage(path, path + DAMAGED, problem)
                self.last = self.last or start + lines
                continue
            if not following:
                self.last = start + lines - 1
                self._size = complete
                os.truncate(path, complete)  # a line that was cut short was never handed on
            self._starts.insert(0, start)
            following = start
        self.first = self.last + 1
        if self._starts:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
            self._fd = os.open(self._path(self._starts[-1]), flags)
            self.first = self._starts[0]

    def _files(self) -> Iterator[int]:
        for name in os.listdir(self.directory):
            number = name.removesuffix(SUFFIX)
            if name.endswith(SUFFIX) and number.isdecimal():
                yield int(number)

    def _path(self, start: int) -> str:
        return f"{self.directory}/{start:020}{SUFFIX}"

    # --- reading ---------------------------------------------------------------------------

    def read(self, number: int) -> Iterator[bytes]:
        """Every event from `number` on that is still there, without waiting."""
        cursor = Cursor(self, number)
        while lines := cursor.read():
            yield from lines

    async def beyond(self, number: int) -> None:
        """Until there is an event with a higher number."""
        while self.last <= number:
            await self._waiting.park()

    def place(self, number: int) -> tuple[str, int]:
        """The file that holds event `number`, and how many lines of it come before."""
        start = max(start for start in self._starts if start <= number)
        return self._path(start), number - start


class Cursor:
    """A place in the journal, before event `number`."""

    def __init__(self, journal: Journal, number: int) -> None:
        self.number = max(number, 1)
        self.missed = 0
        """How many events it could not read any more when it came to them."""
        self._journal = journal
        self._path = ""
        self._offset = 0

    def read(self) -> list[bytes]:
        """Some of the next events, each a line of JSON with its newline; [] if there are none yet.

        Does not wait: see Journal.beyond.
        """
        journal = self._journal
        if self.number < journal.first:
            self.missed += journal.first - self.number
            self.number = journal.first
        if self.number > journal.last:
            return []
        path, before = journal.place(self.number)
        if path != self._path:
            self._path, self._offset = path, _offset(path, before)
        lines = self._lines(path)
        self._offset += sum(map(len, lines))
        self.number += len(lines)
        return lines

    def _lines(self, path: str) -> list[bytes]:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            data = b""
            while b"\n" not in data:
                chunk = os.pread(fd, CHUNK, self._offset + len(data))
                if not chunk:
                    return []
                data += chunk
        finally:
            os.close(fd)
        return data[: data.rindex(b"\n") + 1].splitlines(keepends=True)


def _offset(path: str, lines: int) -> int:
    """Where the line after so many lines begins."""
    with open(path, "rb") as file:
        for _ in range(lines):
            file.readline()
        return file.tell()


def _examine(path: str, start: int) -> tuple[int, int, str]:
    """Of a file: bytes of complete lines, their number, what is wrong with it."""
    with open(path, "rb") as file:
        data = file.read()
    complete = data.rfind(b"\n") + 1
    lines = data.count(b"\n")
    if lines:
        last = data[data.rfind(b"\n", 0, complete - 1) + 1 : complete]
        try:
            if json.loads(last)["seq"] != start + lines - 1:
                return complete, lines, f"its last event is not number {start + lines - 1}"
        except (ValueError, KeyError, TypeError):
            return complete, lines, "its last line is no event"
    return complete, lines, ""
