"""How events are written: JSON lines for machines, words and colours for people.

structlog renders; names, numbers and fields come from supervisor/events.py and are not touched.
"""

from __future__ import annotations

import datetime
import os
import sys
import time
import uuid
from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog

from supervisor.console import console_line
from supervisor.events import EventLog, Lines


def open_log(form: str, stream: TextIO | None = None) -> EventLog:
    """The event log of this process, as `json` or for the `console`."""
    output = _Output(stream or sys.stdout)
    render: Any = structlog.processors.JSONRenderer(sort_keys=False)
    last: Any = _Console(colours=output.stream.isatty())
    logger = structlog.wrap_logger(output, processors=[last], wrapper_class=structlog.BoundLogger)

    def write(level: str, event: dict[str, object]) -> None:
        if form == "console":
            fields = {key: value for key, value in event.items() if key != "event"}
            getattr(logger, level)(event["event"], **fields)

    lines = Lines(lambda event: render(None, "", event), output.msg if form == "json" else None)
    return EventLog(write, _timestamp, _since_boot, _boot_id(), uuid.uuid4().hex, lines)


class _Output:
    """Writes lines, at once; a reader that has gone away is no reason to stop."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def msg(self, line: str) -> None:
        try:
            self.stream.write(line + "\n")
            self.stream.flush()
        except (BrokenPipeError, OSError):
            pass

    info = warning = error = msg


class _Console:
    """structlog's last processor for people."""

    def __init__(self, colours: bool) -> None:
        self._colours = colours

    def __call__(self, logger: object, method: str, event: MutableMapping[str, Any]) -> str:
        return console_line(event, self._colours)


def _timestamp() -> str:
    now = datetime.datetime.now(datetime.UTC)
    return now.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _since_boot() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _boot_id() -> str:
    try:
        fd = os.open("/proc/sys/kernel/random/boot_id", os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.read(fd, 64).decode("ascii").strip()
        finally:
            os.close(fd)
    except OSError:
        return ""
