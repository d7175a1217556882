"""Where the lines of one workload's container go: through the limit into the file, to followers.

Nothing here waits. If the file cannot be written, lines are dropped and counted, and it is tried
again with what comes a second later; once it works, a record says how many are missing.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from hooks.tail import Tail, printable
from supervisor.output.clock import time_of_day
from supervisor.output.files import LogFile
from supervisor.output.limit import Bucket
from supervisor.output.lines import OWN, STREAMS, Splitter, dropped, record, timestamp
from supervisor.workload.sections.logs import Logs

LAST = 4096
"""Bytes kept for the `exited` event."""
RETRY = 1.0
"""Seconds until a file that could not be written is tried again."""


class Sink:
    """One run of one workload. show: is given each record. warn: what is worth an event."""

    __slots__ = (
        "_blocked_until", "_bucket", "_ended", "_file", "_missing", "_show", "_splitters", "_tail",
        "_warn", "_warned", "settings",
    )  # fmt: skip

    def __init__(
        self,
        settings: Logs,
        file: LogFile | None,
        show: Callable[[str], None],
        warn: Callable[[str], None],
    ) -> None:
        self.settings = settings
        self._file = file
        self._show = show
        self._warn = warn
        self._bucket = Bucket(settings.rate, time.monotonic())
        self._splitters = (Splitter(), Splitter())
        self._tail = Tail(LAST)
        self._ended = -1  # the stream of the last bytes, if they were no whole line
        self._missing = 0
        self._blocked_until = 0.0
        self._warned = False

    def take(self, stream: int, chunk: bytes) -> None:
        """What came from standard output (0) or error (1)."""
        if self._ended not in (stream, -1):
            self._tail.feed(b"\n")
        self._ended = -1 if chunk.endswith(b"\n") else stream
        self._tail.feed(chunk)
        now = time.monotonic()
        left = self._bucket.take(len(chunk), now) or self.settings.on_full == "block"
        if now < self._blocked_until or not left:
            self._missing += self._splitters[stream].skip(chunk)
            return
        self._write(STREAMS[stream], self._splitters[stream].feed(chunk))

    def change(self, settings: Logs) -> None:
        """Its settings are others from now on."""
        if settings == self.settings:
            return
        self.settings = settings
        self._bucket = Bucket(settings.rate, time.monotonic())
        if self._file is not None:
            self._file.limits(settings.size, settings.files)

    def wait(self) -> float:
        """With `on-full = "block"`: seconds in which nothing more is to be read."""
        if self.settings.on_full != "block":
            return 0.0
        now = time.monotonic()
        return max(self._bucket.wait(now), self._blocked_until - now)

    def end(self) -> None:
        """Nothing more comes: what is no whole line is written as it is."""
        for stream, splitter in zip(STREAMS, self._splitters, strict=True):
            self._write(stream, splitter.rest())
        if self._missing:
            self._write(OWN, [])

    def close(self) -> None:
        """After `end`."""
        if self._file is not None:
            self._file.close()

    def last(self) -> list[str]:
        """The last lines, printable, the oldest first."""
        lines = self._tail.value().split(b"\n")
        if lines and not lines[-1]:
            lines.pop()
        if self._tail.total > LAST and len(lines) > 1:
            lines = lines[1:]  # its beginning is lost
        count = self.settings.lines
        return [printable(line.rstrip(b"\r")) for line in lines[-count:]] if count else []

    def _write(self, stream: str, lines: list[str]) -> None:
        if not lines and not self._missing:
            return
        stamp = timestamp(time_of_day())
        records = [record(stamp, stream, line) for line in lines]
        if self._missing:
            records.insert(0, record(stamp, OWN, dropped(self._missing)))
        if self._file is not None:
            try:
                self._file.write("".join(f"{line}\n" for line in records).encode())
            except OSError as error:
                self._missing += len(lines)
                self._blocked_until = time.monotonic() + RETRY
                if not self._warned:
                    self._warn(
                        f"its log cannot be written: {self._file.directory}: {error.strerror}"
                    )
                self._warned = True
                return
        self._missing = 0
        self._warned = False
        for line in records:
            self._show(line)
