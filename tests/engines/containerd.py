"""Drive containerd with ctr; the runc shim calls the runtime named by its option BinaryName."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.engines.engine import IMAGE, Daemon, Place, call, follow, read_line_with, terminal
from tests.support.runtimes import Result
from tests.support.waiting import wait_readable, wait_text

# Only what ctr needs: no CRI, no snapshotters that look for file systems of their own.
_CONFIGURATION = """\
version = 2
root = "{directory}/root"
state = "{run}/state"
oom_score = 0
disabled_plugins = [
  "io.containerd.grpc.v1.cri",
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.overlayfs",
  "io.containerd.snapshotter.v1.zfs",
]

[grpc]
  address = "{run}/containerd.sock"

[ttrpc]
  address = "{run}/containerd.sock.ttrpc"
"""


class Containerd:
    """containerd with one runtime."""

    def __init__(self, place: Place, archive: Path) -> None:
        self.place = place
        self._numbers = itertools.count(1)
        self.socket = place.run / "containerd.sock"
        configuration = place.directory / "config.toml"
        configuration.write_text(_CONFIGURATION.format(directory=place.directory, run=place.run))
        self.daemon = Daemon(
            ["containerd", "--config", str(configuration)],
            self.socket,
            place.directory / "containerd.log",
        )
        place.daemons.append(self.daemon)
        self.daemon.start()
        self("images", "import", "--snapshotter=native", str(archive)).ok()

    def argv(self, words: Sequence[str]) -> list[str]:
        """Return the whole command."""
        return ["ctr", f"--address={self.socket}", "--namespace=crt", *words]

    def __call__(self, *words: str, stdin: bytes | None = None) -> Result:
        """Call ctr."""
        return call(self.argv(words), stdin=stdin)

    def run_words(
        self, name: str, *options: str, args: Sequence[str] = (), sh: str | None = None
    ) -> list[str]:
        """Return the words of a run."""
        tail = ["/bin/sh", "-c", sh] if sh is not None else list(args)
        runtime = f"--runc-binary={self.place.program}"
        group = f"--cgroup=/{self.place.cgroup}/{name}"
        return ["run", "--snapshotter=native", runtime, group, *options, IMAGE, name, *tail]

    def name(self) -> str:
        """Return a name that has not been used yet."""
        return f"crt-{next(self._numbers)}"

    def run(self, *options: str, args: Sequence[str] = (), sh: str | None = None) -> Result:
        """Run a container in the foreground; it is removed afterwards."""
        name = self.name()
        try:
            return self(*self.run_words(name, "--rm", *options, args=args, sh=sh))
        finally:
            self.remove(name)

    @contextmanager
    def container(
        self, *options: str, sh: str, ready: str = "ready"
    ) -> Iterator[tuple[str, int, Path]]:
        """Start a container in the background; gives its name, its init and its output's file."""
        name = self.name()
        log, pid_file = self.place.directory / f"{name}.log", self.place.directory / f"{name}.pid"
        log.touch()
        extra = ["-d", f"--log-uri=file://{log}", f"--pid-file={pid_file}"]
        try:
            self(*self.run_words(name, *extra, *options, sh=sh)).ok()
            if ready:
                wait_text(log, ready)
            yield name, int(pid_file.read_text()), log
        finally:
            self.remove(name)
            log.unlink()

    def remove(self, name: str) -> None:
        """Remove a task and its container, if there are any."""
        self("task", "rm", "-f", name)
        self("container", "rm", name)

    def task(self, name: str) -> list[str]:
        """Return the task's line of the list: name, init, status."""
        for line in self("task", "ls").ok().stdout.splitlines():
            if line.split()[0] == name:
                return line.split()
        return []

    def metrics(self, name: str) -> Any:
        """Return what the shim has measured."""
        return json.loads(self("task", "metrics", "--format=json", name).ok().stdout)

    @contextmanager
    def events(self, topic: str) -> Iterator[Any]:
        """Follow the events; gives a function that reads up to one about this container."""
        with follow(self.argv(["events"])) as process:
            # The subscription exists when an event of our own making comes through.
            assert process.stdout is not None
            for _ in range(100):
                self("namespaces", "label", "crt", f"turn={next(self._numbers)}").ok()
                if wait_readable(process.stdout.fileno(), 0.5):
                    break
            read_line_with(process, "/namespaces/update")

            def read(name: str) -> str:
                assert process.stdout is not None
                for line in process.stdout:
                    if f" {topic} ".encode() in line and f'"{name}"'.encode() in line:
                        return line.decode()
                raise EOFError(f"no event {topic} of {name}")

            yield read

    def terminal(self, *words: str) -> Any:
        """Start ctr in a terminal."""
        return terminal(self.argv(words))
