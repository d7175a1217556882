"""`crechectl top`: what workloads use, again and again on a terminal, once into a pipe."""

from __future__ import annotations

import argparse
import os
import select
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from supervisor.ctl import table
from supervisor.ctl.client import Client
from supervisor.ctl.commands import DONE
from supervisor.ctl.status import state
from supervisor.ctl.words import clean, size, span

COLUMNS = (
    "name",
    "status",
    "cpu",
    "memory",
    "limit",
    "procs",
    "read",
    "written",
    "restarts",
    "since",
)
NUMBERS = (2, 3, 4, 5, 6, 7, 8, 9)
_FIRST = 0.25
"""Seconds between the first two looks: a share of the CPU needs two."""


def run(client: Client, options: argparse.Namespace) -> int:
    """q, Q, Escape or Ctrl-C quits."""
    seen = Seen()
    seen.look(client)
    select.select([], [], [], _FIRST)
    rows = seen.look(client)
    if not (sys.stdout.isatty() and sys.stdin.isatty()):
        for line in table.plain(COLUMNS, rows, NUMBERS):
            print(line)
        return DONE
    from rich.console import Group
    from rich.live import Live
    from rich.text import Text

    def shown(rows: list[list[str]]) -> Group:
        hint = Text(f"{len(rows)} workloads, every {options.interval:g} s; q quits", style="dim")
        return Group(hint, table.made(COLUMNS, rows, NUMBERS))  # type: ignore[arg-type]

    with _keys(), Live(shown(rows), screen=True, auto_refresh=False) as live:
        while not _quit(options.interval):
            live.update(shown(seen.look(client)), refresh=True)
    return DONE


class Seen:
    """What was used when it was looked at last."""

    def __init__(self) -> None:
        self._cpu: dict[str, tuple[float, float]] = {}

    def look(self, client: Client) -> list[list[str]]:
        """The rows, those that use the most CPU first."""
        statuses = client.get("workloads")["workloads"]
        usages = {usage["workload"]: usage for usage in client.get("usage")["usage"]}
        now: float = client.get("about")["now"]
        rows = [self._row(status, usages.get(status["name"]), now) for status in statuses]
        return [row for _share, row in sorted(rows, key=lambda pair: -pair[0])]

    def _row(
        self, status: dict[str, Any], usage: dict[str, Any] | None, now: float
    ) -> tuple[float, list[str]]:
        name = status["name"]
        head, tail = (
            [clean(name), state(status)],
            [str(status["restarts"]), span(now - status["since"])],
        )
        if usage is None:
            self._cpu.pop(name, None)
            return -1.0, [*head, *["-"] * 6, *tail]
        before, at = self._cpu.get(name, (usage["cpu"], now))
        self._cpu[name] = usage["cpu"], now
        share = max(0.0, usage["cpu"] - before) / (now - at) if now > at else 0.0
        limit = usage["memory_limit"]
        return share, [
            *head,
            f"{100 * share:.1f} %",
            size(usage["memory"]),
            "-" if limit is None else size(limit),
            str(usage["pids"]),
            size(usage["read_bytes"]),
            size(usage["written_bytes"]),
            *tail,
        ]


@contextmanager
def _keys() -> Iterator[None]:
    """Keys come one by one, and are not shown."""
    import termios
    import tty

    terminal = sys.stdin.fileno()
    saved = termios.tcgetattr(terminal)
    tty.setcbreak(terminal)
    try:
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, saved)


def _quit(seconds: float) -> bool:
    """Wait, and say whether somebody wants to leave."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if select.select([sys.stdin], [], [], left)[0]:
            pressed = os.read(sys.stdin.fileno(), 16)
            if not pressed or pressed in (b"q", b"Q", b"\x1b"):
                return True
    return False
