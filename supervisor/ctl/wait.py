"""`crechectl wait`: until all of them are ready, have exited, …"""

from __future__ import annotations

import argparse
import time

from supervisor.ctl.client import Client
from supervisor.ctl.commands import DONE


def run(client: Client, options: argparse.Namespace) -> int:
    """One after the other: the time is that of all together."""
    end = time.monotonic() + options.timeout
    for name in options.name:
        left = max(0.0, end - time.monotonic())
        client.get("workloads", name, "wait", for_=vars(options)["for"], timeout=f"{left:.3f}")
        client.close()
    return DONE
