"""`crechectl logs`: what a workload writes."""

from __future__ import annotations

import argparse
import json
import sys

from supervisor.ctl.client import Client
from supervisor.ctl.commands import DONE, REFUSED
from supervisor.ctl.problem import Problem
from supervisor.ctl.words import clean


def run(client: Client, options: argparse.Namespace) -> int:
    """The last lines, then, with -f, what comes. Control characters are shown, not obeyed."""
    stream = client.stream(
        "workloads", options.name, "logs", lines=int(options.lines), follow=options.follow
    )
    colours = sys.stdout.isatty()
    for name, data in stream:
        record = json.loads(data)
        if name == "failed":
            raise Problem(record["error"], REFUSED)
        if options.json:
            print(data, flush=options.follow)
            continue
        line = clean(record["line"])
        if colours and line.split(" ", 2)[1:2] == ["stderr"]:
            line = f"\x1b[33m{line}\x1b[0m"
        print(line, flush=options.follow)
    return DONE
