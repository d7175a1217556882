"""Published ports, masquerade, and isolation between networks, by packets that arrive or do not.

"The host" is the network namespace of the test session; "outside" is one beyond a link of it.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.integration.networked import ENDS, NEVER, STOP, WAITS, Host
from tests.integration.test_networks import again
from tests.support.calling import IMPATIENCE, PATIENCE, call, server
from tests.support.network import ip

pytestmark = pytest.mark.root

OUTSIDE = "/run/netns/crt-out"
A = '[networks.a]\nsubnet = "10.61.0.0/24"\nsubnet6 = "fd61::/64"\n'
B = '[networks.b]\nsubnet = "10.62.0.0/24"\nsubnet6 = "fd62::/64"\n'
MASQUERADE = "masquerade = true\n"
PUBLISH = 'publish = ["8080:80/tcp", "8080:80/udp", "127.0.0.1:81:80", "[::1]:81:80"]\n'
ON_A, ON_B = '[network]\nname = "a"\n', '[network]\nname = "b"\n'
SYSCTLS = ("net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding")


def sysctl(name: str, value: str | None = None) -> str:
    """Of the host; set, too."""
    path = Path("/proc/sys") / name
    if value is not None:
        path.write_text(value)
    return path.read_text().strip()


def nft(*words: str) -> str:
    """As an administrator would call it."""
    done = subprocess.run(["nft", *words], check=False, capture_output=True, text=True)
    return done.stdout


def tables() -> list[str]:
    """Those of creched."""
    return [line for line in nft("list", "tables").splitlines() if "creche" in line]


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """A creched on a host with a link to the outside; at its end nothing is left."""
    made = Host(tmp_path)
    before = made.links()
    for name in SYSCTLS:
        sysctl(name, "0")
    ip("netns", "add", "crt-out")
    outside = ("netns", "exec", "crt-out", "ip")
    ip("link", "add", "crt-up", "type", "veth", "peer", "name", "crt-far", "netns", "crt-out")
    ip("link", "set", "crt-up", "up")
    ip("addr", "add", "10.60.0.1/24", "dev", "crt-up")
    ip("-6", "addr", "add", "fd60::1/64", "dev", "crt-up", "nodad")
    ip(*outside, "link", "set", "lo", "up")
    ip(*outside, "link", "set", "crt-far", "up")
    ip(*outside, "addr", "add", "10.60.0.2/24", "dev", "crt-far")
    ip(*outside, "-6", "addr", "add", "fd60::2/64", "dev", "crt-far", "nodad")
    # Somebody outside who would like to get past the published ports.
    ip(*outside, "route", "add", "10.61.0.0/24", "via", "10.60.0.1")
    ip(*outside, "-6", "route", "add", "fd61::/64", "via", "fd60::1")
    yield made
    made.clean()
    ip("link", "del", "crt-up")
    ip("netns", "del", "crt-out")
    for name in SYSCTLS:
        sysctl(name, "0")
    made.check_clean()
    assert made.links() == before
    assert tables() == []


@pytest.fixture(params=["0", "1"])
def bridged(request: pytest.FixtureRequest) -> Iterator[str]:
    """Whether what stays on a bridge is shown to nftables."""
    names = [f"net/bridge/bridge-nf-call-{each}" for each in ("iptables", "ip6tables")]
    before = [sysctl(name) for name in names]
    for name in names:
        sysctl(name, request.param)
    yield request.param
    for name, value in zip(names, before, strict=True):
        sysctl(name, value)


def change(path: Path, old: str, new: str) -> None:
    """In a workload.toml, at once."""
    text = (path / "workload.toml").read_text()
    assert old in text
    (path / "new").write_text(text.replace(old, new))
    (path / "new").chmod(0o644)
    (path / "new").rename(path / "workload.toml")


def test_from_outside_and_from_the_host(host: Host) -> None:
    """TCP and UDP, IPv4 and IPv6, and on the loopback; the server sees who it is."""
    host.declare(A)
    host.add("web", STOP + WAITS + ON_A + PUBLISH)
    host.run()
    host.wait_for("started", "web")
    told = host.find("network-forwarding")
    message = "net.ipv4.ip_forward = 1, net.ipv6.conf.crt-up.accept_ra = 2, "
    assert [each["message"] for each in told] == [f"{message}net.ipv6.conf.all.forwarding = 1"]
    assert sysctl("net/ipv6/conf/cr-a/accept_ra") == "0"  # CVE-2020-13401
    with server(host.netns("web"), 80):
        for kind in ("tcp", "udp"):
            assert call(OUTSIDE, "10.60.0.1", 8080, kind) == "hello 10.60.0.2"
            assert call(OUTSIDE, "fd60::1", 8080, kind) == "hello fd60::2"
            assert call(None, "10.60.0.1", 8080, kind) == "hello 10.60.0.1"
            assert call(None, "fd60::1", 8080, kind) == "hello fd60::1"
            assert call(None, "127.0.0.1", 8080, kind) == "hello 10.61.0.1"
            assert call(None, "::1", 8080, kind) == "hello fd61::1"
        assert call(None, "127.0.0.1", 81) == "hello 10.61.0.1"
        assert call(None, "::1", 81) == "hello fd61::1"
        # Not more than is declared.
        assert call(None, "127.0.0.2", 81) == "ConnectionRefusedError"
        assert call(OUTSIDE, "10.60.0.1", 81) == "ConnectionRefusedError"
        assert call(OUTSIDE, "fd60::1", 81) == "ConnectionRefusedError"
    assert call(None, "::1", 81) == "ConnectionResetError"  # nobody listens any more
    host.stop()


def test_a_workload_calls_published_ports(host: Host, bridged: str) -> None:
    """Its own and others', on the same network and from another, by any address of the host."""
    host.declare(A + MASQUERADE + B)
    publish = 'publish = ["{0}:80/tcp", "{0}:80/udp"]\n'
    host.add("one", STOP + WAITS + ON_A + publish.format(8081))
    host.add("two", STOP + WAITS + ON_A + publish.format(8082))
    host.add("far", STOP + WAITS + ON_B + publish.format(8083))
    host.run()
    mine = {name: host.addresses(name) for name in ("one", "two", "far")}
    plain = {name: [each.partition("/")[0] for each in found] for name, found in mine.items()}
    for name in plain:
        host.wait_for("started", name)
    with ExitStack() as stack:
        for name in plain:
            stack.enter_context(server(host.netns(name), 80, name))
        one = host.netns("one")
        for kind in ("tcp", "udp"):
            for host4, host6 in (("10.60.0.1", "fd60::1"), ("10.61.0.1", "fd61::1")):
                for name, port in (("one", 8081), ("two", 8082)):
                    # Itself, or a neighbour: the answer has to come by the host as well.
                    assert call(one, host4, port, kind) == f"{name} 10.61.0.1", (host4, kind)
                    assert call(one, host6, port, kind) == f"{name} fd61::1", (host6, kind)
                assert call(one, host4, 8083, kind) == f"far {plain['one'][0]}"
                assert call(one, host6, 8083, kind) == f"far {plain['one'][1]}"
        # Straight: on the same network only.
        assert call(one, plain["two"][0], 80) == f"two {plain['one'][0]}"
        for address in plain["far"]:
            assert call(one, address, 80, patience=IMPATIENCE) == "TimeoutError"
            assert call(None, address, 80) != "TimeoutError"
    host.stop()


def test_masquerade(host: Host) -> None:
    """What goes outside has the host's address; from outside there is no way but published ports.
    A network without it is routed as it is."""
    host.declare(A + MASQUERADE + B)
    host.add("a", STOP + WAITS + ON_A)
    host.add("b", STOP + WAITS + ON_B)
    host.run()
    inside = [each.partition("/")[0] for each in host.addresses("a")]
    for name in ("a", "b"):
        host.wait_for("started", name)
    ip("netns", "exec", "crt-out", "ip", "route", "add", "10.62.0.0/24", "via", "10.60.0.1")
    with server(OUTSIDE, 7000), server(host.netns("a"), 7000), server(host.netns("b"), 7000):
        for kind in ("tcp", "udp"):
            assert call(host.netns("a"), "10.60.0.2", 7000, kind) == "hello 10.60.0.1"
            assert call(host.netns("a"), "fd60::2", 7000, kind) == "hello fd60::1"
            assert call(host.netns("b"), "10.60.0.2", 7000, kind) == "hello 10.62.0.2"
            assert call(OUTSIDE, "10.62.0.2", 7000, kind) == "hello 10.60.0.2"
            for address in inside:
                assert call(OUTSIDE, address, 7000, kind, IMPATIENCE) == "TimeoutError"
                assert call(None, address, 7000, kind).startswith("hello")
    host.stop()


def test_isolate(host: Host, bridged: str) -> None:
    """Neither straight, nor by the gateway's hardware address, nor by a published port."""
    host.declare(A + "isolate = true\n" + MASQUERADE)
    for name, port in (("one", 8081), ("two", 8082)):
        host.add(name, STOP + WAITS + ON_A + f'publish = ["{port}:80"]\n')
    host.run()
    found = [each.partition("/")[0] for each in host.addresses("two")]
    for name in ("one", "two"):
        host.wait_for("started", name)
    with server(host.netns("two"), 80):
        assert call(host.netns("one"), "10.60.0.1", 8082, patience=IMPATIENCE) == "TimeoutError"
        for address in found:
            refused = call(host.netns("one"), address, 80, patience=IMPATIENCE)
            assert refused in ("TimeoutError", "OSError")  # the latter: it has no neighbour
            assert call(None, address, 80).startswith("hello")
        host.inside("one", "ip", "route", "add", found[0], "via", "10.61.0.1")
        assert call(host.netns("one"), found[0], 80, patience=IMPATIENCE) == "TimeoutError"
        assert call(OUTSIDE, "10.60.0.1", 8082) == "hello 10.60.0.2"
    host.stop()


def test_the_loopback_is_not_reached_from_a_workload(host: Host) -> None:
    """Though the bridge lets packets of 127.0.0.0/8 pass (CVE-2020-8558)."""
    host.declare(A)
    host.add("web", STOP + WAITS + ON_A + 'publish = ["127.0.0.1:8080:80"]\n')
    host.run()
    host.wait_for("started", "web")
    assert sysctl("net/ipv4/conf/cr-a/route_localnet") == "1"
    assert host.find("network-forwarding") == []  # nothing has to be
    # As root in there could do.
    web = host.netns("web")
    for words in (
        ("ip", "addr", "del", "127.0.0.1/8", "dev", "lo"),
        ("ip", "route", "add", "127.0.0.1/32", "via", "10.61.0.1"),
        ("sh", "-c", "echo 1 > /proc/sys/net/ipv4/conf/eth0/route_localnet"),
    ):
        host.inside("web", *words)
    with socket.create_server(("127.0.0.1", 7070)):
        assert call(web, "127.0.0.1", 7070, patience=IMPATIENCE) == "TimeoutError"
        assert call(None, "127.0.0.1", 7070, patience=IMPATIENCE) == "TimeoutError"  # no greeting
    host.stop()


def test_a_port_that_is_taken(host: Host) -> None:
    """By a program, or by another workload: said before the container starts, nothing is left.
    What is published is not to be had by programs of the host."""
    host.declare(A)
    with socket.create_server(("127.0.0.1", 8080)):
        host.add("web", STOP + WAITS + NEVER + ON_A + 'publish = ["9090:80", "8080:80"]\n')
        host.run()
        told = host.wait_for("gave-up", "web")[0]["reason"]
        assert "network.publish[1]: a program of the host uses 0.0.0.0:8080/tcp already" in told
        assert host.find("created") == []
    host.add("one", STOP + WAITS + ON_A + 'publish = ["9090:80", "9091:80/udp"]\n')
    host.wait_for("started", "one")
    for name, publish, reason in (
        ("two", "127.0.0.1:9090:80", "one publishes 127.0.0.1:9090/tcp already"),
        ("three", "10.99.0.1:80:80", "the host has no address 10.99.0.1"),
    ):
        host.add(name, STOP + WAITS + NEVER + ON_A + f'publish = ["{publish}"]\n')
        assert f"network.publish[0]: {reason}" in host.wait_for("gave-up", name)[0]["reason"]
        assert not os.path.exists(host.netns(name))
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as program:
            program.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with pytest.raises(OSError, match="in use"):
                program.bind(("10.60.0.1", 9090 if kind == socket.SOCK_STREAM else 9091))
    host.stop()
    with socket.create_server(("", 9090)):
        pass


def test_a_change_while_it_runs(host: Host) -> None:
    """At once, without a restart. One that is in somebody's way leaves all as it was, keeps
    nobody else from changing, and is made as soon as it can be."""
    host.declare(A)
    web = host.add("web", STOP + WAITS + ON_A + 'publish = ["8080:80"]\n')
    other = host.add("other", STOP + WAITS + ON_A)
    host.run()
    for name in ("web", "other"):
        host.wait_for("started", name)
    with server(host.netns("web"), 80, "web"), server(host.netns("other"), 80, "other"):
        change(web, "8080:80", "127.0.0.1:8080:80")  # narrower: it was in its own way
        host.wait_for("network-changed", "web")
        assert call(None, "127.0.0.1", 8080) == "web 10.61.0.1"
        assert call(OUTSIDE, "10.60.0.1", 8080) == "ConnectionRefusedError"
        with socket.create_server(("", 9090)):
            change(web, "127.0.0.1:8080:80", "9090:80")
            told = host.wait_for("network-trouble", "web")[0]["message"]
            assert "network.publish[0]: a program of the host uses 0.0.0.0:9090/tcp" in told
            assert call(None, "127.0.0.1", 8080) == "web 10.61.0.1"
            change(other, ON_A, ON_A + 'publish = ["9191:80"]\n')
            host.wait_for("network-changed", "other")
            assert call(OUTSIDE, "10.60.0.1", 9191) == "other 10.60.0.2"
        host.wait_for("network-changed", "web", 2)
        assert call(OUTSIDE, "10.60.0.1", 9090) == "web 10.60.0.2"
        assert call(None, "127.0.0.1", 8080) == "ConnectionRefusedError"
        # A port moves from one to the other, in whatever order they are looked at.
        change(web, "9090:80", "9292:80")
        change(other, "9191:80", "9090:80")
        host.wait_for("network-changed", "web", 3)
        host.wait_for("network-changed", "other", 2)
        assert call(OUTSIDE, "10.60.0.1", 9090) == "other 10.60.0.2"
        assert call(OUTSIDE, "10.60.0.1", 9292) == "web 10.60.0.2"
        # Also for who goes on sending.
        change(web, "9292:80", "9393:80/udp")
        host.wait_for("network-changed", "web", 4)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as caller:
            caller.settimeout(PATIENCE)
            caller.connect(("10.60.0.1", 9393))
            caller.send(b"?")
            assert caller.recv(100) == b"web 10.60.0.1"
            change(web, "9393:80/udp", "9494:80/udp")
            change(other, "9090:80", "9393:80/udp")
            host.wait_for("network-changed", "other", 3)
            caller.send(b"?")
            assert caller.recv(100) == b"other 10.60.0.1"
    assert len(host.find("started")) == 2
    assert len(host.find("network-trouble")) <= 3  # two that change places are not one change
    host.stop()


def test_the_table_deleted_by_hand(host: Host) -> None:
    """Or changed, or all rules flushed as /etc/nftables.conf does: it is back, and that is told."""
    host.declare(A + MASQUERADE)
    host.add("web", STOP + WAITS + ON_A + PUBLISH)
    host.run()
    host.wait_for("started", "web")
    name = tables()[0].split()[-1]
    assert 'comment "creche:' in nft("list", "table", "inet", name)
    whole = nft("-s", "list", "table", "inet", name)
    by_hand = [
        ("delete", "table", "inet", name),
        ("flush", "ruleset"),
        ("flush", "chain", "inet", name, "between"),
        ("add", "rule", "inet", name, "published", "drop"),
        ("delete", "element", "inet", name, "any4", "{ tcp . 8080 }"),
        ("add", "chain", "inet", name, "mine", "{ type filter hook input priority 0; }"),
    ]
    with server(host.netns("web"), 80):
        for count, words in enumerate(by_hand, 1):
            nft(*words)
            told = host.wait_for("network-restored", None, count)[-1]["message"]
            assert told == f"rules of nftables (table inet {name})"
            assert nft("-s", "list", "table", "inet", name) == whole, words
            assert call(OUTSIDE, "10.60.0.1", 8080) == "hello 10.60.0.2"
    host.stop()


def test_killed_and_started_again(host: Host) -> None:
    """What is published stays so without creched; what has gone meanwhile is gone afterwards."""
    host.declare(A)
    host.add("web", STOP + WAITS + ON_A + PUBLISH)
    gone = host.add("gone", ENDS + ON_A + 'publish = ["9090:80"]\n')
    host.run()
    for name in ("web", "gone"):
        host.wait_for("started", name)
    host.signal(signal.SIGKILL)
    host.finish()
    with server(host.netns("web"), 80):
        assert call(OUTSIDE, "10.60.0.1", 8080) == "hello 10.60.0.2"
        gone.rename(gone.with_name(".gone"))
        nft("delete", "table", "inet", tables()[0].split()[-1])
        with socket.create_server(("", 8080)):  # takes what nobody holds
            again(host).run()
            host.wait_for("adopted", "web")
            told = host.wait_for("network-trouble", "web")[0]["message"]
            assert "uses 0.0.0.0:8080/tcp already" in told
            # It was the workload's, and stays so; only later starts are refused.
            assert call(OUTSIDE, "10.60.0.1", 8080) == "hello 10.60.0.2"
        host.wait_for("workload-removed", "gone")
        assert call(None, "::1", 81) == "hello fd61::1"
    host.stop()
    host.events.clear()
    assert tables() == []


def test_without_the_library(host: Host, tmp_path: Path) -> None:
    """A clear error at the start of a workload that needs it, and of no other."""
    (tmp_path / "libnftables.so.1").write_text("no library")
    os.environ["LD_LIBRARY_PATH"] = str(tmp_path)
    try:
        host.declare(A)
        host.add("plain", STOP + WAITS + ON_A)
        host.add("web", STOP + WAITS + NEVER + ON_A + 'publish = ["8080:80"]\n')
        host.run()
    finally:
        del os.environ["LD_LIBRARY_PATH"]
    told = host.wait_for("gave-up", "web")[0]["reason"]
    assert "libnftables.so.1 cannot be loaded" in told
    assert "install the package libnftables1" in told
    host.wait_for("started", "plain")
    assert host.find("created", "web") == []
    host.stop()
