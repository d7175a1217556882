"""`crechectl plan` and `reload`: what would be done about the directories, and doing it."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from typing import Any

from supervisor.ctl import table, words
from supervisor.ctl.client import Client
from supervisor.ctl.commands import DONE, FAILED
from supervisor.ctl.words import clean

_DOES = {
    "add": "start it",
    "remove": "stop and forget it",
    "restart": "restart it",
    "apply": "change it while it runs",
    "keep": "keep the version that runs",
    "refuse": "refuse it",
}
_NETWORK = {
    "add": "add it",
    "remove": "forget it",
    "apply": "change it while it runs",
    "restart": "restart who is on it",
    "refuse": "keep it as it is",
}


def run(client: Client, options: argparse.Namespace) -> int:
    """Exit status 1 if something in the directories is not in order."""
    done = options.command == "reload"
    found = client.post("reload") if done else client.get("plan")
    status = FAILED if found["refused"] else DONE
    if options.json:
        print(json.dumps(found, indent=2))
        return status
    networks = found["networks"]
    if networks:
        table.show(("network", "action", "because"), [network_row(step) for step in networks])
        if found["steps"]:
            print()
    if found["steps"]:
        table.show(("workload", "action", "because"), [row(step) for step in found["steps"]])
    elif not networks:
        print("nothing has changed" if done else "nothing would change")
    sys.stdout.flush()
    for step in found["steps"]:
        for problem in step["problems"]:
            print(words.problem(problem), file=sys.stderr)
    return status


def row(step: dict[str, Any]) -> list[str]:
    """One line of the table."""
    action = step["action"]
    return [clean(step["workload"]), _DOES.get(action, action), clean("; ".join(_because(step)))]


def network_row(step: dict[str, Any]) -> list[str]:
    """The same of a network."""
    does = _NETWORK.get(step["action"], step["action"])
    if step["restarts"]:
        does = f"restart {', '.join(step['restarts'])}"
    because = [step["reason"]] if step["reason"] else [_change(key) for key in step["keys"]]
    return [clean(step["network"]), clean(does), clean("; ".join(because))]


def _change(key: dict[str, Any]) -> str:
    old, new = key["old"], key["new"]
    return f"{key['key']}: {old or 'not set'} to {new or 'not set'}" if old or new else key["key"]


def _because(step: dict[str, Any]) -> Iterator[str]:
    if step["renamed"]:
        word = "now called" if step["action"] == "remove" else "was called"
        yield f"{word} {step['renamed']}"
    if step["reason"]:
        yield step["reason"]
    for key in step["keys"]:
        yield _change(key)
    if step["problems"]:
        count = len(step["problems"])
        yield f"{count} mistake{'s' if count > 1 else ''} in its files"
