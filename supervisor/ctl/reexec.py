"""`crechectl reexec`: creched is replaced in place."""

from __future__ import annotations

import argparse
import json
from typing import Any

from supervisor.ctl.client import Client
from supervisor.ctl.commands import DONE, FAILED
from supervisor.ctl.problem import HungUp, Problem


def run(client: Client, options: argparse.Namespace) -> int:
    """Asked for; with --wait, when the new one is up."""
    before = client.get("about") if options.wait else {}
    client.post("reexec")
    if options.wait:
        _wait(client, before)
    return DONE


def _wait(client: Client, before: dict[str, Any]) -> None:
    """Events tell of a failure. Their stream is cut off when the program changes; whoever asks
    again waits in the listener, which stays, until the new one answers."""
    while True:
        client.close()
        try:
            if client.get("about")["run"] != before["run"]:  # its event may be lost: a full disk
                return
            for name, data in client.stream("events", since=before["seq"], follow=True):
                event = {} if name else json.loads(data)
                if event.get("event") == "reexec-failed":
                    raise Problem(event["message"], FAILED)
        except HungUp:
            continue
