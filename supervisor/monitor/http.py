"""As much HTTP/1.1 as a probe needs: one GET, the status line of the answer. Pure.

The server is inside a container and may be hostile. Nothing but the status is read; the body is
not, and where a redirect would lead is not looked at.
"""

from __future__ import annotations

import re

LONGEST_LINE = 1024
"""Bytes in which the status line has to end."""
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9])(?: [^\r\n]*)?\r?")
_NOT_IN_PATHS = re.compile(r"[^!-~]")


class NotHttp(Exception):
    """What came is no answer to our question."""


def request(host: str, port: int, path: str) -> bytes:
    """The question. `path` has no characters outside of printable ASCII (see `is_path`)."""
    name = f"[{host}]" if ":" in host else host
    return (
        f"GET {path} HTTP/1.1\r\nHost: {name}:{port}\r\nUser-Agent: creched\r\n"
        "Accept: */*\r\nConnection: close\r\n\r\n"
    ).encode("ascii")


def is_path(path: str) -> bool:
    """Whether it can stand in a request line, and nothing else with it."""
    return path.startswith("/") and len(path) < LONGEST_LINE and not _NOT_IN_PATHS.search(path)


def status(received: bytes) -> int | None:
    """The status, once the line is there; None if more has to be read. Raises NotHttp."""
    line, newline, _ = received.partition(b"\n")
    if not newline:
        if len(received) >= LONGEST_LINE:
            raise NotHttp("the answer has no status line")
        return None
    match = _STATUS.fullmatch(line)
    if match is None:
        raise NotHttp("the answer does not begin with an HTTP/1 status line")
    return int(match[1])
