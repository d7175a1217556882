"""`crechectl explain NAME`: why a workload is in the state it is in, in sentences."""

from __future__ import annotations

import argparse
import json

from supervisor.ctl.client import Client
from supervisor.ctl.commands import DONE
from supervisor.ctl.events import read
from supervisor.ctl.story import tell
from supervisor.ctl.words import clean


def run(client: Client, options: argparse.Namespace) -> int:
    """Status and journal, read back as a story."""
    status = client.get("workloads", options.name)
    about = client.get("about")
    events = list(read(client, options.name))
    sentences = [clean(sentence) for sentence in tell(status, events, about["now"])]
    if options.json:
        print(json.dumps({"workload": options.name, "story": sentences}, indent=2))
    else:
        print("\n".join(sentences))
    return DONE
