"""Networks killed after each of their effects: one reconcile, and all is as declared, or gone.

A child is killed at every point in turn, as creched is in test_supervisor_walk.py; here it is what
looks after networks alone, so that all points can be walked.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path
from typing import Any

import pytest
import trio

from runtime.linux import libc
from supervisor.network import namespaces, nftables
from supervisor.network.edge import Rules
from supervisor.network.links import Links
from supervisor.network.model import Endpoint
from supervisor.network.naming import Names
from supervisor.network.service import Networks
from supervisor.settings import parse
from supervisor.workload.model import Workload
from supervisor.workload.parse import parse_settings
from tests.support.effects import Walk
from tests.support.mountinfo import mounts
from tests.support.network import ip

pytestmark = pytest.mark.root

DECLARED = (
    '[networks.a]\nbridge = "crt-br"\nsubnet = "10.81.0.0/24"\nsubnet6 = "fd81::/64"\n'
    '[networks.b]\nsubnet = "10.82.0.0/24"\nmasquerade = true\n'
)
ATTACHED = (
    '[container]\nargs = ["true"]\n'
    '[[network]]\nname = "a"\nrate = "8mbit"\nroutes = ["10.9.0.0/16"]\n'
    'publish = ["127.0.0.1:8080:80", "8081:81/udp"]\n'
    '[[network]]\nname = "b"\ninterface = "eth1"\n'
)
Act = Callable[[Networks, Workload], Awaitable[object]]


def workload() -> Workload:
    """The one that there is."""
    return Workload("web", "/nowhere", parse_settings(ATTACHED.encode(), "w"), {})


def networks(base: Path) -> Networks:
    """Those of a creched whose state is in `base`."""

    def report(event: str, **values: Any) -> None:
        assert event in ("network-attached", "network-forwarding"), (event, values)

    made = Networks(
        str(base / "own"),
        str(base / "leases"),
        parse(DECLARED.encode(), "c").networks,
        lambda name: workload() if name == "web" else None,
        report,
        lambda *told: pytest.fail(f"damaged: {told}"),
        [Rules(Names(str(base / "own")))],
    )
    made.load()
    return made


async def attach(found: Networks, which: Workload) -> None:
    """What comes before a container."""
    await found.attach(which)


async def release(found: Networks, which: Workload) -> None:
    """What comes after one that ends for good."""
    await found.begin([which.name])
    found.note({"event": "stopped", "workload": which.name, "new": "stopped"})
    await found.settle()


def watch_the_kernel(points: int, die: str) -> None:
    """More points: what is asked of the kernel by netlink, and the mount of a namespace."""
    numbers = itertools.count(1)

    def after(original: Callable[..., Any], name: str) -> Callable[..., Any]:
        def call(*words: Any, **values: Any) -> Any:
            found = original(*words, **values)
            if "get" not in "".join(str(word) for word in words[1:3]):
                point = f"{name} {next(numbers)}"
                if not die:
                    os.write(points, f"{point}\n".encode())
                elif point == die:
                    os.kill(os.getpid(), signal.SIGKILL)
            return found

        return call

    setattr(Links, "ask", after(Links.ask, "netlink"))  # noqa: B010  mypy has it otherwise
    setattr(nftables, "run", after(nftables.run, "nftables"))  # noqa: B010
    setattr(namespaces, "call", after(libc.call, "mount"))  # noqa: B010


def play(points: Path, act: Callable[[], object], die: str) -> list[str]:
    """In a child, up to a point; the points that it has passed, which it tells by a file."""
    points.unlink(missing_ok=True)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            fd = os.open(points, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            Walk(fd, "/", die).start()
            watch_the_kernel(fd, die)
            act()
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    died = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    assert died if die else status == 0, (die, status)
    # pyroute2's event loop wakes itself by a pipe, sometimes: that changes nothing outside.
    wrote = ("supervisor.store", "supervisor.network.carry:_sysctl")
    return [p for p in points.read_text().splitlines() if " write " not in p or p.startswith(wrote)]


def begin(base: Path, users: Collection[str]) -> tuple[Endpoint, ...]:
    """The next one; these workloads run."""

    async def act() -> tuple[Endpoint, ...]:
        found = networks(base)
        await found.begin(users)
        found.close()
        return found.endpoints

    return trio.run(act)


def make(base: Path) -> None:
    """The workload is started, and creched is gone."""

    async def act() -> None:
        found = networks(base)
        await found.attach(workload())
        found.close()

    trio.run(act)


def seen(base: Path) -> tuple[str, ...]:
    """Everything there is, but for numbers that the kernel gives out."""
    netns = base / "own/namespaces/web"
    inside = []
    if netns.exists():
        for words in (("addr",), ("route",), ("-6", "route")):
            argv = ["nsenter", f"--net={netns}", "ip", "-br", *words]
            done = subprocess.run(argv, check=True, capture_output=True, text=True)
            inside.append(done.stdout)
    localnet = Path("/proc/sys/net/ipv4/conf/crt-br/route_localnet")
    open_ones = localnet.read_text() if localnet.exists() else ""
    found = (ip("-br", "addr"), ip("link"), *inside, tables(), f"route_localnet {open_ones}")
    lines = [line for text in found for line in text.splitlines()]
    return tuple(sorted(" ".join(_plain(word) for word in line.split()) for line in lines))


def tables() -> str:
    """All of nftables."""
    argv = ["nft", "list", "ruleset"]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def _plain(word: str) -> str:
    """Without indices and addresses of the kernel's own choice."""
    name = word.partition("@")[0]
    return "" if word.rstrip(":").isdecimal() or word.count(":") >= 5 else name


def fresh(path: Path) -> Path:
    """The same directory as ever, since links are called after it, with nothing in it."""
    base = path / "base"
    shutil.rmtree(base, ignore_errors=True)
    (base / "own").mkdir(parents=True)
    return base


@pytest.mark.parametrize("act", [attach, release])
def test_killed_after_each_effect(tmp_path: Path, act: Act) -> None:
    links = socket.if_nameindex()
    before = mounts()
    base = fresh(tmp_path)

    def once() -> None:
        trio.run(act, networks(base), workload())

    if act is release:
        make(base)
    points = play(base / "points", once, "")
    begin(base, ["web"])
    complete = seen(base)
    begin(base, [])
    assert socket.if_nameindex() == links
    print(f"{act.__name__}: {len(points)} points")
    assert len(points) > (40 if act is attach else 5)
    for number, point in enumerate(points):
        ways = (True, False) if number % 3 == 0 else (True,)
        for finished in ways if act is attach else (False,):
            base = fresh(tmp_path)
            if act is release:
                make(base)
            play(base / "points", once, point)
            if finished:  # it is to run: whatever was begun is completed
                make(base)
                assert len(begin(base, ["web"])) == 2
                assert seen(base) == complete, point
            begin(base, [])
            assert socket.if_nameindex() == links, point
            assert mounts() == before, point
            assert tables() == "", point
            left = {str(path.relative_to(base)) for path in base.glob("own/*/*")}
            assert left == set(), point
