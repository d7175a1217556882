"""Why a command could not do what it was asked for."""

from __future__ import annotations


class Problem(Exception):
    """What is wrong, in words, and the exit status it leads to (commands.STATUSES)."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class HungUp(Problem):
    """creched was there, and has gone before it had answered."""
