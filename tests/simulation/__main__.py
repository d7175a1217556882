"""Look for seeds that break a rule: `python -m tests.simulation [--seeds N] [--first N]`."""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

from tests.simulation.run import Outcome, simulate

_SHOWN = ("old", "new", "cause", "reason", "after", "at", "code", "signal")


def main() -> int:
    """Entry point; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5000, help="how many (default: %(default)s)")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, help="this one alone, with all its events")
    options = parser.parse_args()
    if options.seed is not None:
        outcome = simulate(options.seed)
        for event in outcome.events:
            print(line(event))
        return report(outcome)
    began, events = time.monotonic(), 0
    for seed in range(options.first, options.first + options.seeds):
        outcome = simulate(seed)
        events += len(outcome.events)
        if report(outcome):
            print(f"to see it: python -m tests.simulation --seed {seed}")
            return 1
    print(
        f"{options.seeds} seeds, {events} events, {time.monotonic() - began:.0f} s: no rule broken"
    )
    return 0


def report(outcome: Outcome) -> int:
    """Say what is broken; 1 if anything is."""
    for text in outcome.broken:
        print(f"seed {outcome.seed}: {text}")
    return 1 if outcome.broken else 0


def line(event: dict[str, Any]) -> str:
    """One event for people."""
    rest = " ".join(f"{key}={event[key]}" for key in _SHOWN if event.get(key) is not None)
    return f"{event['monotonic']:10.3f} {event.get('workload') or '-':4} {event['event']:18} {rest}"


if __name__ == "__main__":
    sys.exit(main())
