"""Bytes from a container become records, one a line. Pure.

The container is not trusted. Whatever it writes, a record is one line of printable text that begins
with our timestamp and the name of its stream: an escape sequence cannot reach a terminal, a
carriage return or a forged header cannot pass for a record, an endless line fills no memory.
"""

from __future__ import annotations

from datetime import UTC, datetime

from hooks.tail import printable

STREAMS = ("stdout", "stderr")
OWN = "creched"
"""Stands in place of the stream in records that no container has written."""
LONGEST = 16 * 1024
"""Bytes of a line that are kept."""


class Splitter:
    """Cuts one stream into lines, in bounded memory."""

    __slots__ = ("_kept", "_left_out")

    def __init__(self) -> None:
        self._kept = bytearray()
        self._left_out = 0

    def feed(self, chunk: bytes) -> list[str]:
        """The lines that end in `chunk`, printable."""
        first, newline, rest = chunk.partition(b"\n")
        if not newline:
            self._keep(chunk)
            return []
        self._keep(first)
        lines = [self._take()]
        *whole, last = rest.split(b"\n")
        lines += [_shown(line[:LONGEST], len(line) - LONGEST) for line in whole]
        self._keep(last)
        return lines

    def skip(self, chunk: bytes) -> int:
        """How many lines end in `chunk`, which are not wanted."""
        count = chunk.count(b"\n")
        if count:
            self._kept.clear()
            self._left_out = 0
            self._keep(chunk[chunk.rfind(b"\n") + 1 :])
        else:
            self._keep(chunk)
        return count

    def rest(self) -> list[str]:
        """What came after the last newline, if anything."""
        return [self._take()] if self._kept or self._left_out else []

    def _keep(self, part: bytes) -> None:
        room = LONGEST - len(self._kept)
        self._kept += part[:room]
        self._left_out += max(0, len(part) - room)

    def _take(self) -> str:
        text = _shown(bytes(self._kept), self._left_out)
        self._kept.clear()
        self._left_out = 0
        return text


def _shown(line: bytes, left_out: int) -> str:
    if line.endswith(b"\r"):  # a program that believes in a terminal ends its lines with both
        line = line[:-1]
    text = printable(line) if b"\t" not in line else "\t".join(map(printable, line.split(b"\t")))
    return f"{text} [{left_out} bytes more]" if left_out > 0 else text


def record(stamp: str, stream: str, text: str) -> str:
    """One record, without a newline."""
    return f"{stamp} {stream} {text}"


def timestamp(seconds: float) -> str:
    """Seconds since the epoch as RFC 3339, UTC, with microseconds."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def dropped(count: int) -> str:
    """The text of the record that stands for lines which were left out."""
    return f"dropped {count} line{'' if count == 1 else 's'}"
