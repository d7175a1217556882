"""Mount points and device nodes that an image, or a racing container, moves out of the root.

CVE-2021-30465 (mounts), CVE-2024-45310 (directories made for them), CVE-2026-41579 (/dev).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from typing import Any

import pytest

from tests.attack.lab import Lab, swapping
from tests.support.bundle import Bundle
from tests.support.runtimes import Runtime

pytestmark = pytest.mark.root

TRIES = 4  # of a race, for the runtime that has to stand it; each has CHANCES of them
MOST = 60  # for a mutant, which falls for it sooner or later
CHANCES = 24

PROC = {"destination": "/proc", "type": "proc", "source": "proc"}
GONE = "the host's directory is covered"


def _tmpfs(destination: str) -> dict[str, Any]:
    return {"destination": destination, "type": "tmpfs", "source": "tmpfs"}


def _bind(source: object, destination: str) -> dict[str, Any]:
    return {"destination": destination, "source": str(source), "type": "bind", "options": ["bind"]}


def check(lab: Lab, runtime: Runtime, made: Bundle) -> str:
    """Run a bundle that binds the host's target on /check last: is it what it was?"""
    result = runtime.run(["run", "-b", made, lab.name()])
    if result.rc == 0 and GONE in result.stdout:
        return GONE
    return lab.damage()


def target(lab: Lab) -> None:
    """A directory on the host that somebody might want to cover or to fill."""
    (lab.host / "b").mkdir()
    (lab.host / "b/there").touch()
    lab.prepared()


LOOK = f"test -e /check/there || echo {GONE!r}"


# Links that stay as they are ----------------------------------------------------------------------


def _absolute(made: Bundle, lab: Lab) -> str:
    (made.rootfs / "a").symlink_to(lab.host)
    return "/a"


def _climbing(made: Bundle, lab: Lab) -> str:
    (made.rootfs / "a").symlink_to("/".join([".."] * 40) + str(lab.host))
    return "/a"


def _chained(made: Bundle, lab: Lab) -> str:
    (made.rootfs / "a").symlink_to("x/y")
    (made.rootfs / "x").symlink_to("/z")
    (made.rootfs / "z").mkdir()
    (made.rootfs / "z/y").symlink_to(lab.host)
    return "/a"


LINKS = {"absolute": _absolute, "climbing": _climbing, "chained": _chained}


def static_attack(lab: Lab, runtime: Runtime, kind: str) -> str:
    """Mount on directories that exist, and on ones that are to be made, behind a link."""
    made = lab.bundle(sh=LOOK)
    target(lab)
    link = LINKS[kind](made, lab)
    mounts = [
        PROC,
        _tmpfs(f"{link}/b"),
        _tmpfs(f"{link}/new/deep"),
        _bind(lab.host / "b", "/check"),
    ]
    return check(lab, runtime, made.patch({"mounts": mounts}))


@pytest.mark.parametrize("kind", LINKS)
def test_links_stay_inside(lab: Lab, creche: Runtime, kind: str) -> None:
    assert not static_attack(lab, creche, kind)


@pytest.mark.parametrize("kind", LINKS)
def test_links_lead_out_of_a_mutant(lab: Lab, kind: str) -> None:
    assert static_attack(lab, lab.creche("leaves-the-root"), kind)


@pytest.mark.parametrize("kind", LINKS)
def test_peers_links(lab: Lab, peer: Callable[[Callable[[Runtime], str]], str], kind: str) -> None:
    peer(lambda runtime: static_attack(lab, runtime, kind))


# Chains, loops, odd spellings ---------------------------------------------------------------------


@pytest.mark.parametrize("spelling", ["/a", "/a/", "//a//", "/x/../a", "/a/../a", "/a/.", "a"])
def test_each_spelling_of_a_link_stays_inside(lab: Lab, creche: Runtime, spelling: str) -> None:
    """CVE-2019-18837: what it leads to is made in the root, whatever the host has there."""
    made = lab.bundle(args=["/bin/true"])
    (made.rootfs / "a").symlink_to(lab.host / "new")
    creche.run(["run", "-b", made.patch({"mounts": [PROC, _tmpfs(spelling)]}), lab.name()]).ok()

    assert lab.damage() == ""
    assert (made.rootfs / str(lab.host / "new").lstrip("/")).is_dir()


@pytest.mark.parametrize(("length", "fits"), [(39, True), (41, False), (0, False)])
def test_chains_and_loops_of_links(lab: Lab, creche: Runtime, length: int, fits: bool) -> None:
    """As many links as the kernel follows; 0 stands for a loop."""
    made = lab.bundle(args=["/bin/true"])
    (made.rootfs / "end").mkdir()
    (made.rootfs / "l0").symlink_to("end" if length else "l0")
    for number in range(1, length):
        (made.rootfs / f"l{number}").symlink_to(f"l{number - 1}")
    made.patch({"mounts": [PROC, _tmpfs(f"/l{max(length - 1, 0)}")]})
    result = creche.run(["run", "-b", made, lab.name()])

    assert (result.rc == 0) is fits, result.describe()
    assert fits or "mounts[1]" in result.stderr
    assert fits or "too many levels of symbolic links" in result.stderr


def notified(lab: Lab, runtime: Runtime) -> str:
    """CVE-2025-24965: a directory that the runtime makes unasked, where the image has a link."""
    made = lab.bundle(args=["/bin/true"])
    (made.rootfs / "run").symlink_to(lab.host)
    environment = {"NOTIFY_SOCKET": str(lab.directory / "nobody"), "PATH": "/bin"}
    runtime.run(["create", "-b", made, name := lab.name()], env=environment)
    runtime.run(["delete", "--force", name])
    return lab.damage()


def test_the_directory_for_notifications_is_made_inside(lab: Lab, creche: Runtime) -> None:
    assert notified(lab, creche) == ""
    assert "notify" in notified(lab, lab.creche("leaves-the-root"))


def test_peers_notify(lab: Lab, peer: Callable[[Callable[[Runtime], str]], str]) -> None:
    peer(lambda runtime: notified(lab, runtime))


# /dev as a link -----------------------------------------------------------------------------------

DEVS: dict[str, Callable[[Lab], str]] = {
    "absolute": lambda lab: str(lab.host / "d"),
    "climbing": lambda lab: "/".join([".."] * 40) + str(lab.host / "d"),
    "through another": lambda lab: "var/other",
}


def dev_attack(lab: Lab, runtime: Runtime, kind: str) -> str:
    """/dev is not mounted: nodes and links are made in the image's, and `ptmx` removed first."""
    (lab.host / "d").mkdir()
    (lab.host / "d/ptmx").write_text("precious\n")
    lab.prepared()
    made = lab.bundle(args=["/bin/true"])
    (made.rootfs / "dev").rmdir()
    (made.rootfs / "var/other").symlink_to(lab.host / "d")
    (made.rootfs / "dev").symlink_to(DEVS[kind](lab))
    devpts = {"destination": "/dev/pts", "type": "devpts", "source": "devpts"}
    runtime.run(["run", "-b", made.patch({"mounts": [PROC, devpts]}), lab.name()])
    return lab.damage()


@pytest.mark.parametrize("kind", DEVS)
def test_nothing_is_made_or_removed_behind_a_linked_dev(
    lab: Lab, creche: Runtime, kind: str
) -> None:
    assert not dev_attack(lab, creche, kind)


@pytest.mark.parametrize("kind", DEVS)
def test_a_mutant_makes_devices_outside(lab: Lab, kind: str) -> None:
    assert dev_attack(lab, lab.creche("leaves-the-root"), kind)


@pytest.mark.parametrize("kind", DEVS)
def test_peers_dev(lab: Lab, peer: Callable[[Callable[[Runtime], str]], str], kind: str) -> None:
    peer(lambda runtime: dev_attack(lab, runtime, kind))


# Races --------------------------------------------------------------------------------------------


def race(lab: Lab, runtime: Runtime, kind: str, tries: int) -> str:
    """A volume whose directory `a` turns into a link to the host and back all the time."""
    volume = lab.directory / "volume"
    (volume / "a").mkdir(parents=True)
    (volume / "link").symlink_to(lab.host)
    target(lab)
    (volume / "a/b").mkdir()
    made = lab.bundle(sh=LOOK)
    destinations = [_tmpfs(f"/V/a/{KINDS[kind]}".format(number)) for number in range(CHANCES)]
    mounts = [PROC, _bind(volume, "/V"), *destinations, _bind(lab.host / "b", "/check")]
    made.patch({"mounts": mounts})
    with swapping(volume / "a", volume / "link"):
        for _ in range(tries):
            if evidence := check(lab, runtime, made):
                return evidence
            _remove_made(volume)
    return ""


def _remove_made(volume: Any) -> None:
    """What a try made below the real directory goes, so that the next has to make it again."""
    for name in ("a", "link"):
        try:
            fd = os.open(volume / name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:
            continue
        try:
            for made in os.listdir(fd):
                if made.startswith("new"):
                    with contextlib.suppress(FileNotFoundError):
                        os.rmdir(f"{made}/deep", dir_fd=fd)
                    os.rmdir(made, dir_fd=fd)
        finally:
            os.close(fd)


# What is below `a`: a directory that is there, on both sides, or one that has to be made.
KINDS = {"mount": "b", "make": "new{}/deep"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_race_moves_nothing_outside(lab: Lab, creche: Runtime, kind: str) -> None:
    assert not race(lab, creche, kind, TRIES)


def test_a_race_moves_a_mutants_mount(lab: Lab) -> None:
    assert race(lab, lab.creche("mounts-by-name"), "mount", MOST)


def test_a_race_makes_directories_outside_a_mutant(lab: Lab) -> None:
    assert race(lab, lab.creche("creates-by-name"), "make", MOST)


@pytest.mark.parametrize("kind", KINDS)
def test_peers_race(lab: Lab, peer: Callable[[Callable[[Runtime], str]], str], kind: str) -> None:
    peer(lambda runtime: race(lab, runtime, kind, TRIES))
