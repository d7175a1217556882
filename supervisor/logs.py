"""How events are written: JSON lines for machines, words and colours for people.

structlog renders; names, numbers and fields come from supervisor/events.py and are not touched.
"""

from __future__ import annotations

import datetime
import os
import sys
import time
import uuid
from collections.abc import Mapping, MutableMapping
from typing import Any, TextIO

import structlog

from supervisor.events import COMMON, EventLog, Lines
from supervisor.machine import STATUS, State

_COLOURS = {"info": "", "warning": "\x1b[33m", "error": "\x1b[31m"}
_WORDS = ("old", "new", "status", "workload", "container", "level", "event")


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


def console_line(event: Mapping[str, Any], colours: bool) -> str:
    """One line an event: time, workload, event, change of status, and what else there is."""
    level = str(event["level"])
    name = str(event["event"])
    clock = str(event["timestamp"])[11:23]
    workload = str(event.get("workload") or "creched")
    rest = " ".join(
        f"{key}={_value(value)}"
        for key, value in event.items()
        if key not in COMMON and key not in _WORDS and value is not None
    )
    if event.get("status") and STATUS[State(event["old"])] != event["status"]:
        name = f"{name} [{event['status']}]"
    line = f"{clock} {workload:<16} {name:<32} {rest}".rstrip()
    if colours and _COLOURS[level]:
        return f"{_COLOURS[level]}{line}\x1b[0m"
    return line


def _value(value: object) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    # Hooks and programs choose some of these texts: no control character reaches the terminal.
    text = "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
        for char in text
    )
    return f'"{text}"' if " " in text or not text else text


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
