"""A creched with networks, as tests drive it."""

from __future__ import annotations

import socket
import subprocess

from tests.integration.supervised import Creched

RUNC0 = '[networks.runc]\nbridge = "runc0"\nsubnet = "192.168.10.0/24"\n'
WAITS = "[container]\nargs = ['busybox', 'sh', '-c', 'echo here >&2; exec sleep 100000']\n"
ENDS = """[container]
args = ['busybox', 'sh', '-c', 'trap "exit 0" TERM; while :; do sleep 1000 & wait; done']
"""
ON_RUNC0 = '[network]\nname = "runc"\n'
NEVER = "[restart]\npolicy = 'never'\n"
STOP = "[stop]\nsignal = 'SIGKILL'\n"


class Host(Creched):
    """One creched with networks."""

    def declare(self, text: str) -> None:
        """Its creched.toml."""
        path = self.workloads.parent / "creched.toml"
        path.write_text(text)
        path.chmod(0o644)

    def run(self) -> Host:
        """Start it with that."""
        self.start("--config", str(self.workloads.parent / "creched.toml"))
        return self

    def netns(self, name: str) -> str:
        """The network namespace of a workload."""
        return f"{self.root}/.creched/namespaces/{name}"

    def inside(self, name: str, *words: str) -> str:
        """What a program says in a workload's network namespace."""
        argv = ["nsenter", f"--net={self.netns(name)}", *words]
        done = subprocess.run(argv, check=False, capture_output=True, text=True)
        assert done.returncode == 0, (words, done.stderr, done.stdout)
        return done.stdout

    def addresses(self, name: str, count: int = 1) -> list[str]:
        """Those that a workload was given when it was attached."""
        return list(self.wait_for("network-attached", name, count)[-1]["addresses"])

    def links(self) -> set[str]:
        """The host's, but for the loopback."""
        return {name for _, name in socket.if_nameindex()} - {"lo"}
