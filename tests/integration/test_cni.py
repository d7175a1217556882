"""`mode = "cni"` with Debian's plugins, and with some that do as a test wants."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.networked import ENDS, NEVER, STOP, WAITS, Host
from tests.support.network import ip, ping
from tests.support.waiting import wait_text

pytestmark = pytest.mark.root

PLUGINS = "/usr/lib/cni"


class CniHost(Host):
    """With lists of plugins, and plugins of its own."""

    @property
    def base(self) -> Path:
        """Where those are."""
        return self.workloads.parent

    @property
    def log(self) -> Path:
        """Commands that the scripts were given, a line each."""
        return self.base / "log"

    def conflist(self, *plugins: dict[str, Any], name: str = "x", **more: Any) -> str:
        """Write one; gives a [network] that names it."""
        path = self.base / f"{name}.conflist"
        text = {"cniVersion": "1.0.0", "name": name, "plugins": list(plugins), **more}
        path.write_text(json.dumps(text))
        path.chmod(0o644)
        return f'[network]\nmode = "cni"\nconflist = "{path}"\n'

    def script(self, name: str, text: str) -> dict[str, Any]:
        """A plugin that notes what it is asked, and passes on what came before; then `text`."""
        directory = self.base / "plugins"
        directory.mkdir(exist_ok=True)
        path = directory / name
        path.write_text(
            "#!/bin/sh\ncat > $0.$CNI_COMMAND\n"
            f'echo "{name} $CNI_COMMAND $CNI_IFNAME" >> {self.log}\n{text}\n'
        )
        path.chmod(0o755)
        return {"type": name}

    def told(self, name: str, command: str) -> dict[str, Any]:
        """What a script read last."""
        found: dict[str, Any] = json.loads((self.base / f"plugins/{name}.{command}").read_text())
        return found

    def commands(self) -> list[str]:
        """Of all scripts."""
        return self.log.read_text().splitlines() if self.log.exists() else []

    def leases(self) -> list[str]:
        """Addresses that host-local has given out."""
        directory = self.base / "ipam/x"
        found = os.listdir(directory) if directory.exists() else []
        return sorted(each for each in found if each[0].isdigit() or ":" in each)

    def ipam(self) -> dict[str, Any]:
        """host-local, with its leases here."""
        ranges = [[{"subnet": "10.84.0.0/24"}], [{"subnet": "fd84::/64"}]]
        return {"type": "host-local", "dataDir": str(self.base / "ipam"), "ranges": ranges}

    def bridge(self) -> dict[str, Any]:
        """A bridge that leaves itself behind."""
        return {"type": "bridge", "bridge": "crt-cni0", "isGateway": True, "ipam": self.ipam()}

    def run(self) -> CniHost:
        """With its own plugins, too."""
        self.declare(f'[supervisor]\ncni-path = ["{PLUGINS}", "{self.base}/plugins"]\n')
        self.start("--config", str(self.base / "creched.toml"))
        return self


PASSES = """python3 -c 'import json, sys
told = json.load(open(sys.argv[1]))
print(json.dumps(told.get("prevResult") or {"cniVersion": "1.0.0"}))' $0.ADD"""
FAILS = (
    '[ $CNI_COMMAND = ADD ] || exit 0\necho \'{"cniVersion": "1.0.0", "code": 42, "msg": "no room",'
    ' "details": "it is full"}\'; exit 1'
)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[CniHost]:
    """A creched; at its end nothing of a network is left but the plugin's bridge."""
    made = CniHost(tmp_path)
    before = made.links()
    yield made
    made.clean()
    if "crt-cni0" in made.links():
        ip("link", "del", "crt-cni0")
    made.check_clean()
    assert made.links() == before
    assert made.leases() == []
    assert not (made.state / "cni").exists(), list((made.state / "cni").iterdir())


def test_a_chain_of_plugins(host: CniHost) -> None:
    """Its addresses are the workload's, ports are passed on, and all of it is undone in reverse."""
    mine = host.script("mine", PASSES) | {"capabilities": {"portMappings": True}}
    tuning = {"type": "tuning", "sysctl": {"net.ipv4.ip_default_ttl": "77"}}
    network = host.conflist(host.bridge(), tuning, mine)
    host.add("a", STOP + WAITS + network + 'publish = ["127.0.0.1:8080:80"]\ninterface = "lan0"\n')
    host.run()
    assert host.addresses("a") == ["10.84.0.2/24", "fd84::2/64"]
    host.wait_for("started", "a")
    assert ping("10.84.0.2")
    assert "10.84.0.2/24" in host.inside("a", "ip", "addr", "show", "lan0")
    assert host.inside("a", "cat", "/proc/sys/net/ipv4/ip_default_ttl") == "77\n"
    told = host.told("mine", "ADD")
    assert told["runtimeConfig"] == {
        "portMappings": [
            {"hostPort": 8080, "containerPort": 80, "protocol": "tcp", "hostIP": "127.0.0.1"}
        ]
    }
    assert told["prevResult"]["ips"][0]["address"] == "10.84.0.2/24"
    assert host.leases() == ["10.84.0.2", "fd84::2"]
    host.stop()
    assert host.told("mine", "DEL")["prevResult"]["ips"][0]["address"] == "10.84.0.2/24"
    assert host.commands() == ["mine ADD lan0", "mine DEL lan0"]
    assert host.leases() == []


def test_several_and_a_restart(host: CniHost) -> None:
    """Attachments stay over a restart of the container; each is asked whether it is well."""
    static = {"type": "static", "addresses": [{"address": "10.85.0.2/24", "gateway": "10.85.0.1"}]}
    first = host.conflist(host.bridge(), name="x")
    second = host.conflist({"type": "ptp", "ipam": static}, host.script("mine", PASSES), name="y")
    text = first.replace("[network]", "[[network]]") + second.replace("[network]", "[[network]]")
    host.add("a", STOP + WAITS + text + 'interface = "eth1"\n[restart]\ndelay = 0\n')
    host.run()
    assert host.addresses("a") == ["10.84.0.2/24", "fd84::2/64", "10.85.0.2/24"]
    pid = host.wait_for("started", "a")[0]["pid"]
    os.kill(pid, signal.SIGKILL)
    host.wait_for("started", "a", 2)
    assert host.commands() == ["mine ADD eth1", "mine CHECK eth1"]
    assert "10.85.0.2" in host.inside("a", "ip", "addr", "show", "eth1")
    host.stop()


def test_a_plugin_that_fails_undoes_those_before_it(host: CniHost) -> None:
    """With its own words, in one line."""
    for name, plugin in {
        "fails": host.script("fails", FAILS),
        "says": host.script("says", "[ $CNI_COMMAND = DEL ] || echo rubbish"),
        "none": {"type": "none-such"},
        "dies": host.script("dies", "[ $CNI_COMMAND = ADD ] && kill -9 $$; exit 0"),
    }.items():
        text = host.conflist(host.bridge(), plugin, name=name)
        host.add(name, STOP + WAITS + NEVER + text)
    host.add("ports", STOP + WAITS + NEVER + host.conflist(host.bridge()) + 'publish = ["1:1"]\n')
    host.add("gone", STOP + WAITS + NEVER + '[network]\nmode = "cni"\nconflist = "/nowhere/x"\n')
    host.run()
    told = {
        name: host.wait_for("gave-up", name)[0]["reason"]
        for name in ("fails", "says", "none", "dies", "ports", "gone")
    }
    where = f"of {host.base}/fails.conflist (network.conflist)"
    assert f"plugin fails {where}: ADD: no room; it is full (code 42)" in told["fails"]
    assert "what it printed is no result" in told["says"]
    assert "plugin none-such of" in told["none"]
    assert "there is no such plugin in /usr/lib/cni" in told["none"]
    assert "signal: killed" in told["dies"]
    assert "no plugin of" in told["ports"]
    assert "has the capability portMappings" in told["ports"]
    assert "network.conflist: /nowhere/x: does not exist" in told["gone"]
    assert os.listdir(f"{host.root}/.creched/namespaces") == []
    host.stop()


def test_removed_after_creched_was_killed(host: CniHost) -> None:
    """By the list as it was: its file has gone meanwhile, like the workload."""
    path = host.add("a", ENDS + host.conflist(host.bridge(), host.script("mine", PASSES)))
    host.run()
    host.wait_for("started", "a")
    host.signal(signal.SIGKILL)
    host.finish()
    path.rename(path.with_name(".a"))
    (host.base / "x.conflist").unlink()
    host.run()
    host.wait_for("workload-removed", "a")
    host.stop()
    assert host.commands()[0] == "mine ADD eth0"
    assert host.commands()[-1] == "mine DEL eth0"
    assert host.leases() == []


def test_killed_in_the_middle(host: CniHost) -> None:
    """What was begun is undone, and made anew."""
    gate = host.base / "gate"
    os.mkfifo(gate)
    mine = host.script("mine", f"[ $CNI_COMMAND = ADD ] && read x < {gate}\n{PASSES}")
    host.add("a", STOP + WAITS + host.conflist(host.bridge(), mine))
    host.run()
    wait_text(host.log, "mine ADD eth0")
    assert host.leases() == ["10.84.0.2", "fd84::2"]
    host.signal(signal.SIGKILL)
    host.finish()
    gate.write_text("\n")  # that plugin ends, and nobody hears it
    host.script("mine", PASSES)
    host.run()
    host.wait_for("started", "a")
    assert host.commands()[:3] == ["mine ADD eth0", "mine DEL eth0", "mine ADD eth0"]
    assert len(host.leases()) == 2
    host.stop()


def test_after_the_machine_was_booted_again(host: CniHost) -> None:
    """Namespaces are gone and leases on disk are not: they are given back."""
    path = host.add("a", STOP + WAITS + host.conflist(host.bridge()))
    host.run()
    host.wait_for("started", "a")
    saved = (host.state / "cni/a.json").read_bytes()
    lease = {each: (host.base / "ipam/x" / each).read_bytes() for each in host.leases()}
    path.rename(path.with_name(".a"))
    host.stop()
    (host.state / "cni").mkdir(mode=0o700)
    (host.state / "cni/a.json").write_bytes(saved)
    for name, data in lease.items():
        (host.base / "ipam/x" / name).write_bytes(data)
    assert len(host.leases()) == 2
    host.run()
    host.wait_for("supervisor-started", None, 2)
    host.add("b", STOP + WAITS + host.conflist(host.bridge()))
    host.wait_for("started", "b")
    assert not any(b"-a" in (host.base / "ipam/x" / each).read_bytes() for each in host.leases())
    host.stop()


def test_what_is_not_as_it_was_made_is_made_anew(host: CniHost) -> None:
    """As its plugins say when creched looks: at a start, and when it is started itself."""
    host.add("a", STOP + WAITS + host.conflist(host.bridge()) + "[restart]\ndelay = 0\n")
    host.run()
    pid = host.wait_for("started", "a")[0]["pid"]
    host.inside("a", "ip", "link", "del", "eth0")
    os.kill(pid, signal.SIGKILL)
    host.wait_for("started", "a", 2)
    address = host.inside("a", "ip", "-br", "-4", "addr", "show", "eth0").split()[2]
    assert ping(address.partition("/")[0])
    host.inside("a", "ip", "link", "del", "eth0")
    host.signal(signal.SIGUSR2)
    host.wait_for("adopted", "a")
    host.add("b", STOP + WAITS)  # which is read once networks are whole
    host.wait_for("started", "b")
    address = host.inside("a", "ip", "-br", "-4", "addr", "show", "eth0").split()[2]
    assert ping(address.partition("/")[0])
    assert len(host.leases()) == 2
    host.stop()


def test_a_plugin_that_does_not_let_go(host: CniHost) -> None:
    """That is told, remembered, and tried again."""
    refuse = host.base / "refuse"
    refuse.write_text("")
    text = f"[ $CNI_COMMAND = DEL ] && [ -e {refuse} ] && exit 1\n{PASSES}"
    path = host.add("a", ENDS + host.conflist(host.bridge(), host.script("mine", text)))
    host.run()
    host.wait_for("started", "a")
    path.rename(path.with_name(".a"))
    told = host.wait_for("network-trouble")[0]
    assert "plugin mine of" in told["message"]
    assert "DEL: exit status 1" in told["message"]
    assert host.leases() == []  # the others have been told nevertheless
    refuse.unlink()
    host.stop()
    host.run()
    host.add("b", STOP + WAITS)
    host.wait_for("started", "b")
    host.stop()
