"""Standard output and error of one run of one workload, from before it is made to its removal."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping

from runtime.channel import close_all
from supervisor.output import journal
from supervisor.output.hub import Hub, Pipe, make_fifo
from supervisor.output.lines import STREAMS
from supervisor.output.sink import Sink
from supervisor.workload.sections.logs import Logs

Warn = Callable[[str], None]
"""Is told what is worth an event."""


class RunOutput:
    """Descriptors for the container, and its last lines. This one keeps none: `stderr`, `none`."""

    def __init__(self, stdout: int = -1, stderr: int = -1) -> None:
        self._given = (stdout, stderr)

    def give(self) -> tuple[int, int]:
        """Standard output and error for the container; they stay ours, see `given`.

        Raises CrecheError.
        """
        return self._given

    def given(self) -> None:
        """The container has its copies."""

    def last(self) -> list[str]:
        """The last lines that were written, as far as they are known; the oldest first."""
        return []

    async def ended(self) -> None:
        """The first process has ended: see to it that `last` is up to date."""

    def descriptors(self) -> dict[str, int]:
        """What a descriptor store should hold for it, by the name of the stream."""
        return {}

    def change(self, settings: Logs) -> None:
        """Its settings are others from now on; where it goes stays as it is."""

    def close(self) -> None:
        """The container is gone."""


class PipedOutput(RunOutput):
    """Through FIFOs into a sink. base: their path, without the stream's name; closed: is told."""

    def __init__(
        self, hub: Hub, base: str, sink: Sink, closed: Callable[[PipedOutput], None]
    ) -> None:
        super().__init__()
        self._closed = closed
        self._hub = hub
        self._base = base
        self._sink = sink
        self._pipes: list[Pipe] = []
        self._writers: list[int] = []

    def give(self) -> tuple[int, int]:
        """See RunOutput; makes the FIFOs."""
        for name in STREAMS:
            make_fifo(f"{self._base}.{name}")
        self.attach()
        for pipe in self._pipes:
            self._writers.append(pipe.writer())
        return self._writers[0], self._writers[1]

    def attach(self, descriptors: Mapping[str, int] | None = None) -> None:
        """Read FIFOs that are there: the container's, which a creched before us has made.

        descriptors: what `descriptors` gave there, as far as a store has kept them. Without them
        nothing is lost either as long as the container lives. Raises KernelError.
        """
        kept = descriptors or {}
        for stream, name in enumerate(STREAMS):
            take = self._taker(stream)
            path = f"{self._base}.{name}"
            pipe = Pipe(self._hub, path, take, self._sink.wait, kept.get(name, -1))
            self._pipes.append(pipe)

    def descriptors(self) -> dict[str, int]:
        """See RunOutput: with them, what was written last before the container's end, while no
        creched was there to read it, is not lost either."""
        pairs = zip(STREAMS, self._pipes, strict=False)
        return {name: pipe.fd for name, pipe in pairs if pipe.fd >= 0}

    def _taker(self, stream: int) -> Callable[[bytes], None]:
        return lambda chunk: self._sink.take(stream, chunk)

    def given(self) -> None:
        """See RunOutput."""
        close_all(self._writers)
        self._writers.clear()

    def last(self) -> list[str]:
        """See RunOutput."""
        return self._sink.last()

    async def ended(self) -> None:
        """See RunOutput."""
        for pipe in self._pipes:
            pipe.drain()

    def close(self) -> None:
        """See RunOutput; removes the FIFOs."""
        self.given()
        for pipe in self._pipes:
            pipe.drain()
            try:
                os.unlink(pipe.path)
            except OSError:
                pass
        self.leave()

    def leave(self) -> None:
        """Close, but let the FIFOs be: the container goes on, and another creched reads on."""
        for pipe in self._pipes:
            pipe.close()
        self._pipes.clear()
        self._sink.end()
        self._sink.close()
        self._closed(self)

    def flush(self) -> None:
        """Write what has been read, also what is no whole line: this process may end."""
        self._sink.end()

    def change(self, settings: Logs) -> None:
        """See RunOutput."""
        self._sink.change(settings)


class JournalOutput(RunOutput):
    """Straight to the journal. instead: makes what is used if that does not answer."""

    def __init__(
        self, workload: str, lines: int, warn: Warn, instead: Callable[[], RunOutput]
    ) -> None:
        super().__init__()
        self._warn = warn
        self._make_instead = instead
        self._instead: RunOutput | None = None
        self._workload = workload
        self._lines = lines
        self._streams: list[int] = []
        self._since = time.monotonic()
        self._last: list[str] = []

    def give(self) -> tuple[int, int]:
        """See RunOutput."""
        try:
            for priority in journal.PRIORITIES:
                self._streams.append(journal.open_stream(self._workload, priority))
        except OSError as error:
            self.given()
            self._warn(f"the journal does not answer ({error.strerror or error}): logs go to files")
            self._instead = self._make_instead()
            return self._instead.give()
        return self._streams[0], self._streams[1]

    def given(self) -> None:
        """See RunOutput."""
        close_all(self._streams)
        self._streams.clear()
        if self._instead is not None:
            self._instead.given()

    def last(self) -> list[str]:
        """See RunOutput."""
        return self._last if self._instead is None else self._instead.last()

    async def ended(self) -> None:
        """See RunOutput."""
        if self._instead is not None:
            await self._instead.ended()
            return
        self._last = await journal.last_lines(self._workload, self._lines, self._since)

    def descriptors(self) -> dict[str, int]:
        """See RunOutput."""
        return {} if self._instead is None else self._instead.descriptors()

    def change(self, settings: Logs) -> None:
        """See RunOutput."""
        self._lines = settings.lines
        if self._instead is not None:
            self._instead.change(settings)

    def close(self) -> None:
        """See RunOutput."""
        self.given()
        if self._instead is not None:
            self._instead.close()
