"""Paths of the host that a configuration names, and that turn out to be something else.

Sources of bind mounts that are exchanged meanwhile (the class of Kubernetes' CVE-2021-25741),
namespaces that are none, or the host's own; configurations that are very large (CVE-2021-43784).
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from tests.attack.lab import CANARY, Lab, swapping
from tests.support.inside import message, namespace
from tests.support.isolation import mount
from tests.support.mountinfo import mounts
from tests.support.runtimes import Runtime

pytestmark = pytest.mark.root

Peer = Callable[[Callable[[Runtime], str]], str]
PROC = {"destination": "/proc", "type": "proc", "source": "proc"}

# Sources ------------------------------------------------------------------------------------------

TRIES = 8
MOST = 60
CHANCES = 24


def exchanged(lab: Lab, runtime: Runtime, tries: int) -> str:
    """The last component of a source is a directory, and a link to the host's, in turn."""
    volume = lab.directory / f"volume{lab.name()}"
    (volume / "a").mkdir(parents=True)
    (volume / "link").symlink_to(lab.host)
    made = lab.bundle(sh="cat /m*/canary; true")
    options = ["bind", "src-nofollow"]
    mounts = [
        {"destination": f"/m{n}", "source": str(volume / "a"), "type": "bind", "options": options}
        for n in range(CHANCES)
    ]
    made.patch({"mounts": [PROC, *mounts]})
    with swapping(volume / "a", volume / "link"):
        for _ in range(tries):
            if CANARY in runtime.run(["run", "-b", made, lab.name()]).stdout:
                return "the host's directory was mounted"
    return lab.damage()


def test_a_source_that_becomes_a_link_is_not_followed(lab: Lab, creche: Runtime) -> None:
    assert exchanged(lab, creche, TRIES) == ""
    assert exchanged(lab, lab.creche("follows-sources"), MOST)


def test_peers_sources(lab: Lab, peer: Peer) -> None:
    peer(lambda runtime: exchanged(lab, runtime, TRIES))


def test_a_source_that_changes_its_kind_is_that_kind_or_an_error(lab: Lab, creche: Runtime) -> None:
    """File and directory in turn: what was opened is what is decided on, and mounted."""
    (lab.directory / "one").mkdir()
    (lab.directory / "other").write_text("file\n")
    made = lab.bundle(sh="test -d /m/. || cat /m")
    source = str(lab.directory / "one")
    bind = {"destination": "/m", "source": source, "type": "bind", "options": ["bind"]}
    made.patch({"mounts": [PROC, bind]})
    with swapping(lab.directory / "one", lab.directory / "other"):
        for _ in range(TRIES):
            target = made.rootfs / "m"
            result = creche.run(["run", "-b", made, lab.name()])
            assert result.stdout in ("", "file\n"), result.describe()
            assert result.rc == 0 or "mounts[1] /m" in result.stderr
            if target.is_dir():
                target.rmdir()
            else:
                target.unlink(missing_ok=True)


# Namespaces ---------------------------------------------------------------------------------------


def _fifo(lab: Lab) -> str:
    os.mkfifo(lab.directory / "fifo")
    return str(lab.directory / "fifo")


NO_NAMESPACES: dict[str, Callable[[Lab], str]] = {
    "another kind": lambda _: "/proc/self/ns/uts",
    "file": lambda lab: str(lab.canary),
    "fifo": _fifo,
    "device": lambda _: "/dev/zero",
    "directory": lambda lab: str(lab.host),
}


def join(lab: Lab, runtime: Runtime, path: str, sysctl: dict[str, str] | None = None) -> str:
    listing = [namespace(kind) for kind in ("mount", "pid", "ipc", "uts")]
    made = lab.bundle(args=["/bin/true"])
    linux: dict[str, Any] = {"namespaces": [*listing, namespace("network", path)]}
    made.patch({"linux": {**linux, "sysctl": sysctl or {}}})
    result = runtime.run(["run", "-b", made, lab.name()])
    return "" if result.rc else f"{path} was joined"


@pytest.mark.parametrize("kind", NO_NAMESPACES)
def test_only_a_namespace_of_its_kind_is_joined(lab: Lab, creche: Runtime, kind: str) -> None:
    """At once: a FIFO must not hold anybody up."""
    assert join(lab, creche, NO_NAMESPACES[kind](lab)) == ""


def test_a_mutant_joins_another_kind(lab: Lab) -> None:
    """And its container is in whatever network its caller is in."""
    path = NO_NAMESPACES["another kind"](lab)

    assert join(lab, lab.creche("any-namespace"), path)


TTL = {"net.ipv4.ip_default_ttl": "64"}  # the value it has


def test_the_hosts_network_keeps_its_sysctls(lab: Lab, creche: Runtime) -> None:
    assert join(lab, creche, "/proc/self/ns/net", TTL) == ""
    assert join(lab, lab.creche("hosts-sysctls"), "/proc/self/ns/net", TTL)


@pytest.mark.parametrize("kind", [kind for kind in NO_NAMESPACES if kind != "fifo"])
def test_peers_namespaces(lab: Lab, peer: Peer, kind: str) -> None:
    peer(lambda runtime: join(lab, runtime, NO_NAMESPACES[kind](lab)))


def test_peers_sysctls(lab: Lab, peer: Peer) -> None:
    peer(lambda runtime: join(lab, runtime, "/proc/self/ns/net", TTL))


# Size ---------------------------------------------------------------------------------------------

LONG = "/" + "x" * 0x10100
MAPPINGS = [{"containerID": n, "hostID": 100000 + n, "size": 1} for n in range(100_000)]
OVERSIZED: dict[str, dict[str, Any]] = {
    "namespace path": {"linux": {"namespaces": [namespace("network", LONG)]}},
    # 65536 + 20 bytes: what is left when a length of 16 bits wraps around names a namespace.
    "wrapped path": {
        "linux": {"namespaces": [namespace("network", "/proc/1/ns/net" + "\u00e9" * 0x8000)]}
    },
    "mappings": {
        "linux": {
            "namespaces": [namespace("user"), namespace("mount"), namespace("uts")],
            "uidMappings": MAPPINGS,
            "gidMappings": MAPPINGS[:1],
        }
    },
    "source": {"mounts": [PROC, {"destination": "/x", "type": "bind", "source": LONG}]},
    "destination": {"mounts": [PROC, {"destination": LONG, "type": "tmpfs", "source": "x"}]},
    "hostname": {"hostname": "x" * 0x10100},
    "sysctl": {"linux": {"sysctl": {"net." + "x" * 0x10100: "1"}}},
    "working directory": {"process": {"cwd": LONG}},
}


@pytest.mark.parametrize("what", OVERSIZED)
def test_what_is_too_large_is_an_error_that_names_it(lab: Lab, creche: Runtime, what: str) -> None:
    before = mounts()
    made = lab.bundle(args=["/bin/true"]).patch(OVERSIZED[what])
    result = creche.run(["run", "-b", made, lab.name()]).failed(1)

    key = next(iter(OVERSIZED[what]))
    assert key in message(result), message(result)[:500]
    assert len(result.stderr) < 20_000 or what not in ("mappings",)
    assert list(creche.root.iterdir()) == []
    assert mounts() == before


def annotated(lab: Lab, runtime: Runtime, size: int) -> str:
    """Hooks of all kinds get an annotation whole, also those that init runs; or what went wrong."""
    made = lab.bundle({"annotations": {"x": "y" * size}}, args=["/bin/true"])
    count = f"/bin/busybox wc -c >>{made.path}/sizes"
    hook = {"path": "/bin/busybox", "args": ["sh", "-c", count]}
    made.patch({"hooks": {"createRuntime": [hook], "createContainer": [hook]}})
    result = runtime.run(["run", "-b", made, lab.name()])
    if result.rc:
        return message(result)
    got = [int(count) for count in (made.path / "sizes").read_text().split()]
    return "" if len(got) == 2 and min(got) > size else f"hooks got {got} bytes"


def test_a_large_annotation_is_a_large_annotation(lab: Lab, creche: Runtime) -> None:
    assert annotated(lab, creche, 1 << 20) == ""


def test_a_mutant_is_stopped_by_a_large_annotation(lab: Lab) -> None:
    mutant = lab.creche("short-documents")

    assert annotated(lab, mutant, 1 << 10) == ""
    assert annotated(lab, mutant, 1 << 20)


def test_a_mutant_takes_any_number_of_entries(lab: Lab) -> None:
    """Here of what takes no time; 100 000 mappings take minutes, and as many mounts do."""
    hooks = {"prestart": [{"path": "/bin/true"}] * 20_000}
    made = lab.bundle({"hooks": hooks}, args=["/bin/true"])

    lab.creche().run(["plan", "-b", made]).failed(1)
    lab.creche("any-number").run(["plan", "-b", made]).ok()


# Floods -------------------------------------------------------------------------------------------

ROUNDS = 20


def wandering(lab: Lab, runtime: Runtime, rounds: int) -> str:
    """crun#1567: masked paths on a shared mount pile up on the host, run after run."""
    masked = [f"/volume/d{number}" for number in range(8)]
    volume = lab.directory / f"volume{lab.name()}"
    volume.mkdir()
    mount("tmpfs", str(volume), "tmpfs", 0)  # a mount of its own, shared as on a host with systemd
    for path in masked:
        (volume / path.rpartition("/")[2]).mkdir()
    bind = {
        "destination": "/volume", "type": "bind", "source": str(volume),
        "options": ["rbind", "rshared"],
    }  # fmt: skip
    made = lab.bundle(args=["/bin/true"]).patch(
        {"mounts": [PROC, bind], "linux": {"maskedPaths": masked, "readonlyPaths": masked}}
    )
    before = len(mounts())
    try:
        for _ in range(rounds):
            runtime.run(["run", "-b", made, lab.name()])
        more = len(mounts()) - before
    finally:
        subprocess.run(["umount", "--recursive", volume], check=True)
    return f"{more} mounts more" if more else ""


def test_mounts_do_not_pile_up(lab: Lab, creche: Runtime) -> None:
    assert wandering(lab, creche, ROUNDS) == ""
    # Once is enough: what comes back doubles what is masked next.
    assert wandering(lab, lab.creche("mounts-wander"), 1)


def test_peers_floods(lab: Lab, peer: Peer) -> None:
    peer(lambda runtime: wandering(lab, runtime, 5))
