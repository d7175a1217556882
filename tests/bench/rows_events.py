"""The row about events: how many a second reach the disk and ten readers."""

from __future__ import annotations

import os
import re
import select
import socket
import subprocess
import sys
import tempfile
import time

from supervisor.control.settings import SOCKET
from tests.bench.measure import Effort, Row, Series
from tests.bench.scene import REPOSITORY, Scene

READERS = 10
DEADLINE = 60.0
_EVERY = 500
"""Events after which it is said how far the slowest reader is."""
_REQUEST = b"GET /events?since=0&follow=true HTTP/1.1\r\nHost: creched\r\n\r\n"
_ID = re.compile(rb"\nid: (\d+)\n")


def events(_: Scene, effort: Effort) -> Row:
    """From the first one emitted to the last one read by the slowest of all readers."""
    count = int(5000 * effort.seconds)
    return Row(
        "events",
        f"events a second to a journal on disk and to {READERS} readers of the control socket",
        "1/s",
        {"creche": Series(tuple(rate(count) for _ in range(3)))},
        more_is_better=True,
        goal=5000.0,
    )


def rate(count: int) -> float:
    """So many events, by a creched of their own. Raises RuntimeError, TimeoutError."""
    # /run is a tmpfs, as everywhere; this is to be a disk.
    with tempfile.TemporaryDirectory(prefix="creche-bench-", dir="/var/tmp") as directory:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.eventing", directory, str(count)],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        readers: list[Reader] = []
        try:
            if process.stdout.readline() != b"ready\n":
                raise RuntimeError("the source of events has ended")
            readers = [Reader(f"{directory}/{SOCKET}") for _ in range(READERS)]
            began = time.monotonic()
            _read(readers, count, process.stdin.fileno())
            return count / (time.monotonic() - began)
        finally:
            for reader in readers:
                reader.socket.close()
            process.stdin.close()
            process.stdout.close()
            try:
                process.wait(DEADLINE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


class Reader:
    """One connection, and the number of the last event that has come."""

    def __init__(self, path: str) -> None:
        self.last = 0
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.socket.sendall(_REQUEST)
        self._rest = b""

    def take(self) -> None:
        """What has come. Raises RuntimeError if it is the end, or something was missed."""
        data = self.socket.recv(1 << 18)
        if not data or b"event: missed" in data:
            raise RuntimeError("a reader of events has been cut off or left behind")
        self._rest = self._rest[-40:] + data
        if found := _ID.findall(self._rest):
            self.last = int(found[-1])


def _read(readers: list[Reader], count: int, answers: int) -> None:
    by_fd = {reader.socket.fileno(): reader for reader in readers}
    told = 0
    os.write(answers, b"0\n")
    while told < count:
        ready = select.select(list(by_fd), [], [], DEADLINE)[0]
        if not ready:
            raise TimeoutError(f"no more events after number {told}")
        for fd in ready:
            by_fd[fd].take()
        slowest = min(reader.last for reader in readers)
        if slowest >= min(told + _EVERY, count):
            told = slowest
            os.write(answers, b"%d\n" % told)
