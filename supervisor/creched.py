"""creched: keeps the containers described in a directory running.

The first thing it does is to hold signals back. What it needs takes a tenth of a second to import,
seconds on a slow machine, and a SIGTERM that ended it meanwhile would leave containers of the
creched before it to nobody who knows their rules. Hence the imports in here.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from supervisor.held import hold_back


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    hold_back()
    from supervisor.commandline import main as run

    return run(arguments)


if __name__ == "__main__":
    sys.exit(main())
