"""Drive podman and conmon with directories, lock files and a configuration of their own."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tests.engines.engine import ENVIRONMENT, IMAGE, Place, call, follow, terminal
from tests.support.mountinfo import cgroup_mounts
from tests.support.runtimes import Result

# Debian's limits of open files and processes are above what root of a container may set, the
# journal is not there, and lock segments in /dev/shm would be shared with the machine's podman.
_CONFIGURATION = """\
[containers]
log_driver = "k8s-file"
cgroupns = "private"
default_sysctls = []
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]

[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
lock_type = "file"
runtime = "{name}"
runtime_supports_json = ["{name}"]
conmon_path = ["/usr/bin/conmon"]

[engine.runtimes]
{name} = ["{program}"]
"""


class Podman:
    """podman with one runtime."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._numbers = itertools.count(1)
        directory, run = place.directory, place.run
        configuration = directory / "containers.conf"
        configuration.write_text(_CONFIGURATION.format(name=place.runtime, program=place.program))
        registries = directory / "registries.conf"
        registries.write_text("unqualified-search-registries = []\n")
        self.environment = {
            **ENVIRONMENT,
            "CONTAINERS_CONF": str(configuration),
            "CONTAINERS_REGISTRIES_CONF": str(registries),
            "DISABLE_HC_SYSTEMD": "true",  # no timers: a test runs the health check itself
            "TMPDIR": str(directory),
        }
        self._words = [
            "podman",
            f"--root={directory}/storage",
            f"--runroot={run}/storage",
            f"--tmpdir={run}/libpod",
            "--storage-driver=vfs",
            "--cgroup-manager=cgroupfs",
            f"--runtime={place.runtime}",
            f"--network-config-dir={directory}/networks",
            f"--volumepath={directory}/volumes",
        ]

    def argv(self, words: Sequence[str]) -> list[str]:
        """Return the whole command."""
        return [*self._words, *words]

    def __call__(self, *words: str, stdin: bytes | None = None, cwd: str | None = None) -> Result:
        """Call podman."""
        directory = self.place.directory if cwd is None else cwd
        return call(self.argv(words), stdin=stdin, env=self.environment, cwd=directory)

    def run_words(
        self, *options: str, args: Sequence[str] = (), sh: str | None = None
    ) -> list[str]:
        """Return the words of a run: options, and the program or a shell script."""
        tail = ["/bin/sh", "-c", sh] if sh is not None else list(args)
        network = (
            ()
            if any(o.startswith(("--network", "--pod=")) for o in options)
            else ("--network=none",)
        )
        pod = any(option.startswith("--pod=") for option in options)
        parent = () if pod else (f"--cgroup-parent=/{self.place.cgroup}",)
        return ["run", *network, *parent, *options, IMAGE, *tail]

    def run(self, *options: str, args: Sequence[str] = (), sh: str | None = None) -> Result:
        """Run a container in the foreground; it is removed afterwards."""
        return self(*self.run_words("--rm", *options, args=args, sh=sh))

    @contextmanager
    def container(
        self, *options: str, args: Sequence[str] = (), sh: str | None = None, verb: str = "run"
    ) -> Iterator[str]:
        """Start a container in the background; gives its name, removes it at the end."""
        name = f"crt-{next(self._numbers)}"
        words = self.run_words(f"--name={name}", *options, args=args, sh=sh)
        words[:1] = ["run", "-d"] if verb == "run" else [verb]
        try:
            self(*words).ok()
            yield name
        finally:
            self("rm", "-f", "-t", "0", "-v", name)

    def terminal(self, *words: str) -> Any:
        """Start podman in a terminal."""
        return terminal(self.argv(words), env=self.environment)

    def follow(self, *words: str) -> Any:
        """Start a podman that goes on."""
        return follow(self.argv(words), env=self.environment)

    def inspect(self, name: str) -> Any:
        """Return what inspect says of a container."""
        return json.loads(self("inspect", "--type=container", name).ok().stdout)[0]

    def remove_pod_cgroups(self) -> None:
        """Remove what podman 4.3 forgets of a pod on cgroup v1, whatever the runtime."""
        for top in cgroup_mounts().values():
            for path in (top / self.place.cgroup).iterdir():
                if len(path.name) == 64 and path.is_dir():
                    path.rmdir()

    def wait(self, name: str) -> int:
        """Wait until a container has ended and return its exit code."""
        return int(self("wait", "-i", "50ms", name).ok().stdout)
