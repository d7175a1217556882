"""All output of one creched: makes a RunOutput for each run, and reads back what was written."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Collection, Mapping
from types import TracebackType
from typing import Self

import trio

from runtime.errors import CrecheError, strerror
from runtime.state import make_root
from supervisor.output import journal
from supervisor.output.files import LogFile, last_lines
from supervisor.output.hub import Hub
from supervisor.output.lines import STREAMS
from supervisor.output.run import JournalOutput, PipedOutput, RunOutput, Warn
from supervisor.output.sink import Sink
from supervisor.workload.model import Workload
from supervisor.workload.sections.logs import Logs

_FOLLOWERS_QUEUE = 1024
"""Records that wait for a slow follower; what is more it does not get."""
MOST_LINES = 100_000


class Output:
    """own: directory for FIFOs; logs: for the files of each workload. Use with `async with`.

    Both are made, 0700, when they are first needed.
    """

    def __init__(self, own: str, logs: str, socket: str = journal.SOCKET) -> None:
        self._own = own
        self._logs = logs
        self._socket = socket
        self._hub = Hub()
        self._followers: dict[str, list[trio.MemorySendChannel[str]]] = {}
        self._live: set[PipedOutput] = set()

    async def __aenter__(self) -> Self:
        await self._hub.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        for output in list(self._live):
            output.leave()
        result = await self._hub.__aexit__(kind, error, trace)
        try:
            os.rmdir(self._own)
        except OSError:
            pass  # it was never made, or containers go on with what is in it
        return result

    def open(self, workload: Workload, warn: Warn) -> RunOutput:
        """For a run that begins; nothing is done yet. warn: what is worth an event."""
        to = self._where(workload)
        name, logs = workload.name, workload.settings.logs
        if to == "journal":
            return JournalOutput(name, logs.lines, warn, lambda: self._piped(name, logs, warn))
        if to == "file":
            return self._piped(name, logs, warn)
        return RunOutput(2, 2) if to == "stderr" else RunOutput()

    def adopt(self, name: str, warn: Warn, descriptors: Mapping[str, int]) -> RunOutput:
        """For a run of workload `name` that goes on, whose container an earlier creched has made.

        descriptors: as RunOutput.descriptors. The settings are not known yet: see `change`.
        """
        if not descriptors and not os.path.exists(f"{self._base(name)}.{STREAMS[0]}"):
            return RunOutput()
        output = self._piped(name, Logs(), warn)
        try:
            output.attach(descriptors)
        except CrecheError as error:
            warn(f"its output cannot be read on: {error}")
        return output

    def sweep(self, keep: Collection[str]) -> None:
        """Remove FIFOs of workloads whose containers are gone: `close` was not reached."""
        try:
            found = os.listdir(self._own)
        except OSError:
            return  # there have been none
        for file in found:
            name, _, stream = file.rpartition(".")
            if stream in STREAMS and name not in keep:
                os.unlink(f"{self._own}/{file}")

    async def read(self, workload: Workload, lines: int, follow: bool) -> AsyncIterator[str]:
        """The last `lines` records of a workload, then with `follow` each new one.

        A record is `TIMESTAMP STREAM TEXT`; from the journal, what journalctl makes of it. Raises
        CrecheError if nothing was kept.
        """
        to = self._where(workload)
        lines = max(0, min(lines, MOST_LINES))
        if to == "journal":
            try:
                async for line in journal.read(workload.name, lines, follow):
                    yield line
            except OSError as error:
                raise CrecheError(f"read the journal: {error.strerror or error}") from None
            return
        if to != "file":
            raise CrecheError(f'logs of {workload.name} are not kept (logs.to = "{to}")')
        try:
            found = last_lines(self._directory(workload.name), lines)
        except OSError as error:
            where = self._directory(workload.name)
            raise CrecheError(f"read {where}: {strerror(error.errno or 0)}") from None
        if not follow:
            for line in found:
                yield line
            return
        send, receive = trio.open_memory_channel[str](_FOLLOWERS_QUEUE)
        # Nothing is awaited since the file was read: no record is missed, none comes twice.
        self._followers.setdefault(workload.name, []).append(send)
        try:
            for line in found:
                yield line
            async for line in receive:
                yield line
        finally:
            self._followers[workload.name].remove(send)
            if not self._followers[workload.name]:
                del self._followers[workload.name]

    def _where(self, workload: Workload) -> str:
        to = workload.settings.logs.to
        if to == "auto":
            return "journal" if journal.there(self._socket) else "file"
        return to

    def flush(self) -> None:
        """Write what has been read: this process may end, or be executed anew."""
        for output in self._live:
            output.flush()

    def _base(self, name: str) -> str:
        return f"{self._own}/{name}"

    def _directory(self, name: str) -> str:
        return f"{self._logs}/{name}"

    def _piped(self, name: str, settings: Logs, warn: Warn) -> PipedOutput:
        make_root(self._own)
        file = LogFile(self._directory(name), settings.size, settings.files)
        sink = Sink(settings, file, lambda line: self._show(name, line), warn)
        output = PipedOutput(self._hub, self._base(name), sink, self._live.discard)
        self._live.add(output)
        return output

    def _show(self, name: str, line: str) -> None:
        for follower in self._followers.get(name, ()):
            try:
                follower.send_nowait(line)
            except trio.WouldBlock:
                pass
