"""Networks as they are asked for: `crechectl net`, `plan`, `reload`, `check`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.integration.supervised import CHECKOUT
from tests.integration.test_networks import ON_RUNC0, RUNC0, STOP, WAITS, Host

pytestmark = pytest.mark.root


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """A creched; at its end nothing of a network is left."""
    made = Host(tmp_path)
    before = made.links()
    yield made
    made.clean()
    made.check_clean()
    assert made.links() == before


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
