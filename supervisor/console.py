"""One event as a line for people; for creched's own output and for `crechectl events`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from supervisor.ctl.words import clean
from supervisor.fields import COMMON
from supervisor.machine import STATUS

_COLOURS = {"info": "", "warning": "\x1b[33m", "error": "\x1b[31m"}
_WORDS = ("old", "new", "status", "workload", "container", "level", "event")
_STATUS = {state.value: status.value for state, status in STATUS.items()}


def console_line(event: Mapping[str, Any], colours: bool) -> str:
    """Time, workload, event, change of status, and what else there is. The event may come from
    another version of creched: nothing but the common fields is taken for granted."""
    level = str(event["level"])
    name = str(event["event"])
    clock = str(event["timestamp"])[11:23]
    workload = clean(event.get("workload") or "creched")
    rest = " ".join(
        f"{key}={_value(value)}"
        for key, value in event.items()
        if key not in COMMON and key not in _WORDS and value not in (None, [])
    )
    if event.get("status") and _STATUS.get(str(event.get("old"))) != event["status"]:
        name = f"{name} [{event['status']}]"
    line = f"{clock} {workload:<16} {name:<32} {rest}".rstrip()
    if colours and _COLOURS.get(level):
        return f"{_COLOURS[level]}{line}\x1b[0m"
    return line


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ",".join(_value(item) for item in value)
    text = clean(f"{value:g}" if isinstance(value, float) else value)
    return f'"{text}"' if " " in text or not text else text
