"""A /proc that the image or another container arranged, to redirect what the runtime writes there.

CVE-2019-19921, CVE-2023-27561 (/proc or /sys is a symbolic link), CVE-2019-16884 (something else is
mounted on /proc), CVE-2025-52881 (another file of procfs is mounted where a sysctl is written). The
targets here are settings of the container's own namespaces, in place of core_pattern.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.attack.lab import Lab
from tests.support.bundle import FULL, Bundle
from tests.support.runtimes import Runtime

pytestmark = pytest.mark.root

PROC = {"destination": "/proc", "type": "proc", "source": "proc"}
SYS = {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["ro"]}
TTL = "net/ipv4/ip_default_ttl"
REAL = "redirected\n"


# A symbolic link ----------------------------------------------------------------------------------


def linked_bundle(lab: Lab, name: str, destination: str) -> Bundle:
    made = lab.bundle(args=["/bin/true"])
    (made.rootfs / name).rmdir()
    (made.rootfs / name).symlink_to(destination)
    return made.patch({"mounts": [SYS, PROC] if name == "sys" else [PROC]})


LINKS = [("proc", "/tmp"), ("proc", "../../tmp/x"), ("proc", "var/tmp"), ("sys", "/tmp")]


def linked(lab: Lab, runtime: Runtime, name: str, destination: str) -> str:
    result = runtime.run(["run", "-b", linked_bundle(lab, name, destination), lab.name()])
    return "" if result.rc else f"/{name} was mounted where a link leads: {destination}"


@pytest.mark.parametrize(("name", "destination"), LINKS)
def test_a_link_is_refused(lab: Lab, creche: Runtime, name: str, destination: str) -> None:
    result = creche.run(["run", "-b", linked_bundle(lab, name, destination), lab.name()]).failed()

    assert "must be mounted on ordinary directory" in result.stderr
    assert f"mounts[0] /{name}" in result.stderr
    assert linked(lab, lab.creche("linked-proc"), name, destination)


@pytest.mark.parametrize(("name", "destination"), LINKS)
def test_peers_link(
    lab: Lab, peer: Callable[[Callable[[Runtime], str]], str], name: str, destination: str
) -> None:
    peer(lambda runtime: linked(lab, runtime, name, destination))


# Something else on /proc --------------------------------------------------------------------------


def false_bundle(lab: Lab, mount: dict[str, Any]) -> Bundle:
    made = lab.bundle(sh="cat /proc/self/attr/exec")
    for directory in (made.path / "volume", made.rootfs / "proc"):
        (directory / "self/attr").mkdir(parents=True)
        (directory / "self/attr/exec").write_text("a plain file")
    return made.patch({"mounts": [{"destination": "/proc", "source": "volume", **mount}]})


FALSE: dict[str, dict[str, Any]] = {
    "bind": {"type": "bind", "options": ["bind"]},
    "rbind": {"options": ["rbind"]},
    "tmpfs": {"type": "tmpfs"},
}


def false(lab: Lab, runtime: Runtime, kind: str) -> str:
    result = runtime.run(["run", "-b", false_bundle(lab, FALSE[kind]), lab.name()])
    return "" if result.rc else f"/proc is not a procfs: {result.stdout}"


@pytest.mark.parametrize("kind", FALSE)
def test_only_a_procfs_may_be_on_proc(lab: Lab, creche: Runtime, kind: str) -> None:
    result = creche.run(["run", "-b", false_bundle(lab, FALSE[kind]), lab.name()]).failed()

    assert "cannot be mounted because it is" in result.stderr
    if kind != "tmpfs":  # that is refused by the plan, which does not need the check of the mount
        assert false(lab, lab.creche("false-proc"), kind)


@pytest.mark.parametrize("kind", FALSE)
def test_peers_false(lab: Lab, peer: Callable[[Callable[[Runtime], str]], str], kind: str) -> None:
    peer(lambda runtime: false(lab, runtime, kind))


# Another file where a sysctl is written -----------------------------------------------------------


def linked_into_proc(lab: Lab) -> Bundle:
    """A link of the image leads a mount into /proc/sys; the sysctl would land in domainname."""
    made = lab.bundle(sh="cat /proc/sys/kernel/domainname; cat /real/sys/" + TTL)
    (made.rootfs / "x").symlink_to(f"/proc/sys/{Path(TTL).parent}")
    (made.rootfs / "real").mkdir()
    source = {"source": "/proc/sys/kernel/domainname", "type": "bind", "options": ["bind"]}
    mounts = [
        PROC,
        {"destination": f"/x/{Path(TTL).name}", **source},
        {**PROC, "destination": "/real"},
    ]
    linux = {"sysctl": {TTL.replace("/", "."): "77"}, "readonlyPaths": [], "maskedPaths": []}
    return made.patch({"mounts": mounts, "linux": linux})


def redirected(lab: Lab, runtime: Runtime) -> str:
    result = runtime.run(["run", "-b", linked_into_proc(lab), lab.name()])
    if result.rc:
        return ""
    domain, ttl = result.stdout.split()
    return "" if (domain, ttl) == ("(none)", "77") else f"domainname {domain}, TTL {ttl}"


def test_a_sysctl_goes_where_it_belongs(lab: Lab, creche: Runtime) -> None:
    assert any(namespace["type"] == "uts" for namespace in FULL["linux"]["namespaces"])
    assert redirected(lab, creche) == ""
    assert redirected(lab, lab.creche("image-proc")).startswith("domainname 77")


def test_a_link_leads_no_mount_into_proc(lab: Lab, creche: Runtime) -> None:
    result = creche.run(["run", "-b", linked_into_proc(lab), lab.name()]).failed(1)

    assert "cannot be mounted because it is inside /proc" in result.stderr


def test_peers_sysctl(lab: Lab, peer: Callable[[Callable[[Runtime], str]], str]) -> None:
    peer(lambda runtime: redirected(lab, runtime))
