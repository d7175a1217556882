"""Workloads find each other by name, and nobody else finds them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Callable
from itertools import pairwise

import pytest

from tests.integration.networked import ENDS, NEVER, STOP, WAITS, Host
from tests.support.bundle import Bundle
from tests.support.network import ip
from tests.support.waiting import wait_for

pytestmark = pytest.mark.root

TWO = (
    '[networks.a]\nsubnet = "10.81.0.0/24"\nsubnet6 = "fd81::/64"\ndns = true\n'
    '[networks.b]\nsubnet = "10.82.0.0/24"\ndns = true\n'
)
ON_A, ON_B = '[network]\nname = "a"\n', '[network]\nname = "b"\n'
ON_BOTH = '[[network]]\nname = "a"\n[[network]]\nname = "b"\ninterface = "eth1"\n'


def entered(host: Host, name: str, *words: str) -> subprocess.CompletedProcess[str]:
    """A program of busybox in a workload's container, with its files and its network."""
    pid = host.find("started", name)[-1]["pid"]
    argv = ["nsenter", f"--target={pid}", "--net", "--mount", "--uts", "--", "/bin/busybox", *words]
    return subprocess.run(argv, check=False, capture_output=True, text=True)


def found(host: Host, asker: str, name: str) -> set[str]:
    """The addresses by which the responder tells a workload of another, or of an address's name."""
    said = entered(host, asker, "nslookup", name).stdout.partition("\n\n")[2]
    words = said.replace("\t", " ").split()
    return {after for word, after in pairwise(words) if word == "Address:"}


def file(host: Host, name: str, path: str) -> list[list[str]]:
    """The words of each line of a file in a container."""
    return [line.split() for line in entered(host, name, "cat", path).stdout.splitlines()]


def started(host: Host, *names: str) -> None:
    """Have these running."""
    for name in names:
        host.wait_for("started", name)


def test_workloads_find_each_other(host: Host) -> None:
    """Those on its own networks, in both families, by both names; others do not exist for it."""
    host.declare(TWO)
    host.add("one", STOP + WAITS + "hostname = 'first'\n" + ON_A)
    host.add("two", STOP + WAITS + ON_A)
    host.add("both", STOP + WAITS + ON_BOTH)
    host.add("other", STOP + WAITS + ON_B)
    host.run()
    started(host, "one", "two", "both", "other")
    own = {name: {a.partition("/")[0] for a in host.addresses(name)} for name in ("two", "both")}
    other = {a.partition("/")[0] for a in host.addresses("other")}
    assert found(host, "one", "two") == found(host, "one", "two.a.internal") == own["two"]
    assert found(host, "both", "other") == found(host, "both", "OTHER.b.internal") == other
    assert found(host, "one", "both") == {a for a in own["both"] if not a.startswith("10.82")}
    for name in ("other", "other.b.internal", "nobody", "example.com"):
        assert found(host, "one", name) == set()
    back = entered(host, "both", "nslookup", next(iter(other))).stdout
    assert "name = other.b.internal" in back
    assert entered(host, "one", "ping", "-c", "1", "two").returncode == 0
    assert entered(host, "one", "ping", "-c", "1", "first").returncode == 0
    assert entered(host, "one", "ping", "-c", "1", "other").returncode != 0
    resolver = file(host, "both", "/etc/resolv.conf")
    assert resolver == [
        ["nameserver", "10.81.0.1"], ["nameserver", "fd81::1"], ["nameserver", "10.82.0.1"],
        ["search", "a.internal", "b.internal"],
    ]  # fmt: skip
    assert entered(host, "one", "sh", "-c", "echo x >> /etc/hosts").returncode != 0
    host.stop()


def test_files_are_kept_current(host: Host) -> None:
    """In containers that run: who comes, who goes, and while creched is not there."""
    host.declare(TWO)
    host.add("one", STOP + WAITS + ON_A)
    host.run()
    started(host, "one")
    assert [line[1] for line in file(host, "one", "/etc/hosts")] == ["localhost"] * 2 + ["one"] * 2
    path = host.add("two", ENDS + ON_A)
    started(host, "two")
    both = ["localhost"] * 2 + ["one"] * 2 + ["two"] * 2
    assert [line[1] for line in file(host, "one", "/etc/hosts")] == both
    host.signal(signal.SIGKILL)
    host.finish()
    assert [line[1] for line in file(host, "one", "/etc/hosts")] == both
    assert entered(host, "one", "ping", "-c", "1", "two").returncode == 0
    path.rename(path.with_name(".two"))
    host.run()
    host.wait_for("adopted", "one")
    host.wait_for("workload-removed", "two")
    hosts = host.root / ".creched/names/one/hosts"
    wait_for(lambda: len(file(host, "one", "/etc/hosts")) == 4, hosts)
    assert found(host, "one", "two") == set()
    assert found(host, "one", "one") == {"10.81.0.2", "fd81::2"}
    host.stop()


def test_answers_on_a_bridge_that_was_made_anew(host: Host) -> None:
    """Somebody has deleted it; and creched is executed anew."""
    host.declare(TWO)
    host.add("one", STOP + WAITS + ON_A)
    host.run()
    started(host, "one")
    ip("link", "del", "cr-a")
    host.wait_for("network-restored")
    assert found(host, "one", "one") == {"10.81.0.2", "fd81::2"}
    host.signal(signal.SIGUSR2)
    host.wait_for("adopted", "one")
    host.add("two", STOP + WAITS + ON_A)
    started(host, "two")
    assert found(host, "one", "two") == {"10.81.0.3", "fd81::3"}
    host.stop()


def test_another_resolver_is_in_the_way(host: Host) -> None:
    """That is said before anything of the workload's is there, and nothing is left."""
    host.declare(TWO)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("0.0.0.0", 53))
        host.add("one", STOP + WAITS + NEVER + ON_A)
        host.run()
        told = host.wait_for("gave-up", "one")[0]["reason"]
    assert "answer for names on 10.81.0.1, UDP port 53 (networks.a.dns): Address already" in told
    assert "another resolver listens on every address" in told
    assert host.find("created", "one") == []
    assert os.listdir(f"{host.root}/.creched/namespaces") == []
    host.add("two", STOP + WAITS + ON_A)
    started(host, "two")
    host.stop()


def test_a_network_with_names_gets_another_subnet(host: Host) -> None:
    """Who is on it is restarted; nothing is amiss meanwhile, and names are told by the new one."""
    host.declare(TWO)
    for name in ("one", "two"):
        host.add(name, STOP + WAITS + ON_A)
    host.run()
    started(host, "one", "two")
    host.declare(TWO.replace("10.81.", "10.83.").replace("fd81", "fd83"))
    host.signal(signal.SIGHUP)
    for name in ("one", "two"):
        host.wait_for("started", name, 2)
    known = {line[1]: line[0] for line in file(host, "one", "/etc/hosts") if "." in line[0]}
    assert found(host, "one", "two") >= {known["two"]}
    assert known["two"].startswith("10.83.0.")
    assert ["nameserver", "10.83.0.1"] in file(host, "one", "/etc/resolv.conf")
    assert host.find("network-trouble") == []
    host.stop()


def test_roots_of_all_kinds(host: Host, bundle: Callable[..., Bundle]) -> None:
    """With no /etc, and read-only; with a link in the place of one; and with a file of its own."""
    host.declare(TWO)
    linked = bundle(sh="exec sleep 100000")
    (linked.rootfs / "etc").mkdir(exist_ok=True)
    (linked.rootfs / "etc/resolv.conf").unlink(missing_ok=True)
    (linked.rootfs / "etc/resolv.conf").symlink_to("../run/resolve/stub.conf")
    own = bundle({"root": {"path": "rootfs", "readonly": True}}, sh="exec sleep 100000")
    mine = host.workloads.parent / "mine"
    mine.write_text("10.0.0.9 mine\n")
    mounts = own.config["mounts"]
    mounts.append(
        {"destination": "/etc/hosts", "type": "bind", "source": str(mine), "options": ["bind"]}
    )
    own.write()
    for name, made in {"linked": linked, "own": own}.items():
        made.path.rename(host.workloads / name)
        (host.workloads / name / "workload.toml").write_text(STOP + ON_A)
        for each in (host.workloads / name).iterdir():
            each.chmod(0o755 if each.is_dir() else 0o644)
        (host.workloads / name).chmod(0o755)
    host.run()
    started(host, "linked", "own")
    assert file(host, "linked", "/etc/resolv.conf")[0] == ["nameserver", "10.81.0.1"]
    assert file(host, "own", "/etc/resolv.conf")[0] == ["nameserver", "10.81.0.1"]
    assert file(host, "own", "/etc/hosts") == [["10.0.0.9", "mine"]]
    assert entered(host, "linked", "ping", "-c", "1", "own").returncode == 0
    host.stop()


def test_who_shares_a_namespace_is_told_what_its_owner_is(host: Host) -> None:
    host.declare(TWO)
    host.add("one", STOP + WAITS + ON_A)
    path = host.add("inner", STOP + WAITS + '[network]\nmode = "namespace"\nworkload = "one"\n')
    host.run()
    started(host, "one", "inner")
    assert found(host, "inner", "one") == {"10.81.0.2", "fd81::2"}
    assert file(host, "inner", "/etc/hosts") == file(host, "one", "/etc/hosts")
    path.rename(path.with_name(".inner"))
    host.wait_for("workload-removed", "inner")
    host.stop()
