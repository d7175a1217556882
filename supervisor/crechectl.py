"""crechectl: asks creched, and tells it what to do. All of it is in supervisor/ctl."""

from __future__ import annotations

import sys

from supervisor.ctl.main import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
