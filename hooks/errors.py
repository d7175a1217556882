"""The one way in which hooks fail."""

from __future__ import annotations

import os

from hooks.result import HookResult
from hooks.tail import printable, show


class HookError(Exception):
    """A hook did not do its job: it failed, was killed, overran its time or could not be started.

    stage: which kind; index: its place among its kind, from 0; path: the program;
    reason: what happened, such as `exit status 1` or `timed out after 5s`;
    tail: the end of what it printed, stderr if there was any, else stdout, as one printable line;
    result: how it ended, in full, None if it never ran.

    The text begins like runc's, which callers match, and always names the path.
    """

    def __init__(
        self,
        stage: str,
        index: int,
        path: str,
        reason: str,
        result: HookResult | None = None,
    ) -> None:
        shown = result or HookResult()
        stdout = show(shown.stdout, shown.stdout_total)
        stderr = show(shown.stderr, shown.stderr_total)
        text = f"error running {stage} hook #{index}: {reason}, stdout: {stdout}, stderr: {stderr}"
        named = shown_path(path)
        if named not in reason:
            text += f", path: {named}"
        super().__init__(text)
        self.stage = stage
        self.index = index
        self.path = path
        self.reason = reason
        self.tail = stderr or stdout
        self.result = result


def shown_path(path: str) -> str:
    """A path as one printable line."""
    return printable(path.encode("utf-8", "surrogatepass"))


def strerror(number: int) -> str:
    """The C library's text for an errno, beginning in lower case as Go and runc print it."""
    text = os.strerror(number)
    return text[:1].lower() + text[1:]
