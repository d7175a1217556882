"""Signals that have to wait until somebody handles them.

This module imports next to nothing: it comes before everything else (supervisor/creched.py). The
mask outlives execve(2), and what is pending stays so: it is how nothing is lost when creched is
executed anew (supervisor/reexec.py), or was started with these signals blocked (creched.service).
"""

from __future__ import annotations

import signal

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR2)
"""Those that ask creched for something."""


def hold_back() -> None:
    """Signals that come before there is somebody to handle them wait, instead of ending us."""
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)


def listen_again() -> None:
    """Signals that were held back may come."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
