"""Drive a private dockerd: own directories, socket, containerd, and no network of the machine's."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.engines.engine import (
    ENVIRONMENT,
    IMAGE,
    Daemon,
    Place,
    call,
    follow,
    read_line_with,
    terminal,
)
from tests.support.runtimes import Result


class Docker:
    """dockerd with one runtime as its default."""

    def __init__(self, place: Place, archive: Path, *, live_restore: bool = True) -> None:
        self.place = place
        self._numbers = itertools.count(1)
        self.socket = place.run / "docker.sock"
        configuration = {
            "data-root": f"{place.directory}/data",
            "exec-root": f"{place.run}/exec",
            "pidfile": f"{place.run}/docker.pid",
            "hosts": [f"unix://{self.socket}"],
            "bridge": "none",
            "iptables": False,
            "ip6tables": False,
            "ip-forward": False,
            "ip-masq": False,
            "userland-proxy": True,  # publishes ports without iptables
            "storage-driver": "vfs",
            "cgroup-parent": f"/{place.cgroup}",
            "exec-opts": ["native.cgroupdriver=cgroupfs"],
            "live-restore": live_restore,
            "default-ulimits": {
                "nofile": {"Name": "nofile", "Soft": 1024, "Hard": 1024},
            },
        }
        if place.runtime != "runc":  # Docker knows runc, and lets nobody redefine it
            configuration["runtimes"] = {place.runtime: {"path": place.program}}
            configuration["default-runtime"] = place.runtime
        file = place.directory / "daemon.json"
        file.write_text(json.dumps(configuration, indent=2))
        self.daemon = Daemon(
            ["dockerd", "--config-file", str(file)],
            self.socket,
            place.directory / "dockerd.log",
        )
        place.daemons.append(self.daemon)
        self.environment = {**ENVIRONMENT, "DOCKER_CONFIG": f"{place.directory}/client"}
        self.daemon.start(self.environment)
        self("load", "-q", "-i", str(archive)).ok()

    def argv(self, words: Sequence[str]) -> list[str]:
        """Return the whole command."""
        return ["docker", f"--host=unix://{self.socket}", *words]

    def __call__(self, *words: str, stdin: bytes | None = None) -> Result:
        """Call docker."""
        return call(self.argv(words), stdin=stdin, env=self.environment)

    def run_words(
        self, *options: str, args: Sequence[str] = (), sh: str | None = None
    ) -> list[str]:
        """Return the words of a run."""
        tail = ["/bin/sh", "-c", sh] if sh is not None else list(args)
        network = any(option.startswith("--network") for option in options)
        return ["run", *([] if network else ["--network=none"]), *options, IMAGE, *tail]

    def run(self, *options: str, args: Sequence[str] = (), sh: str | None = None) -> Result:
        """Run a container in the foreground; it is removed afterwards."""
        return self(*self.run_words("--rm", *options, args=args, sh=sh))

    @contextmanager
    def container(self, *options: str, sh: str, verb: str = "run") -> Iterator[str]:
        """Start a container in the background; gives its name, removes it at the end."""
        name = f"crt-{next(self._numbers)}"
        words = self.run_words(f"--name={name}", *options, sh=sh)
        words[:1] = ["run", "-d"] if verb == "run" else [verb]
        try:
            self(*words).ok()
            yield name
        finally:
            self("rm", "-f", "-v", name)

    def inspect(self, name: str) -> Any:
        """Return what inspect says of a container."""
        return json.loads(self("inspect", "--type=container", name).ok().stdout)[0]

    def wait(self, name: str) -> int:
        """Wait until a container has ended and return its exit code."""
        return int(self("wait", name).ok().stdout)

    def wait_log(self, name: str, marker: str = "ready") -> None:
        """Wait until a container has written a line."""
        with follow(self.argv(["logs", "-f", name]), env=self.environment) as logs:
            read_line_with(logs, marker)

    def terminal(self, *words: str) -> Any:
        """Start docker in a terminal."""
        return terminal(self.argv(words), env=self.environment)

    def follow(self, *words: str) -> Any:
        """Start a docker that goes on."""
        return follow(self.argv(words), env=self.environment)
