"""Make networks by hand with ip(8), as an administrator would; the host is the session's netns."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.support.isolation import PREFIX


def ip(*words: str) -> str:
    """Call ip(8) and return its output."""
    done = subprocess.run(["ip", *words], check=False, capture_output=True, text=True)
    assert done.returncode == 0, f"ip {' '.join(words)}: {done.stderr}"
    return done.stdout


@dataclass(frozen=True)
class HandMadeNetwork:
    """A bridge on the host, a namespace, and a veth pair between them.

    ``host`` and ``container`` are the two addresses, ``path`` is what a config.json names.
    """

    name: str
    bridge: str
    veth: str
    host: str
    container: str

    @property
    def path(self) -> Path:
        """Return the namespace's file, for ``linux.namespaces[].path``."""
        return Path("/run/netns") / self.name

    def up(self) -> None:
        """Make everything, with the commands a reader would type."""
        ip("link", "add", self.bridge, "type", "bridge")
        ip("link", "set", self.bridge, "up")
        ip("addr", "add", f"{self.host}/24", "dev", self.bridge)
        ip("link", "add", "name", self.veth, "type", "veth", "peer", "name", f"{self.veth}g")
        ip("link", "set", self.veth, "up")
        ip("link", "set", self.veth, "master", self.bridge)
        ip("netns", "add", self.name)
        ip("link", "set", f"{self.veth}g", "netns", self.name)
        inside = ("netns", "exec", self.name, "ip")
        ip(*inside, "link", "set", f"{self.veth}g", "name", "eth1")
        ip(*inside, "addr", "add", f"{self.container}/24", "dev", "eth1")
        ip(*inside, "link", "set", "eth1", "up")
        ip(*inside, "link", "set", "lo", "up")
        ip(*inside, "route", "add", "default", "via", self.host)

    def down(self) -> None:
        """Remove everything. The pair is deleted by name, which is done when ``ip`` returns; a
        namespace's end would delete it some time later."""
        ip("link", "del", self.veth)
        ip("netns", "del", self.name)
        ip("link", "del", self.bridge)


def ping(address: str, *, netns: str | None = None) -> bool:
    """Send one echo request; from the host's side, or from within a named namespace."""
    words = ["/bin/busybox", "ping", "-c", "1", "-W", "10", address]
    if netns is not None:
        words = ["ip", "netns", "exec", netns, *words]
    return subprocess.run(words, check=False, capture_output=True).returncode == 0


def hand_made_network(number: int = 0) -> HandMadeNetwork:
    """Describe the network with this number; numbers keep two of them apart."""
    return HandMadeNetwork(
        name=f"{PREFIX}net{number}",
        bridge=f"{PREFIX}br{number}",
        veth=f"{PREFIX}v{number}",
        host=f"192.168.{10 + number}.1",
        container=f"192.168.{10 + number}.101",
    )
