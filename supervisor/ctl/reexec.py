"""`crechectl reexec`: creched is replaced in place."""

from __future__ import annotations

import argparse

from supervisor.ctl.client import Client
from supervisor.ctl.commands import DONE


def run(client: Client, options: argparse.Namespace) -> int:
    """Asked for; the event `supervisor-started` of the new one tells that it is done."""
    client.post("reexec")
    return DONE
