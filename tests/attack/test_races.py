"""What the image has at a well-known place, exchanged with something else during the launch.

The racing forms of CVE-2019-19921 (/proc), CVE-2025-52881 (the directory of a sysctl),
CVE-2025-52565 (/dev/console), CVE-2025-31133 (/dev/null), CVE-2026-41579 (/dev).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.attack.lab import Lab, swapping
from tests.attack.test_procfs import PROC, TTL, linked_into_proc
from tests.attack.test_terminal import MOUNTS, console_socket
from tests.support.bundle import Bundle
from tests.support.runtimes import Runtime

pytestmark = pytest.mark.root

Peer = Callable[[Callable[[Runtime], str]], str]

TRIES = 10  # launches, for the runtime that has to stand it
MOST = 60  # for a mutant, which falls for it sooner or later


def launches(lab: Lab, runtime: Runtime, made: Bundle, tries: int, seen: str) -> str:
    """Run the bundle so many times; evidence is what it prints, or damage."""
    for _ in range(tries):
        result = runtime.run(["run", "-b", made, lab.name()])
        if seen in result.stdout:
            return result.stdout
        if damage := lab.damage():
            return damage
    return ""


# /proc, a directory and a link to another one -----------------------------------------------------


def proc(lab: Lab, runtime: Runtime, tries: int) -> str:
    made = lab.bundle(sh="test -e /elsewhere/self && echo astray; true")
    (made.rootfs / "elsewhere").mkdir()
    (made.rootfs / "link").symlink_to("/elsewhere")
    made.patch({"mounts": [PROC], "linux": {"maskedPaths": [], "readonlyPaths": []}})
    with swapping(made.rootfs / "proc", made.rootfs / "link"):
        return launches(lab, runtime, made, tries, "astray")


def test_proc_is_mounted_on_proc(lab: Lab, creche: Runtime) -> None:
    assert proc(lab, creche, TRIES) == ""
    assert proc(lab, lab.creche("linked-proc"), MOST)


def test_peers_proc(lab: Lab, peer: Peer) -> None:
    peer(lambda runtime: proc(lab, runtime, TRIES))


# A mount that is to land on a sysctl --------------------------------------------------------------


def sysctl(lab: Lab, runtime: Runtime, tries: int) -> str:
    """The link into /proc is there half of the time, and a plain directory the other half."""
    made = linked_into_proc(lab)
    name = Path(TTL).name
    (made.rootfs / "plain").mkdir()
    (made.rootfs / "plain" / name).touch()
    with swapping(made.rootfs / "x", made.rootfs / "plain"):
        return launches(lab, runtime, made, tries, "77\n64")


def test_a_sysctl_goes_where_it_belongs(lab: Lab, creche: Runtime) -> None:
    assert sysctl(lab, creche, TRIES) == ""
    assert sysctl(lab, lab.creche("image-proc"), MOST)


def test_peers_sysctl(lab: Lab, peer: Peer) -> None:
    peer(lambda runtime: sysctl(lab, runtime, TRIES))


# /dev of the image --------------------------------------------------------------------------------


def dev(lab: Lab, runtime: Runtime, tries: int) -> str:
    """Nodes, links, and the removal of `ptmx`: in the image's /dev or in the host's directory."""
    (lab.host / "d").mkdir()
    (lab.host / "d/ptmx").write_text("precious\n")
    lab.prepared()
    made = lab.bundle(args=["/bin/true"])
    (made.rootfs / "link").symlink_to(lab.host / "d")
    made.patch({"mounts": [PROC]})
    with swapping(made.rootfs / "dev", made.rootfs / "link"):
        for _ in range(tries):
            runtime.run(["run", "-b", made, lab.name()])
            if damage := lab.damage():
                return damage
            _clear(made.rootfs)
    return ""


def _clear(rootfs: Path) -> None:
    """What a launch made in the directory goes, so that the next has to make it again."""
    for name in ("dev", "link"):
        try:
            fd = os.open(rootfs / name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:
            continue
        try:
            for entry in os.listdir(fd):
                if not stat.S_ISDIR(os.stat(entry, dir_fd=fd, follow_symlinks=False).st_mode):
                    os.unlink(entry, dir_fd=fd)
        finally:
            os.close(fd)


def test_devices_are_made_inside(lab: Lab, creche: Runtime) -> None:
    assert dev(lab, creche, TRIES) == ""


def test_a_mutants_devices_are_not(lab: Lab) -> None:
    assert dev(lab, lab.creche("leaves-the-root"), MOST)


def test_peers_dev(lab: Lab, peer: Peer) -> None:
    peer(lambda runtime: dev(lab, runtime, TRIES))


# /dev/console and /dev/null of a volume -----------------------------------------------------------


def console(lab: Lab, runtime: Runtime, tries: int) -> str:
    made = lab.bundle(args=["/bin/true"])
    (made.rootfs / "dev/pts").mkdir()
    (made.rootfs / "dev/console").touch()
    (made.rootfs / "dev/link").symlink_to(lab.host / "new")
    made.patch({"mounts": MOUNTS, "process": {"terminal": True}})
    with swapping(made.rootfs / "dev/console", made.rootfs / "dev/link"):
        for _ in range(tries):
            console_socket(lab, runtime, made)
            if damage := lab.damage():
                return damage
    return ""


def test_the_console_stays_inside(lab: Lab, creche: Runtime) -> None:
    assert console(lab, creche, TRIES) == ""
    assert console(lab, lab.creche("console-by-name"), MOST)


def test_peers_console(lab: Lab, peer: Peer) -> None:
    peer(lambda runtime: console(lab, runtime, TRIES))


def null(lab: Lab, runtime: Runtime, tries: int) -> str:
    """The null device and a file of the image's, in a volume on /dev; a masked path shows which."""
    volume = lab.directory / f"volume{lab.name()}"
    volume.mkdir()
    os.mknod(volume / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    (volume / "chosen").write_text("chosen by the image\n")
    made = lab.bundle(sh="cat /proc/keys")
    bind = {"destination": "/dev", "type": "bind", "source": str(volume), "options": ["bind"]}
    made.patch({"mounts": [PROC, bind], "linux": {"maskedPaths": ["/proc/keys"]}})
    with swapping(volume / "null", volume / "chosen"):
        return launches(lab, runtime, made, tries, "chosen")


def test_the_mask_is_not_the_volumes_choice(lab: Lab, creche: Runtime) -> None:
    assert null(lab, creche, TRIES) == ""
    assert null(lab, lab.creche("image-null"), MOST)


def test_peers_null(lab: Lab, peer: Peer) -> None:
    peer(lambda runtime: null(lab, runtime, TRIES))
