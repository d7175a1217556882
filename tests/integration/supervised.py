"""creched as a child of a test: its events as they come, its end, what is left of it."""

from __future__ import annotations

import hashlib
import json
import os
import select
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.support.descriptor_store import DescriptorStore
from tests.support.events import check
from tests.support.mountinfo import cgroup_mounts

DEADLINE = 120.0
"""Seconds without any news after which a test that waits for some fails instead of hanging."""

CHECKOUT = Path(__file__).parents[2]
Event = dict[str, Any]


class Creched:
    """One creched on workloads in `base/workloads`, its state in `base/state`."""

    def __init__(self, base: Path) -> None:
        self.workloads = base / "workloads"
        self.workloads.mkdir(exist_ok=True)
        self.workloads.chmod(0o755)
        self.root = base / "state"
        self.state = base / "persistent"
        self.events: list[Event] = []
        self.output = b""
        """Standard error: what containers wrote, and complaints of creched itself."""
        self.process: subprocess.Popen[bytes] | None = None
        self.program = ["supervisor.creched"]
        """The module that is run, and words that come before the options."""
        self.store: DescriptorStore | None = None
        """Of the service manager that it is to have."""
        self._rest = b""
        self._index: defaultdict[tuple[str, str | None], list[Event]] = defaultdict(list)

    def add(self, name: str, text: str, **files: str) -> Path:
        """A workload directory, whatever the umask; `files`: scripts by name.

        What it writes goes to `output`, unless its text has [logs].
        """
        if "[logs]" not in text:
            text += '\n[logs]\nto = "stderr"\n'
        path = self.workloads / name
        path.mkdir()
        path.chmod(0o755)
        for file, content in {"workload.toml": text, **files}.items():
            (path / file).write_text(content)
            (path / file).chmod(0o755)
        return path

    def start(self, *options: str, prefix: Sequence[str] = ()) -> Creched:
        """Start it; `prefix`: by this command."""
        self._rest = b""
        store = self.store
        self.process = subprocess.Popen(
            [
                *(() if store is None else store.prefix()),
                *prefix,
                sys.executable,
                "-m",
                *self.program,
                "--workloads",
                str(self.workloads),
                "--root",
                str(self.root),
                "--state",
                str(self.state),
                "--log-format",
                "json",
                *options,
            ],
            cwd=CHECKOUT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=None if store is None else {**os.environ, "NOTIFY_SOCKET": str(store.path)},
            pass_fds=() if store is None else [*store.kept.values()],
        )
        return self

    @property
    def pid(self) -> int:
        """Of creched."""
        assert self.process is not None
        return self.process.pid

    def signal(self, number: int) -> None:
        """Send it a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def pump(self, until: Callable[[], bool]) -> None:
        """Read what it writes until a condition holds. EOFError if it ends before."""
        assert self.process is not None
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        out, err = self.process.stdout.fileno(), self.process.stderr.fileno()
        while not until():
            if self.store is not None:
                self.store.take_in()
            ready = select.select([out, err], [], [], DEADLINE)[0]
            if not ready:
                raise TimeoutError(f"nothing more: {self.tail()}")
            if err in ready:
                self.output += os.read(err, 65536)
            if out in ready:
                data = os.read(out, 65536)
                if not data:
                    raise EOFError(f"creched has ended: {self.tail()}")
                *lines, self._rest = (self._rest + data).split(b"\n")
                for line in lines:
                    event = json.loads(line)
                    self.events.append(event)
                    for workload in {event.get("workload"), None}:
                        self._index[event["event"], workload].append(event)

    def wait_for(self, event: str, workload: str | None = None, count: int = 1) -> list[Event]:
        """Until so many events of this name were seen; gives them."""
        self.pump(lambda: len(self.find(event, workload)) >= count)
        return self.find(event, workload)

    def finish(self) -> int:
        """Read to the end; its exit status."""
        assert self.process is not None
        try:
            self.pump(lambda: False)
        except EOFError:
            pass
        assert self.process.stderr is not None
        assert self.process.stdout is not None
        # A container that outlives a killed creched holds the other end: there is no end of file.
        os.set_blocking(self.process.stderr.fileno(), False)
        self.output += self.process.stderr.read() or b""
        self.process.stdout.close()
        self.process.stderr.close()
        status = self.process.wait()
        self.process = None
        return status

    def stop(self) -> int:
        """SIGTERM, and its exit status."""
        self.signal(signal.SIGTERM)
        return self.finish()

    def hurry(self) -> None:
        """Stop it without waiting for anybody: two signals that the kernel cannot make one of."""
        self.signal(signal.SIGTERM)
        self.wait_for("supervisor-stopping")
        self.signal(signal.SIGTERM)

    def clean(self) -> None:
        """End it the hard way, if a test left it running, and its containers."""
        if self.process is None:
            return
        for number in (signal.SIGTERM, signal.SIGTERM):
            self.process.send_signal(number)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.finish()

    def find(self, event: str, workload: str | None = None) -> list[Event]:
        """Events of one name seen so far."""
        return self._index[event, workload]

    def story(self, workload: str) -> list[str]:
        """Names of the events of one workload."""
        return [str(found["event"]) for found in self.events if found.get("workload") == workload]

    def tail(self) -> str:
        """The last of everything, for failures."""
        last = "\n".join(json.dumps(event) for event in self.events[-15:])
        return f"{last}\n{self.output[-2000:].decode(errors='replace')}"

    def cgroups(self) -> list[Path]:
        """The cgroups of all its containers, one in each hierarchy."""
        name = f"creched-{hashlib.sha256(str(self.root).encode()).hexdigest()[:12]}"
        return [top / name for top in cgroup_mounts().values()]

    def check_clean(self) -> None:
        """Nothing is left, and there is no gap in the events."""
        self.check_files()
        numbers = [event["seq"] for event in self.events]
        assert numbers == list(range(1, len(numbers) + 1))
        check(self.events)
        assert self.find("workload-fault") == []

    def check_files(self) -> None:
        """Nothing is left: no container, no cgroup (hence no process)."""
        left = {path.name for path in self.root.iterdir()}
        left |= {path.name for path in (self.root / ".creched").iterdir()}
        left -= {".creched", "lock", "journal", "records"}
        assert left == set(), sorted(left)
        assert [str(path) for path in self.cgroups() if path.exists()] == []
        assert b"Traceback" not in self.output, self.output.decode()
