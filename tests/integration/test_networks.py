"""creched's networks: four declared lines, and what the kernel then has.

"The host" is the network namespace of the test session (tests/support/isolation.py).
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from tests.integration.networked import ENDS, NEVER, ON_RUNC0, RUNC0, STOP, WAITS, Host
from tests.support.bundle import Bundle
from tests.support.network import ip, ping

pytestmark = pytest.mark.root


def test_the_walk_through(host: Host) -> None:
    """The guide's twelve commands in four lines: the host pings it, and memcached answers."""
    host.declare(RUNC0)
    host.add(
        "memcached",
        STOP + "[container]\nargs = ['memcached', '-vv', '-l', '192.168.10.101']\n"
        "user = '65534:65534'\n"
        '[network]\nname = "runc"\naddress = "192.168.10.101"\n',
    )
    host.run()
    assert host.addresses("memcached") == ["192.168.10.101/24"]
    host.wait_for("started", "memcached")
    assert ping("192.168.10.101")
    host.pump(lambda: b"server listening" in host.output)
    with socket.create_connection(("192.168.10.101", 11211), 10) as memcached:
        memcached.sendall(b"version\r\n")
        assert memcached.recv(100).startswith(b"VERSION")
    link = ip("link", "show", "runc0")
    assert "alias creche:" in link
    host.stop()


def test_two_bridges_and_both_families(host: Host) -> None:
    """Containers reach each other, by IPv4 and IPv6; one of them is on two bridges."""
    host.declare(
        '[networks.a]\nsubnet = "10.71.0.0/24"\nsubnet6 = "fd71::/64"\n'
        '[networks.b]\nsubnet = "10.72.0.0/24"\nmtu = 1400\n'
    )
    host.add("one", STOP + WAITS + '[network]\nname = "a"\n')
    host.add(
        "two",
        STOP + WAITS + '[[network]]\nname = "a"\naddress6 = "fd71::99"\n'
        '[[network]]\nname = "b"\ninterface = "eth1"\nmac = "02:00:00:00:00:77"\n'
        'routes = ["10.99.0.0/16 via 10.72.0.1"]\n'
        'sysctls = { "net.ipv4.ip_default_ttl" = 77 }\n',
    )
    host.run()
    first, second = host.addresses("one"), host.addresses("two")
    assert sorted([first[0], second[0]]) == ["10.71.0.2/24", "10.71.0.3/24"]
    assert second[1:] == ["fd71::99/64", "10.72.0.2/24"]
    for name in ("one", "two"):
        host.wait_for("started", name)
    host.inside("one", "busybox", "ping", "-c", "1", second[0].partition("/")[0])
    host.inside("one", "busybox", "ping", "-6", "-c", "1", "fd71::99")
    assert ping("10.72.0.2")
    routes = host.inside("two", "ip", "route")
    assert "default via 10.71.0.1 dev eth0" in routes
    assert "10.99.0.0/16 via 10.72.0.1 dev eth1" in routes
    link = host.inside("two", "ip", "link", "show", "eth1")
    assert "mtu 1400" in link
    assert "02:00:00:00:00:77" in link
    assert "mtu 1400" in ip("link", "show", "cr-b")
    assert host.inside("two", "cat", "/proc/sys/net/ipv4/ip_default_ttl") == "77\n"
    host.stop()


def test_a_restart_keeps_the_namespace(host: Host) -> None:
    """Of the container, by hand and by its end; a network that has changed makes another one."""
    host.declare(RUNC0)
    path = host.add("a", STOP + WAITS + ON_RUNC0 + "[restart]\ndelay = 0\n")
    host.run()
    host.wait_for("started", "a")
    inode = os.stat(host.netns("a")).st_ino
    pid = host.find("started", "a")[-1]["pid"]
    assert os.stat(f"/proc/{pid}/ns/net").st_ino == inode
    os.kill(pid, signal.SIGKILL)
    host.wait_for("started", "a", 2)
    pid = host.find("started", "a")[-1]["pid"]
    assert os.stat(f"/proc/{pid}/ns/net").st_ino == inode
    text = (path / "workload.toml").read_text()
    (path / "workload.toml").write_text(text.replace(ON_RUNC0, ON_RUNC0 + "mtu = 1300\n"))
    host.wait_for("started", "a", 3)
    pid = host.find("started", "a")[-1]["pid"]
    found = os.stat(f"/proc/{pid}/ns/net").st_ino
    assert found == os.stat(host.netns("a")).st_ino
    assert "mtu 1300" in host.inside("a", "ip", "link", "show", "eth0")
    assert host.addresses("a", 2) == ["192.168.10.2/24"]
    host.stop()


def test_leases_last(host: Host) -> None:
    """Over creched's end, and whoever is started first."""
    host.declare(RUNC0)
    paths = {name: host.add(name, STOP + WAITS + ON_RUNC0) for name in ("c", "b", "a")}
    host.run()
    first = {name: host.addresses(name) for name in paths}
    macs = {name: _mac(host, name) for name in paths}
    host.stop()
    for name in ("a", "b"):
        paths[name].rename(paths[name].with_name(f".{name}"))
    host.run()
    assert host.addresses("c", 2) == first["c"]
    for name in ("b", "a"):
        paths[name].with_name(f".{name}").rename(paths[name])
        assert host.addresses(name, 2)
    assert {n: _mac(host, n) for n in paths} == macs
    host.stop()
    paths["a"].rename(paths["a"].with_name(".a"))
    host.run()
    host.addresses("c", 3)
    host.addresses("b", 3)
    assert sorted(path.name for path in (host.state / "leases").iterdir()) == ["b.json", "c.json"]
    host.stop()


def test_the_same_addresses_over_a_hundred_restarts(host: Host) -> None:
    """Of two that end at once, again and again: each sees the same ones in every run."""
    host.declare(RUNC0 + 'subnet6 = "fd00:10::/64"\n')
    look = (
        "[container]\nargs = ['busybox', 'ip', '-o', 'addr', 'show', 'eth0', 'scope', 'global']\n"
    )
    always = "[restart]\npolicy = 'always'\ndelay = 0\n[logs]\nto = 'file'\n"
    for name in ("a", "b"):
        host.add(name, STOP + look + ON_RUNC0 + always)
    host.run()
    seen = {}
    for name in ("a", "b"):
        ends = host.wait_for("exited", name, 101)
        words = [" ".join(end["output"]).split() for end in ends]
        seen[name] = {tuple(word for word in line if "/" in word) for line in words}
    host.stop()
    assert seen["a"] != seen["b"]
    assert {each for found in seen.values() for each in found} == {
        ("192.168.10.2/24", "fd00:10::2/64"),
        ("192.168.10.3/24", "fd00:10::3/64"),
    }


def _mac(host: Host, name: str) -> str:
    """By the kernel's word: /sys would be that of the namespace it was mounted in."""
    return host.inside(name, "ip", "-o", "link", "show", "eth0").partition("link/ether")[2]


def test_a_shared_namespace(host: Host) -> None:
    """A pod: it is there before either runs, and as long as one of them does."""
    host.declare(RUNC0)
    host.add("a", STOP + WAITS + '[network]\nmode = "namespace"\nworkload = "b"\n')
    host.add("b", STOP + WAITS + ON_RUNC0 + "[workload]\nstart = 'manual'\n")
    host.add("c", STOP + WAITS + '[network]\nmode = "namespace"\nworkload = "nobody"\n' + NEVER)
    host.run()
    pid = host.wait_for("started", "a")[0]["pid"]
    assert host.find("started", "b") == []
    assert os.stat(f"/proc/{pid}/ns/net").st_ino == os.stat(host.netns("b")).st_ino
    assert ping("192.168.10.2")
    told = host.wait_for("gave-up", "c")[0]["reason"]
    assert "network.workload: there is no workload nobody" in told
    host.stop()


def test_what_is_in_the_way_is_said_and_stays(host: Host) -> None:
    """Before the container starts; nothing half-made is left, and nothing else is touched."""
    host.declare(RUNC0 + '[networks.used]\nsubnet = "10.73.0.0/24"\n')
    ip("link", "add", "runc0", "type", "bridge")
    ip("link", "add", "other", "type", "bridge")
    ip("addr", "add", "10.73.0.9/24", "dev", "other")
    before = ip("-d", "addr")
    attachments = {
        "bridge": ON_RUNC0,
        "subnet": '[network]\nname = "used"\n',
        "unknown": '[network]\nname = "nowhere"\n',
        "fixed": '[network]\nname = "used"\naddress = "10.74.0.1"\n',
        "parent": '[network]\nmode = "macvlan"\nparent = "nope"\naddress = "10.75.0.2/24"\n',
        "sysctl": '[network]\nmode = "none"\nsysctls = { "net.ipv4.nothing" = 1 }\n',
    }
    for name, text in attachments.items():
        host.add(name, STOP + WAITS + NEVER + text)
    host.run()
    told = {name: host.wait_for("gave-up", name)[0]["reason"] for name in attachments}
    assert (
        "make bridge runc0 (networks.runc.bridge): a link of that name is there" in told["bridge"]
    )
    assert "10.73.0.9/24 is an address of other already" in told["subnet"]
    assert "network.name: there is no network nowhere" in told["unknown"]
    assert "known: runc, used" in told["unknown"]
    assert "network.address: 10.74.0.1 is no address of a host in 10.73.0.0/24" in told["fixed"]
    assert "(network.parent): there is no link nope on the host" in told["parent"]
    assert "set net.ipv4.nothing to 1 (network.sysctls): No such file" in told["sysctl"]
    assert all(host.find("created", name) == [] for name in attachments)
    assert os.listdir(f"{host.root}/.creched/namespaces") == []
    assert ip("-d", "addr") == before
    host.stop()
    ip("link", "del", "runc0")
    ip("link", "del", "other")


def test_what_is_taken_apart_by_hand_is_mended(host: Host) -> None:
    """The bridge deleted, a port unplugged, a pair deleted, an address taken away."""
    host.declare(RUNC0)
    host.add("a", STOP + WAITS + ON_RUNC0)
    host.add("b", STOP + WAITS + ON_RUNC0)
    host.run()
    address = host.addresses("a")[0].partition("/")[0]
    host.wait_for("started", "a")
    host.wait_for("started", "b")
    port = next(name for name in sorted(host.links()) if name.startswith("crv"))
    by_hand = [
        ("link", "del", "runc0"),
        ("link", "set", port, "nomaster"),
        ("link", "del", port),
        ("addr", "del", "192.168.10.1/24", "dev", "runc0"),
        ("link", "set", "runc0", "down"),
    ]
    for count, words in enumerate(by_hand, 1):
        ip(*words)
        host.wait_for("network-restored", None, count)
        assert ping(address), words
    assert len(host.find("started")) == 2
    host.stop()


def test_creched_killed_and_started_again(host: Host) -> None:
    """Its networks live on; those of workloads that have vanished meanwhile are removed."""
    host.declare(RUNC0)
    host.add("a", STOP + WAITS + ON_RUNC0)
    gone = host.add("gone", ENDS + ON_RUNC0)
    host.run()
    for name in ("a", "gone"):
        host.wait_for("started", name)
    inode = os.stat(host.netns("a")).st_ino
    host.signal(signal.SIGKILL)
    host.finish()
    gone.rename(gone.with_name(".gone"))
    ip("link", "del", "runc0")
    host.run()
    host.wait_for("adopted", "a")
    host.wait_for("workload-removed", "gone")
    assert os.stat(host.netns("a")).st_ino == inode
    assert ping(host.addresses("a")[0].partition("/")[0])
    host.stop()
    kept = sorted(path.name for path in (host.state / "leases").iterdir())
    assert kept == ["a.json"]


def test_macvlan(host: Host) -> None:
    """An address beside the host's own, on a link of the host."""
    ip("link", "add", "crt-lan0", "type", "veth", "peer", "name", "crt-lan1")
    for link in ("crt-lan0", "crt-lan1"):
        ip("link", "set", link, "up")
    ip("addr", "add", "10.76.0.1/24", "dev", "crt-lan1")
    host.declare("")
    host.add(
        "a",
        STOP + WAITS + '[network]\nmode = "macvlan"\nparent = "crt-lan0"\n'
        'address = "10.76.0.7/24"\nroutes = ["default via 10.76.0.1"]\n',
    )
    host.run()
    host.wait_for("started", "a")
    assert ping("10.76.0.7")
    assert "default via 10.76.0.1" in host.inside("a", "ip", "route")
    host.stop()
    ip("link", "del", "crt-lan0")


def test_a_rate_holds_both_ways_and_changes_at_once(host: Host) -> None:
    """What goes through is counted against a clock, and never compared with the machine's speed."""
    host.declare(RUNC0)
    path = host.add("a", STOP + WAITS + ON_RUNC0 + 'rate = "8mbit"\n')
    host.run()
    address = host.addresses("a")[0].partition("/")[0]
    host.wait_for("started", "a")
    for where in ("to", "from"):
        rate = _measured(host, address, where)
        print(f"{where} it, limited to 8 Mbit/s: {rate / 1e6:.2f} Mbit/s")
        assert rate < 10e6  # it cannot be more, however fast or slow the machine
    (path / "new").write_text((path / "workload.toml").read_text().replace("8mbit", "80mbit"))
    (path / "new").chmod(0o644)
    (path / "new").rename(path / "workload.toml")
    changed = host.wait_for("workload-changed", "a")[0]
    assert (changed["keys"], changed["action"]) == (["network.rate"], "apply")
    port = next(name for name in host.links() if name.startswith("crv"))
    host.wait_for("network-changed", "a")
    assert "rate 80Mbit" in ip_tc(port)
    assert len(host.find("started", "a")) == 1
    host.stop()


def ip_tc(link: str) -> str:
    """The queueing discipline of a link of the host."""
    return subprocess.run(
        ["tc", "qdisc", "show", "dev", link], check=True, capture_output=True, text=True
    ).stdout


def _measured(host: Host, address: str, where: str) -> float:
    """Bits per second of a transfer of 600 kB to a workload's namespace, or from it."""
    script = (
        "import socket, sys\n"
        "s = socket.create_server((sys.argv[1], 7000)); print('here', flush=True)\n"
        "c = s.accept()[0]\n"
        "if sys.argv[2] == 'from': c.sendall(bytes(600_000)); c.shutdown(1)\n"
        "while c.recv(1 << 16): pass\n"
    )
    argv = ["nsenter", f"--net={host.netns('a')}", sys.executable, "-c", script, address, where]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        server.stdout.readline()
        with socket.create_connection((address, 7000)) as made:
            began = time.monotonic()
            if where == "to":
                made.sendall(bytes(600_000))
                made.shutdown(socket.SHUT_WR)
            while made.recv(1 << 16):
                pass
            return 600_000 * 8 / (time.monotonic() - began)


def test_other_modes(host: Host, bundle: Callable[..., Bundle]) -> None:
    """The host's network, one by its path, none; and a bundle whose config.json names another."""
    host.declare(RUNC0)
    host.add("host", STOP + WAITS + '[network]\nmode = "host"\n')
    host.add("none", STOP + WAITS + '[network]\nmode = "none"\n')
    path = f"/proc/{os.getpid()}/ns/net"
    host.add("path", STOP + WAITS + f'[network]\nmode = "namespace"\npath = "{path}"\n')
    made = bundle(sh="exec sleep 100000")
    made.path.rename(host.workloads / "bundle")
    (host.workloads / "bundle/workload.toml").write_text(STOP + ON_RUNC0)
    for each in (host.workloads / "bundle").iterdir():
        each.chmod(0o755 if each.is_dir() else 0o644)
    (host.workloads / "bundle").chmod(0o755)
    host.run()
    pids = {
        name: host.wait_for("started", name)[0]["pid"]
        for name in ("host", "none", "path", "bundle")
    }
    found = {name: os.readlink(f"/proc/{pid}/ns/net") for name, pid in pids.items()}
    own = os.readlink("/proc/self/ns/net")
    assert (found["host"], found["path"]) == (own, own)
    assert len({found["none"], found["bundle"], own}) == 3
    assert host.inside("none", "ip", "-br", "link").split()[0] == "lo"
    assert ping(host.addresses("bundle")[0].partition("/")[0])
    host.stop()


def test_who_spoils_his_own_network(host: Host) -> None:
    """It is whole again at the next start, and creched is not kept busy by it."""
    host.declare(RUNC0)
    host.add("a", STOP + WAITS + ON_RUNC0 + "[restart]\ndelay = 0\n")
    host.run()
    pid = host.wait_for("started", "a")[0]["pid"]
    host.inside("a", "ip", "link", "set", "eth0", "down")
    host.inside("a", "ip", "link", "set", "eth0", "name", "mine")
    os.kill(pid, signal.SIGKILL)
    host.wait_for("started", "a", 2)
    assert ping("192.168.10.2")
    host.inside("a", "ip", "addr", "flush", "dev", "eth0")
    os.kill(host.find("started", "a")[-1]["pid"], signal.SIGKILL)
    host.wait_for("started", "a", 3)
    assert ping("192.168.10.2")
    host.inside("a", "ip", "link", "del", "eth0")
    host.wait_for("network-restored")
    assert ping("192.168.10.2")
    host.stop()


def test_a_network_that_is_declared_no_more(host: Host) -> None:
    """Who runs on it keeps it, over creched's being executed anew and killed; that is reported."""
    host.declare(RUNC0)
    host.add("a", STOP + WAITS + ON_RUNC0)
    host.run()
    host.wait_for("started", "a")
    host.signal(signal.SIGUSR2)
    host.wait_for("adopted", "a")
    assert ping("192.168.10.2")
    host.signal(signal.SIGKILL)
    host.finish()
    host.declare("")
    host.run()
    host.wait_for("adopted", "a", 2)
    told = host.wait_for("network-refused")[0]
    assert (told["network"], "a would be without" in told["message"]) == ("runc", True)
    assert ping("192.168.10.2")
    host.stop()


def test_a_workload_whose_file_cannot_be_read_any_more(host: Host) -> None:
    """It keeps its network, like its container."""
    host.declare(RUNC0)
    path = host.add("a", STOP + WAITS + ON_RUNC0)
    host.run()
    host.wait_for("started", "a")
    host.signal(signal.SIGKILL)
    host.finish()
    (path / "workload.toml").write_text("x = 1\n")
    host.run()
    host.wait_for("adopted", "a")
    assert ping("192.168.10.2")
    host.stop()


def test_killed_while_many_are_made(host: Host) -> None:
    """Again and again; in the end all are there, each with an address of its own."""
    host.declare(RUNC0)
    names = [f"w{number}" for number in range(10)]
    for name in names:
        host.add(name, STOP + WAITS + ON_RUNC0)
    for alive in (1, 6, 10):
        host = again(host).run()
        host.pump(lambda: len(host.find("started")) + len(host.find("adopted")) >= alive)  # noqa: B023
        if alive < len(names):
            host.signal(signal.SIGKILL)
            host.finish()
    found = {host.inside(name, "ip", "-br", "-4", "addr", "show", "eth0") for name in names}
    assert len(found) == len(names)
    assert host.find("network-trouble") == []
    host.stop()
    host.events.clear()  # a killed creched has written some of the numbers to nobody


def again(host: Host) -> Host:
    """The same, without the events of those before."""
    host.events.clear()
    for events in host._index.values():
        events.clear()
    return host


def test_two_hundred_workloads_up_and_down(host: Host) -> None:
    """Nothing is left of any; what each costs is printed, and does not grow."""
    host.declare('[networks.many]\nsubnet = "10.77.0.0/16"\nsubnet6 = "fd77::/64"\n')
    paths = [host.add(f"w{n}", STOP + WAITS + '[network]\nname = "many"\n') for n in range(200)]
    began = time.monotonic()
    host.run()
    host.wait_for("network-attached", None, 200)
    attached = host.find("network-attached")
    assert len({tuple(event["addresses"]) for event in attached}) == 200
    host.wait_for("started", None, 200)
    print(f"200 started {time.monotonic() - began:.1f} s after creched")
    assert ping(attached[-1]["addresses"][0].partition("/")[0])
    for path in paths:
        path.rename(path.with_name(f".{path.name}"))
    host.wait_for("workload-removed", None, 200)
    host.stop()
    assert list((host.state / "leases").iterdir()) == []
    assert host.find("network-restored") == []
    assert host.find("network-trouble") == []
