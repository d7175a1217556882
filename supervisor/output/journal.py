"""systemd's journal: a stream socket that takes lines, and journalctl that gives them back.

The protocol is that of sd_journal_stream_fd(3) and src/journal/journald-stream.c. The socket itself
becomes the container's standard output, so nothing that it writes passes through creched, and it
goes on working whatever becomes of creched.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator

import trio

SOCKET = "/run/systemd/journal/stdout"
PRIORITIES = (6, 3)
"""Of lines of standard output and error that have no `<N>` of their own: info, err."""
_HEADER = 1.0
_ASKING = 2.0
"""Seconds that journalctl may take for the last lines of a container."""


def identifier(workload: str) -> str:
    """What `journalctl -t` finds the workload's lines by."""
    return f"creche-{workload}"


def there(path: str = SOCKET) -> bool:
    """Whether a journal listens."""
    return os.path.exists(path)


def open_stream(workload: str, priority: int, path: str = SOCKET) -> int:
    """A descriptor for a container to write lines to. Raises OSError."""
    stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        stream.settimeout(_HEADER)  # a journal that hangs must not hold us up
        stream.connect(path)
        # identifier, unit, priority, take `<N>` at the head of a line, no copies elsewhere
        header = f"{identifier(workload)}\n\n{priority}\n1\n0\n0\n0\n"
        stream.sendall(header.encode("ascii"))
        stream.shutdown(socket.SHUT_RD)
        stream.settimeout(None)
        return stream.detach()
    except BaseException:
        stream.close()
        raise


def _command(workload: str, lines: int, *more: str) -> list[str] | None:
    program = shutil.which("journalctl")
    if program is None:
        return None
    field = f"SYSLOG_IDENTIFIER={identifier(workload)}"
    return [program, "--quiet", "--no-pager", "-n", str(lines), *more, field, "_TRANSPORT=stdout"]


async def last_lines(workload: str, count: int, since: float) -> list[str]:
    """What the container wrote last, since this moment of time.monotonic; [] if nobody can tell."""
    command = _command(workload, count, "-b", "-a", "-o", "json", "--output-fields=MESSAGE")
    if command is None or not count:
        return []
    with trio.move_on_after(_ASKING):
        try:
            done = await trio.run_process(
                command, capture_stdout=True, stderr=subprocess.DEVNULL, check=False
            )
        except OSError:
            return []
        return messages(done.stdout, since)
    return []


def messages(entries: bytes, since: float) -> list[str]:
    """The texts of a boot's entries, in JSON, that are not older.

    `--since` takes a time of day, which somebody may have set meanwhile.
    """
    found = []
    for line in entries.splitlines():
        entry = json.loads(line)
        if int(entry["__MONOTONIC_TIMESTAMP"]) >= since * 1e6:
            text = entry["MESSAGE"]
            # What is not UTF-8 comes as a list of bytes.
            found.append(text if isinstance(text, str) else bytes(text).decode("utf-8", "replace"))
    return found


async def read(workload: str, count: int, follow: bool) -> AsyncIterator[str]:
    """Lines as journalctl shows them, then with `follow` new ones as they come. Raises OSError."""
    command = _command(workload, count, "-o", "short-iso-precise", *(["-f"] if follow else []))
    if command is None:
        raise FileNotFoundError(2, "journalctl is not installed")
    process = await trio.lowlevel.open_process(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL
    )
    assert process.stdout is not None
    rest = b""
    try:
        async for chunk in process.stdout:
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                yield line.decode("utf-8", "replace")
    finally:
        with trio.CancelScope(shield=True):
            process.kill()
            await process.wait()
            await process.stdout.aclose()
