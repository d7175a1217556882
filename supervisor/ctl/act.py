"""`crechectl start|stop|restart|kill|reset`: each workload in turn; what cannot be is told."""

from __future__ import annotations

import argparse
import sys

from supervisor.ctl.client import Client
from supervisor.ctl.commands import DONE, UNREACHABLE
from supervisor.ctl.problem import Problem

_REACHED = {"start": "ready", "restart": "ready", "stop": "exited"}


def run(client: Client, options: argparse.Namespace) -> int:
    """The exit status is that of the first that failed."""
    status = DONE
    action: str = options.command
    query = {"signal": options.signal} if action == "kill" else {}
    for name in options.name:
        try:
            client.post("workloads", name, action, **query)
            if getattr(options, "wait", False):
                client.get("workloads", name, "wait", for_=_REACHED[action], timeout=86400)
                client.close()
        except Problem as problem:
            if problem.status == UNREACHABLE:
                raise
            print(f"crechectl: {action} {name}: {problem}", file=sys.stderr)
            status = status or problem.status
    return status
