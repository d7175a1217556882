"""`crechectl status`: how workloads stand."""

from __future__ import annotations

import argparse
import json
from typing import Any

from supervisor.ctl import table, words
from supervisor.ctl.client import Client
from supervisor.ctl.commands import DONE, FAILED
from supervisor.ctl.words import clean, ending, span

_COLUMNS = ("name", "status", "since", "restarts", "pid", "why")


def run(client: Client, options: argparse.Namespace) -> int:
    """All of them, some, or one in full."""
    names: list[str] = options.name
    if names:
        found = [client.get("workloads", name) for name in names]
    else:
        found = client.get("workloads")["workloads"]
    if options.json:
        print(json.dumps(found[0] if len(names) == 1 else found, indent=2))
        return judge(found)
    about = client.get("about")
    if len(names) == 1:
        for name, text in facts(found[0], about["now"]):
            print(f"{name + ':':<14} {text}")
        return judge(found)
    table.show(_COLUMNS, [row(status, about["now"]) for status in found], numbers=(3, 4))
    if not found:
        print(f"there are no workloads in {clean(about['directory'])}")
    return judge(found)


def judge(statuses: list[dict[str, Any]]) -> int:
    """The exit status."""
    bad = any(
        found["status"] in ("failed", "refused") or found["health"] == "unhealthy"
        for found in statuses
    )
    return FAILED if bad else DONE


def state(status: dict[str, Any]) -> str:
    """Its status, and what is special about it."""
    word: str = status["status"]
    if status["health"] == "unhealthy":
        return f"{word}, unhealthy"
    if word == "running" and not status["ready"]:
        return f"{word}, not ready"
    if word != "refused" and status["problems"]:
        return f"{word}, files refused"
    return word


def row(status: dict[str, Any], now: float) -> list[str]:
    """One line of the table."""
    return [
        clean(status["name"]),
        state(status),
        span(now - status["since"]),
        str(status["restarts"]),
        str(status["pid"] or "-"),
        clean(status["why"]),
    ]


def facts(status: dict[str, Any], now: float) -> list[tuple[str, str]]:
    """All about one, in pairs; what is not there is left out."""
    limit = f" of {status['limit']}" if status["limit"] else ""
    window = f"{status['window_used']}{limit} in the window of its policy"
    next_at = status["next_attempt_at"]
    refused = status["status"] == "refused"
    found: list[tuple[str, object]] = [
        ("workload", status["name"]),
        ("status", f"{state(status)} for {span(now - status['since'])}"),
        ("why", None if refused else status["why"]),
        *(("mistake", words.problem(each)) for each in status["problems"]),
        ("says", status["status_text"]),
        ("health", status["health"]),
        ("process", status["pid"]),
        ("started", _ago(status["started_at"], now) if status["pid"] else None),
        ("attempt", status["attempt"] or None),
        ("next start", None if next_at is None else f"in {span(next_at - now)}"),
        ("last end", ending(status["exit"]) if status["exit"] else None),
        ("restarts", None if refused else f"{status['restarts']} ({window})"),
        ("policy", None if refused else f"restart {status['policy']}, start {status['start']}"),
        ("wanted", {"up": "started by hand", "down": "stopped by hand"}.get(status["intent"])),
        ("group", status["group"]),
        ("after", ", ".join(status["after"])),
        ("waiting for", ", ".join(status["waiting_for"])),
        ("generation", status["generation"] or None),
        ("directory", status["directory"]),
    ]
    return [(name, clean(value)) for name, value in found if value not in (None, "")]


def _ago(moment: float | None, now: float) -> str | None:
    return None if moment is None else f"{span(now - moment)} ago"
