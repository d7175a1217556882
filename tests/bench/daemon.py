"""creched, as a child of the benchmarks: its events go to a file, so that nobody has to read them
for it to go on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, Self

from supervisor.ctl.client import Client
from tests.bench.scene import REPOSITORY, Scene
from tests.support.waiting import wait_readable

DEADLINE = 300.0
LOOK = 0.05
"""Seconds between two looks at the file. Moments are read off the events, not from the looking."""

AT_ONCE = '[restart]\npolicy = "always"\ndelay = "0s"\njitter = 0\n'
"""Settings of a workload that is started again whenever it ends, without a delay."""


class Creched:
    """One creched on workloads that are declared beforehand or while it runs. Use with `with`."""

    def __init__(self, scene: Scene, name: str, **environment: str) -> None:
        self._scene = scene
        self._base = scene.base / f"creched-{name}"
        self._base.mkdir()
        self.root = self._base / "root"
        self._workloads = self._base / "workloads"
        self._workloads.mkdir(mode=0o755)
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self._pidfd = -1
        self._read = 0
        self.events: list[dict[str, Any]] = []
        self.client = Client(f"{self.root}/.creched/control.sock")
        scene.claim_creched(self.root)

    def add(self, name: str, args: Sequence[str], settings: str = "", **more: Any) -> None:
        """Declare a workload. more: further members of its configuration."""
        made = self._base / name
        made.mkdir()
        text = json.dumps({**self._scene.config(list(args)), **more})
        (made / "config.json").write_text(text)
        (made / "workload.toml").write_text(f'{settings}\n[logs]\nto = "none"\n')
        made.rename(self._workloads / name)

    def remove(self, name: str) -> None:
        """Declare a workload no more, and wait until it has ended."""
        (self._workloads / name).rename(self._base / f"{name}.removed")
        self.wait_for("workload-removed", 1, name)

    def __enter__(self) -> Self:
        options = {"--workloads": self._workloads, "--root": self.root}
        options["--state"] = self._base / "state"
        words = [str(word) for pair in options.items() for word in pair]
        with open(self._base / "events", "wb") as events, open(self._base / "errors", "wb") as bad:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "supervisor.creched", "--log-format", "json", *words],
                cwd=REPOSITORY,
                env={**os.environ, **self._environment},
                stdin=subprocess.DEVNULL,
                stdout=events,
                stderr=bad,
                start_new_session=True,
            )
        self._pidfd = os.pidfd_open(self._process.pid)
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it without waiting for its workloads to agree."""
        assert self._process is not None
        self.client.close()
        self._process.send_signal(signal.SIGTERM)
        try:
            # Two signals that the kernel cannot make one of.
            self.until(lambda: bool(self.find("supervisor-stopping")))
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(DEADLINE)
        except (RuntimeError, TimeoutError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        finally:
            os.close(self._pidfd)

    def processes(self) -> list[int]:
        """creched, and its launcher if there is one."""
        assert self._process is not None
        try:
            launcher = int((self.root / ".creched/launcher").read_text().split()[0])
        except FileNotFoundError:
            return [self._process.pid]
        return [self._process.pid, launcher]

    def find(self, event: str, workload: str | None = None) -> list[dict[str, Any]]:
        """Events of a name, as far as they have been read."""
        return [
            found
            for found in self.events
            if found["event"] == event and workload in (None, found.get("workload"))
        ]

    def lasts(self, seconds: float) -> None:
        """Let so much time pass. Raises RuntimeError if creched ends meanwhile."""
        if wait_readable(self._pidfd, seconds):
            raise RuntimeError(f"creched has ended: {self.complaints()}")

    def until(self, condition: Callable[[], bool]) -> None:
        """Read events until a condition holds. Raises as `lasts`, also if a container cannot be
        started, and TimeoutError."""
        limit = time.monotonic() + DEADLINE
        while True:
            seen = len(self.events)
            self._take()
            if condition():
                return
            for event in self.events[seen:]:
                if event["event"] in ("create-failed", "start-failed", "workload-refused"):
                    raise RuntimeError(f"creched: {event}")
            if time.monotonic() > limit:
                raise TimeoutError(f"creched: {self.events[-3:]} {self.complaints()}")
            self.lasts(LOOK)

    def wait_for(self, event: str, count: int = 1, workload: str | None = None) -> None:
        """Until there have been so many events of a name."""
        self.until(lambda: len(self.find(event, workload)) >= count)

    def complaints(self) -> str:
        """The end of what it wrote to standard error."""
        return (self._base / "errors").read_text(errors="replace")[-1000:]

    def _take(self) -> None:
        with open(self._base / "events", "rb") as file:
            file.seek(self._read)
            data = file.read()
        whole = data.rfind(b"\n") + 1
        self._read += whole
        self.events += map(json.loads, data[:whole].splitlines())


def monotonic(event: dict[str, Any]) -> float:
    """An event's moment in nanoseconds of CLOCK_MONOTONIC; the field counts suspended time, too."""
    between = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - time.monotonic_ns()
    return float(event["monotonic"]) * 1e9 - between
