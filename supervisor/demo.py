"""`python -m supervisor.demo`: creched at work for a quarter of a minute.

Copies the sample workloads into a directory of its own, runs creched on them, asks memcached for
its version, and compares what creched reports with what should have happened. Ctrl-C ends it early.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).parent.parent
SAMPLES = CHECKOUT / "etc" / "workloads"
SECONDS = float(os.environ.get("CRECHE_DEMO_SECONDS", "16"))
HOST = "127.0.0.1"
STOP_SECONDS = 30.0
OWN = ".creched"
"""In the state root: what creched remembers."""


class Watched:
    """creched as a child, its events as they come: printed, and kept."""

    def __init__(self, workloads: Path, root: Path) -> None:
        self.events: list[dict[str, Any]] = []
        self._rest = b""
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "supervisor.creched",
                "--workloads",
                str(workloads),
                "--root",
                str(root),
                "--state",
                f"{root}-kept",
                "--log-format",
                "json",
            ],
            cwd=CHECKOUT,
            stdout=subprocess.PIPE,
            # Ctrl-C is for the demo, which then asks creched to stop.
            start_new_session=True,
        )

    def stop(self) -> None:
        """Ask it to stop."""
        self._process.terminate()

    def kill(self) -> None:
        """The last resort, should it not end."""
        self._process.kill()

    def wait(self) -> int:
        """Its exit status."""
        return self._process.wait()

    def read_until(self, deadline: float) -> bool:
        """Print events until `deadline` (time.monotonic); True if creched has ended."""
        import select

        assert self._process.stdout is not None
        fd = self._process.stdout.fileno()
        while (left := deadline - time.monotonic()) > 0:
            if not select.select([fd], [], [], left)[0]:
                return False
            data = os.read(fd, 65536)
            if not data:
                return True
            *lines, self._rest = (self._rest + data).split(b"\n")
            for line in lines:
                event = json.loads(line)
                self.events.append(event)
                print(readable(event), flush=True)
        return False

    def find(self, event: str, workload: str) -> list[dict[str, Any]]:
        """Events of one name of one workload."""
        return [e for e in self.events if e["event"] == event and e.get("workload") == workload]


def readable(event: dict[str, Any]) -> str:
    """As `creched --log-format console` writes it."""
    from supervisor.console import console_line

    return console_line(event, colours=sys.stdout.isatty())


def free_port() -> int:
    """A TCP port nobody uses at the moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def ask(port: int, question: bytes) -> bytes:
    """One question to the service; b"" if nobody answers."""
    try:
        with socket.create_connection((HOST, port), timeout=2) as connection:
            connection.settimeout(2)
            connection.sendall(question)
            return connection.recv(200).strip()
    except OSError:
        return b""


def prepare(directory: Path, port: int) -> tuple[str, bytes, bytes]:
    """Copy the samples; the name of the service, what to ask it, how its answer begins."""
    service, question, answer = "memcached", b"version\r\n", b"VERSION"
    if not os.access("/usr/bin/memcached", os.X_OK):
        print("memcached is not installed: a small echo service takes its place")
        service, question, answer = "echo", b"hello creche\r\n", b"hello creche"
    for name in (service, "flaky", "crashloop", "oneshot"):
        shutil.copytree(SAMPLES / name, directory / name)
        file = directory / name / "workload.toml"
        text = file.read_text(encoding="utf-8")
        file.write_text(text.replace("11311", str(port)).replace("11312", str(port)), "utf-8")
        # A checkout may have been made with any umask; creched is particular about who may write.
        for path in (directory / name, file):
            path.chmod(path.stat().st_mode & ~0o022)
    return service, question, answer


def run(base: Path) -> int:
    """The demo in `base`; the exit status."""
    workloads, root = base / "workloads", base / "state"
    workloads.mkdir(mode=0o755)
    port = free_port()
    service, question, answer = prepare(workloads, port)
    print(f"creched supervises four workloads for {SECONDS:g} seconds; Ctrl-C ends it early\n")
    begin = time.monotonic()
    creched = Watched(workloads, root)
    got = b""
    interrupted = False
    try:
        try:
            while time.monotonic() < begin + SECONDS:
                if creched.read_until(min(time.monotonic() + 0.25, begin + SECONDS)):
                    break
                if not got and creched.find("started", service):
                    got = ask(port, question)
                    if got:
                        said = got.decode("utf-8", "replace")
                        print(f"\n*** {service} at {HOST}:{port} answers: {said}\n", flush=True)
        except KeyboardInterrupt:
            interrupted = True
            print("\ninterrupted: asking creched to stop\n", flush=True)
        creched.stop()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if not creched.read_until(time.monotonic() + STOP_SECONDS):
            print("creched does not end")
            creched.kill()
    finally:
        creched.stop()
        status = creched.wait()
    left = [] if not root.exists() else sorted(p.name for p in root.iterdir() if p.name != OWN)
    gave_up = creched.find("gave-up", "crashloop")
    restarts = len(creched.find("restart-scheduled", "flaky"))
    delays = ", ".join(f"{e['after']:.2f} s" for e in creched.find("restart-scheduled", "flaky"))
    overrun = creched.find("hook-failed", "oneshot")
    checks = [
        (f"{service} answers on {HOST}:{port}", got.startswith(answer)),
        (f"flaky was restarted {restarts} times, after {delays or 'nothing'}", restarts > 1),
        (
            "crashloop was given up"
            + (f": {gave_up[0]['reason']}" if gave_up else " (it should have been)"),
            bool(gave_up) and gave_up[0]["restarts"] == 3,
        ),
        (
            "oneshot is done, although its poststop hook overran its timeout and was killed",
            bool(creched.find("done", "oneshot")) and bool(overrun),
        ),
        (f"creched ended with status {status} and left nothing behind", not status and not left),
    ]
    print("\nsummary")
    for text, good in checks:
        print(f"  {'ok    ' if good else 'NOT OK'} {text}")
    if interrupted:
        print("  (ended early: not everything had its time)")
        return 130
    return 0 if all(good for _, good in checks) else 1


def main() -> int:
    """Entry point; the exit status says whether everything went as it should."""
    if os.geteuid() != 0:
        print("the demo runs containers and has to be started as root", file=sys.stderr)
        return 2
    cache = CHECKOUT / ".cache"
    cache.mkdir(mode=0o755, exist_ok=True)
    base = Path(tempfile.mkdtemp(prefix="demo-", dir=cache))
    try:
        return run(base)
    finally:
        shutil.rmtree(base, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
