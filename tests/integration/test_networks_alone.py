"""Networks without creched: `creche net` for a bundle, and the hook, with creche and with runC."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from supervisor.network.alone.annotation import attachments
from supervisor.network.alone.store import Alone
from supervisor.settings import parse
from tests.integration.networked import ON_RUNC0, RUNC0, STOP, WAITS, Host
from tests.integration.test_networks_walk import play
from tests.support.bundle import Bundle
from tests.support.mountinfo import mounts
from tests.support.network import ip, ping
from tests.support.repository import REPOSITORY
from tests.support.runtimes import Runtime
from tests.support.waiting import wait_exit

pytestmark = pytest.mark.root

KEY = "org.creche.network"
PROGRAM = [sys.executable, "-m", "supervisor.network.alone.program"]
Bundles = Callable[..., Bundle]


class Program:
    """creche-network with a root and a creched.toml of its own."""

    def __init__(self, base: Path) -> None:
        self.root = base / "alone"
        self.config = base / "creched.toml"
        self.declare(RUNC0)
        base.chmod(0o755)

    def declare(self, text: str) -> None:
        """Its creched.toml."""
        self.config.write_text(text)
        self.config.chmod(0o644)

    @property
    def argv(self) -> list[str]:
        """Up to the command."""
        return [*PROGRAM, "--root", str(self.root), "--config", str(self.config)]

    def run(self, *words: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """One command, to its end."""
        argv = [*self.argv, *map(str, words)]
        return subprocess.run(argv, cwd=REPOSITORY, input=stdin, capture_output=True, text=True)

    def ok(self, *words: str | Path) -> str:
        """One that succeeds; what it prints."""
        done = self.run(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def refused(self, *words: str | Path) -> str:
        """One that fails; what it says."""
        done = self.run(*words)
        assert (done.returncode, done.stdout) == (1, ""), done
        return done.stderr

    def hooks(self) -> dict[str, Any]:
        """For a config.json, what etc/hooks.d/creche-network.json has engines put into it."""
        shipped = json.loads((REPOSITORY / "etc/hooks.d/creche-network.json").read_text())
        assert shipped["hook"]["args"] == ["creche-network", "hook"]
        entry = {
            "path": self.argv[0],
            "args": [*self.argv, *shipped["hook"]["args"][1:]],
            "env": [f"PYTHONPATH={REPOSITORY}", "PATH=/usr/bin:/bin"],
            "timeout": shipped["hook"]["timeout"],
        }
        return {stage: [entry] for stage in shipped["stages"]}

    def interfaces(self) -> list[dict[str, Any]]:
        """What there is."""
        return list(json.loads(self.ok("show", "--json"))["interfaces"])


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    """One, and at its end nothing is left."""
    links, before = socket.if_nameindex(), mounts()
    made = Program(tmp_path)
    yield made
    assert not made.root.exists() or list(made.root.iterdir()) == []
    assert (socket.if_nameindex(), mounts()) == (links, before)


def inside(pid: int, *words: str) -> str:
    """What a program says in the network namespace of a process."""
    argv = ["nsenter", f"--net=/proc/{pid}/ns/net", *words]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def test_the_walk_through(program: Program, bundle: Bundles, creche: Runtime) -> None:
    """`net up`, `run`, `net down`: two bundles reach each other; every command may come twice."""
    made = [bundle({"annotations": {KEY: "runc"}}, sh="exec sleep 100000") for _ in range(2)]
    first, second = made
    net: list[str | Path | Bundle] = ["net", "--config", program.config]
    program.root = creche.root
    before = (first.path / "config.json").read_text()
    assert creche.run([*net, "up", first]).ok().stdout == "eth0 192.168.10.2/24\n"
    named = (first.path / "config.json").read_text()
    assert creche.run([*net, "up", first]).ok().stdout == "eth0 192.168.10.2/24\n"
    assert (first.path / "config.json").read_text() == named
    assert creche.run([*net, "up", second]).ok().stdout == "eth0 192.168.10.3/24\n"
    for name, each in (("a", first), ("b", second)):
        creche.run(["run", "-d", "-b", each, name]).ok()
    assert ping("192.168.10.2")
    inside(creche.pid("a"), "busybox", "ping", "-c", "1", "192.168.10.3")
    assert "default via 192.168.10.1" in inside(creche.pid("a"), "ip", "route")
    assert "192.168.10.3" in creche.run([*net, "show", second]).ok().stdout
    assert "192.168.10.2" not in creche.run([*net, "show", second]).ok().stdout
    for name in ("a", "b"):
        creche.run(["delete", "--force", name]).ok()
    creche.run([*net, "down", first]).ok()
    assert json.loads((first.path / "config.json").read_text()) == json.loads(before)
    assert ip("-br", "link", "show", "runc0")
    shutil.rmtree(second.path)  # what was made is known by the path
    program.declare("nonsense")  # and without creched.toml
    for each in (second, first):
        creche.run([*net, "down", each]).ok()
    assert "nonsense" not in creche.run([*net, "show"]).failed(1).stdout


@pytest.mark.parametrize("form", ["name", "object"])
def test_as_a_hook(program: Program, bundle: Bundles, runtime: Runtime, form: str) -> None:
    """Made before the program runs, gone with the container; also when it is killed."""
    asked = {
        "name": "runc",
        "object": '{"name": "runc", "address": "192.168.10.9", "rate": "8mbit", "mtu": 1400}',
    }[form]
    patch = {"annotations": {KEY: asked}, "hooks": program.hooks()}
    made = bundle(patch, sh="exec sleep 100000")
    other = bundle({**patch, "annotations": {KEY: "runc"}}, sh="ip addr show eth0; ip route")
    runtime.run(["run", "-d", "-b", made, "a"]).ok()
    seen = runtime.run(["run", "-b", other, "b"]).ok().stdout
    assert "inet 192.168.10." in seen
    assert "default via 192.168.10.1" in seen
    (found,) = program.interfaces()
    assert (found["workload"], found["network"]) == ("c-a", "runc")
    address = found["addresses"][0].partition("/")[0]
    assert (address == "192.168.10.9") == (form == "object")
    assert ping(address)
    if form == "object":
        assert "mtu 1400" in inside(runtime.pid("a"), "ip", "link", "show", "eth0")
    runtime.run(["delete", "--force", "a"]).ok()
    assert program.interfaces() == []


def test_published_ports(program: Program, bundle: Bundles) -> None:
    """By rules of nftables that go with the last one; a port that somebody has is refused."""
    program.declare(RUNC0 + "masquerade = true\n")
    first = bundle({"annotations": {KEY: '{"name": "runc", "publish": ["18080:80"]}'}})
    second = bundle(first.config)
    program.ok("up", first.path)
    taken = program.refused("up", second.path)
    assert "network.publish[0]" in taken
    assert "18080" in taken
    (found,) = program.interfaces()
    script = "import socket; s = socket.create_server(('', 80)); print(flush=True); s.accept()"
    namespace = f"{program.root}/.network/namespaces/{found['workload']}"
    argv = ["nsenter", f"--net={namespace}", sys.executable, "-c", script]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        server.stdout.readline()
        with socket.create_connection(("192.168.10.1", 18080), 10):
            pass
    assert "masquerade" in rules()
    program.ok("down", first.path)
    assert "creche_" not in rules()


def rules() -> str:
    """All of the host's."""
    return subprocess.run(
        ["nft", "list", "ruleset"], check=True, capture_output=True, text=True
    ).stdout


def test_who_is_no_more(program: Program, bundle: Bundles, creche: Runtime) -> None:
    """A container that nobody has deleted: its networks go with whatever is asked next."""
    patch = {"annotations": {KEY: "runc"}, "hooks": program.hooks()}
    creche.run(["run", "-d", "-b", bundle(patch, sh="exec sleep 100000"), "a"]).ok()
    pid = creche.pid("a")
    os.kill(pid, signal.SIGKILL)
    wait_exit(pid)
    assert program.interfaces() == []
    assert not Path("/sys/class/net/runc0").exists()
    creche.run(["delete", "a"]).ok()


def test_two_that_are_called_the_same(
    program: Program, bundle: Bundles, creche: Runtime, tmp_path: Path
) -> None:
    """Of two roots: the second is refused, and its end takes nothing from the first."""
    patch = {"annotations": {KEY: "runc"}, "hooks": program.hooks()}
    creche.run(["run", "-d", "-b", bundle(patch, sh="exec sleep 100000"), "a"]).ok()
    (found,) = program.interfaces()
    other = Runtime("creche", tmp_path / "other")
    second = bundle({**patch, "linux": {"cgroupsPath": f"/{tmp_path.name}"}}, sh="true")
    refused = other.run(["run", "-b", second, "a"]).failed()
    assert f"called the same has networks already (process {creche.pid('a')})" in refused.stderr
    assert program.interfaces() == [found]
    assert "eth0" in inside(creche.pid("a"), "ip", "link")
    assert ping(found["addresses"][0].partition("/")[0])
    creche.run(["delete", "--force", "a"]).ok()
    assert program.interfaces() == []


def test_what_is_written_down_is_roots(program: Program, bundle: Bundles) -> None:
    """Whatever the umask of who calls; a directory that others can write is not used."""
    made = bundle({"annotations": {KEY: "runc"}}, rootfs=False)
    argv = [*program.argv, "up", str(made.path)]
    subprocess.run(argv, cwd=REPOSITORY, check=True, umask=0)
    for path in (program.root, *(p for p in program.root.rglob("*") if not p.is_symlink())):
        assert path.stat().st_mode & 0o022 == 0, path
    assert program.root.stat().st_mode & 0o777 == 0o700
    program.root.chmod(0o777)
    assert "can be changed by other users" in program.refused("down", made.path)
    program.root.chmod(0o700)
    program.ok("down", made.path)


def test_refusals(program: Program, bundle: Bundles, creche: Runtime) -> None:
    """In words, and nothing has changed; a container whose network cannot be is not created."""
    made = bundle({"annotations": {KEY: "nowhere"}}, sh="exec sleep 100000")
    text = (made.path / "config.json").read_text()
    assert "there is no network nowhere" in program.refused("up", made.path)
    for asked, words in (
        ("../x", "network.name: expected a name"),
        ('{"name": "runc", "adress": "auto"}', "did you mean 'address'"),
        ('{"mode": "host"}', 'expected mode "bridge" or "macvlan", found "host"'),
        ('[{"name": "runc"}, {"name": "runc"}]', "interface: eth0 is there more than once"),
        ('{"name": "runc", "publish": ["[::1]:80:80"]}', "[::1]:80:80/tcp needs creched"),
        ("{", "annotations.org.creche.network"),
        ("[]", "asks for no network"),
    ):
        made.patch({"annotations": {KEY: asked}})
        said = program.refused("up", made.path)
        assert words in said
        assert "Traceback" not in said
    made.patch({"annotations": {KEY: "dns"}})
    program.declare(RUNC0 + '[networks.dns]\nsubnet = "10.77.0.0/24"\ndns = true\n')
    assert "networks.dns.dns: only creched can do that" in program.refused("up", made.path)
    made.patch({"annotations": {KEY: "nowhere"}})
    assert (made.path / "config.json").read_text() == text
    assert "config.json: No such file" in program.refused("up", made.path / "rootfs")
    (made.path / "config.json").write_text("[]")
    assert "is no configuration" in program.refused("up", made.path)
    made.patch({"hooks": program.hooks()})
    refused = creche.run(["run", "-b", made, "a"]).failed()
    assert "there is no network nowhere" in refused.stderr
    shared = [{"type": kind} for kind in ("mount", "pid", "uts")]
    made.patch({"annotations": {KEY: "runc"}, "linux": {"namespaces": shared}})
    made.patch({"mounts": made.config["mounts"][:1]})
    refused = creche.run(["run", "-b", made, "a"]).failed()
    assert "the container is in the host's network namespace" in refused.stderr
    for state in ("", "[]", "{}", '{"id": "a", "status": "created"}', "\xff"):
        done = program.run("hook", stdin=state)
        assert (done.returncode, "Traceback" in done.stderr) == (1, False)


def test_beside_a_creched(tmp_path: Path, bundle: Bundles) -> None:
    """Neither takes the other's: a network of one is refused to the other while it is in use."""
    (tmp_path / "creched").mkdir()
    (tmp_path / "creched").chmod(0o755)
    host = Host(tmp_path / "creched")
    program = Program(tmp_path)
    text = RUNC0 + '[networks.own]\nsubnet = "10.77.0.0/24"\n'
    host.declare(text)
    program.declare(text)
    host.add("web", STOP + WAITS + ON_RUNC0)
    host.run()
    host.wait_for("started", "web")
    made = bundle({"annotations": {KEY: "runc"}})
    assert "this creched has not made it" in program.refused("up", made.path)
    made.patch({"annotations": {KEY: "own"}})
    assert program.ok("up", made.path) == "eth0 10.77.0.2/24\n"
    host.stop()
    assert ping("10.77.0.2")
    program.ok("down", made.path)
    host.clean()
    host.check_clean()


def test_several_at_once(program: Program, bundle: Bundles) -> None:
    """Each waits for its turn; all have addresses of their own."""
    made = [bundle({"annotations": {KEY: "runc"}}, rootfs=False) for _ in range(6)]
    for word in ("up", "down", "up", "down"):
        running = [
            subprocess.Popen([*program.argv, word, str(each)], cwd=REPOSITORY, text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            for each in made
        ]  # fmt: skip
        said = [each.communicate() for each in running]
        assert [each.returncode for each in running] == [0] * len(made), said
        if word == "up":
            assert len({out for out, _ in said}) == len(made)
    assert not program.root.exists() or list(program.root.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("word", ["up", "down"])
def test_killed_after_each_effect(tmp_path: Path, word: str) -> None:
    """Whatever state that leaves: `up` completes it, and `down` takes all of it away."""
    links, before = socket.if_nameindex(), mounts()

    def alone() -> Alone:
        return Alone(str(tmp_path / "root"), parse(RUNC0.encode(), "c").networks, pytest.fail)

    def act(which: str) -> None:
        if which == "up":
            alone().up("x", attachments({KEY: "runc"}))
        else:
            alone().down("x")

    def walk(die: str) -> list[str]:
        return play(tmp_path / "points", lambda: act(word), die)

    (tmp_path / "root").mkdir()
    if word == "down":
        act("up")
    walked = walk("")
    act("down")
    print(f"{word}: {len(walked)} points")
    assert len(walked) > (30 if word == "up" else 5)
    for number, point in enumerate(walked):
        if word == "down":
            act("up")
        walk(point)
        if number % 4 == 1:
            act("up")
            assert ping("192.168.10.2"), point
        act("down")
        assert (socket.if_nameindex(), mounts()) == (links, before), point
        assert list((tmp_path / "root").iterdir()) == [], point


def test_without_the_program(tmp_path: Path) -> None:
    """Where only the runtime is installed, `creche net` says what is missing."""
    for package in ("runtime", "hooks"):
        shutil.copytree(REPOSITORY / package, tmp_path / package)
    done = subprocess.run([tmp_path / "runtime/creche", "net", "show"], capture_output=True)
    assert done.returncode == 1
    assert b"creche-network is not there: install the package creche" in done.stderr
