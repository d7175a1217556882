"""`crechectl events`: what has happened, and with -f what happens."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from typing import Any

from supervisor.console import console_line
from supervisor.ctl.client import Client
from supervisor.ctl.commands import DONE


def run(client: Client, options: argparse.Namespace) -> int:
    """One line each; as JSON, exactly as it was reported."""
    colours = sys.stdout.isatty()
    stream = client.stream(
        "events",
        since=options.since,
        tail=options.tail,
        follow=options.follow,
        workload=options.name,
    )
    for name, data in stream:
        if name == "missed":
            gap = json.loads(data)
            print(
                f"crechectl: events {gap['first']} to {gap['last']} are not kept any more",
                file=sys.stderr,
            )
        elif options.json:
            print(data, flush=options.follow)
        else:
            print(console_line(json.loads(data), colours), flush=options.follow)
    return DONE


def read(client: Client, workload: str) -> Iterator[dict[str, Any]]:
    """All that is still known of one workload."""
    for name, data in client.stream("events", follow=False, workload=workload):
        if not name:
            yield json.loads(data)
