"""Networks as they are asked for: `crechectl net`, `plan`, `reload`, `check`."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.integration.networked import ON_RUNC0, RUNC0, STOP, WAITS, Host
from tests.integration.supervised import CHECKOUT
from tests.support.network import ip, ping

pytestmark = pytest.mark.root


def crechectl(host: Host, *words: str) -> subprocess.CompletedProcess[str]:
    """One command, to its end."""
    command = [sys.executable, "-m", "supervisor.crechectl", "--root", str(host.root)]
    return subprocess.run([*command, *words], cwd=CHECKOUT, capture_output=True, text=True)


def test_net(host: Host, tmp_path: Path) -> None:
    """Tables, a document, and two drawings."""
    host.declare(RUNC0)
    host.add("web", STOP + WAITS + ON_RUNC0 + 'rate = "8mbit"\n')
    host.add("db", STOP + WAITS + ON_RUNC0 + 'address = "192.168.10.101"\n')
    host.run()
    for name in ("web", "db"):
        host.wait_for("started", name)
    assert crechectl(host, "stop", "--wait", "db").returncode == 0
    found = json.loads(crechectl(host, "net", "--json").stdout)
    while len(found["interfaces"]) > 1:  # it goes soon after the workload has come to rest
        found = json.loads(crechectl(host, "net", "--json").stdout)
    assert found["networks"][0]["users"] == ["web"]
    assert found["interfaces"][0]["rate"] == 8_000_000
    assert found["interfaces"][0]["link"] in host.links()
    assert found["interfaces"][0]["mac"] in host.inside("web", "ip", "link", "show", "eth0")
    lines = crechectl(host, "net").stdout.splitlines()
    assert lines[1].split() == ["runc", "runc0", "192.168.10.0/24", "192.168.10.1", "web"]
    assert "db        runc     192.168.10.101  fixed, held" in lines
    drawn = crechectl(host, "net", "--draw")
    assert "192.168.10.2/24, at most 8mbit" in drawn.stdout
    assert "└── " in drawn.stdout
    for path in (tmp_path / "net.svg", Path("-")):
        done = crechectl(host, "net", "--svg", str(path))
        assert (done.returncode, done.stderr) == (0, "")
        text = done.stdout if path == Path("-") else path.read_text()
        assert "192.168.10.2/24" in text
        ElementTree.fromstring(text)
    bad = crechectl(host, "net", "--svg", str(tmp_path / "nowhere/net.svg"))
    assert (bad.returncode, "nowhere" in bad.stderr) == (2, True)
    assert crechectl(host, "net", "--json", "--draw").returncode == 2
    host.stop()


def test_networks_follow_a_reload(host: Host) -> None:
    """Added, changed at once, changed with a restart, kept in use, removed: as `plan` says."""
    host.declare(RUNC0)
    host.add("a", STOP + WAITS + ON_RUNC0)
    host.add("b", STOP + WAITS + ON_RUNC0)
    host.run()
    for name in ("a", "b"):
        host.wait_for("started", name)
    text = RUNC0 + 'isolate = true\n[networks.more]\nsubnet = "10.71.0.0/24"\n'
    host.declare(text)
    host.add("c", STOP + WAITS + '[network]\nname = "more"\n')
    planned = crechectl(host, "plan").stdout
    assert "runc     change it while it runs  networks.runc.isolate: false to true" in planned
    assert "more     add it" in planned
    assert host.find("network-declared") == []
    assert crechectl(host, "reload").returncode == 0
    host.wait_for("started", "c")
    assert host.addresses("c") == ["10.71.0.2/24"]
    host.wait_for("network-changed", "b")
    assert not _reaches(host, "a", host.addresses("b")[0])
    assert len(host.find("started")) == 3

    host.declare(text.replace("192.168.10", "192.168.11"))
    planned = json.loads(crechectl(host, "plan", "--json").stdout)
    assert planned["networks"][0]["restarts"] == ["a", "b"]
    host.signal(signal.SIGHUP)
    for name in ("a", "b"):
        host.wait_for("started", name, 2)
        stopping = host.find("stopping", name)[0]
        assert stopping["reason"] == "its network has changed"
    found = {host.addresses("a", 2)[0], host.addresses("b", 2)[0]}
    assert found == {"192.168.11.2/24", "192.168.11.3/24"}
    assert ping("192.168.11.2")
    assert "192.168.11.1/24" in ip("-o", "addr", "show", "runc0")
    assert "192.168.10.1" not in ip("-o", "addr", "show", "runc0")
    assert len(host.find("started", "c")) == 1

    host.declare("")
    refused = crechectl(host, "reload")
    assert refused.returncode == 1
    assert "keep it as it is  cannot be removed: a, b would be without" in refused.stdout
    assert ping("192.168.11.3")
    host.declare('[networks.runc]\nsubnet = "10.71.0.0/33"\n')
    bad = crechectl(host, "reload")
    assert (bad.returncode, "creched.toml:2: networks.runc.subnet" in bad.stderr) == (5, True)
    host.declare("[networks]\n")
    for name in ("a", "b", "c"):
        shutil.rmtree(host.workloads / name)
    assert crechectl(host, "reload").returncode == 0
    for name in ("a", "b", "c"):
        host.wait_for("workload-removed", name)
    assert [e["action"] for e in host.find("network-declared")[-2:]] == ["remove", "remove"]
    assert host.find("network-trouble") == []
    host.stop()


def test_networks_follow_creched_executed_anew(host: Host) -> None:
    """Also a creched that was killed: whatever was left follows what is declared now."""
    host.declare(RUNC0 + '[networks.keep]\nsubnet = "10.71.0.0/24"\n')
    host.add("a", STOP + WAITS + ON_RUNC0)
    host.add("b", STOP + WAITS + '[network]\nname = "keep"\n')
    host.run()
    for name in ("a", "b"):
        host.wait_for("started", name)
    host.declare(RUNC0.replace("192.168.10", "192.168.11"))
    assert crechectl(host, "reexec").returncode == 0
    host.wait_for("started", "a", 2)
    assert host.addresses("a", 2) == ["192.168.11.2/24"]
    assert host.wait_for("network-refused")[0]["network"] == "keep"
    assert ping("10.71.0.2")
    host.declare(RUNC0.replace("192.168.10", "192.168.12"))
    host.signal(signal.SIGKILL)
    host.finish()
    host.run()
    host.wait_for("started", "a", 3)
    assert host.addresses("a", 3) == ["192.168.12.2/24"]
    assert ping("10.71.0.2")
    assert len(host.find("started", "b")) == 1
    host.stop()


def _reaches(host: Host, name: str, address: str) -> bool:
    """Whether a workload gets an answer; it waits a second for one that is not to come."""
    argv = ["nsenter", f"--net={host.netns(name)}", "busybox", "ping", "-c", "1", "-W", "1"]
    done = subprocess.run([*argv, address.partition("/")[0]], capture_output=True)
    return done.returncode == 0


def test_killed_between_a_declaration_and_its_restarts(host: Host) -> None:
    """The next creched restarts who is attached otherwise than is declared."""
    host.declare(RUNC0)
    host.add("a", STOP + WAITS + ON_RUNC0)
    host.run()
    host.wait_for("started", "a")
    host.signal(signal.SIGKILL)
    host.finish()
    kept = host.root / ".creched/networks.json"
    kept.write_text(kept.read_text().replace("192.168.10", "192.168.11"))
    host.declare(RUNC0.replace("192.168.10", "192.168.11"))
    host.run()
    host.wait_for("started", "a", 2)
    assert ping("192.168.11.2")
    host.stop()
    assert not kept.exists()


def test_check(tmp_path: Path) -> None:
    """Networks that are not there, addresses that do not fit or are taken: with file and line."""
    host = Host(tmp_path)
    host.declare(RUNC0)
    host.add("a", WAITS + ON_RUNC0 + 'address = "192.168.10.7"\n')
    host.add("b", WAITS + ON_RUNC0 + 'address = "192.168.10.7"\n')
    host.add("c", WAITS + '[network]\nname = "runk"\n')
    host.add("d", WAITS + '[[network]]\nname = "runc"\n\naddress = "10.0.0.1"\n')
    host.add("e", WAITS + '[network]\nmode = "namespace"\nworkload = "aa"\n')
    host.add("f", WAITS + '[network]\nmode = "namespace"\nworkload = "a"\n')
    config = str(host.workloads.parent / "creched.toml")
    done = crechectl(host, "check", str(host.workloads), "--config", config)
    top = str(host.workloads)
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "a: ok",
        "f: ok",
        f"{top}/b/workload.toml:5: network.address: 192.168.10.7 is that of workload a",
        f"{top}/c/workload.toml:4: network.name: there is no network runk; did you mean 'runc'?",
        f"{top}/d/workload.toml:6: network[0].address: 10.0.0.1 is no address of a host in "
        "192.168.10.0/24, the subnet of network runc",
        f"{top}/e/workload.toml:5: network.workload: there is no workload aa that is in order; "
        "did you mean 'a'?",
    ]
    for name in "bcde":
        shutil.rmtree(host.workloads / name)
    assert crechectl(host, "check", top, "--config", config).returncode == 0
    host.declare("[networks.x]\n")
    done = crechectl(host, "check", top, "--config", config)
    assert (done.returncode, "networks.x.subnet: expected" in done.stdout) == (1, True)
    assert crechectl(host, "check", top, "--config", config + "x").returncode == 1
    # Without a creched.toml there is nothing to compare with.
    warned = crechectl(host, "check", top)
    assert warned.returncode == 0
    assert "a: warning: network runc was not looked for (--config)" in warned.stdout
