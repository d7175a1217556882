"""tmpcopyup: files of the image are copied into a new tmpfs, by root, before pivot_root.

The class of Docker's CVE-2018-15664 and buildah's CVE-2024-1753: a symbolic link in what is copied,
or one that takes a directory's place while it is being copied, must not bring the host's files in.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable

import pytest

from tests.attack.lab import CANARY, Lab, swapping
from tests.support.bundle import Bundle
from tests.support.runtimes import Runtime

pytestmark = pytest.mark.root

TRIES = 4
MOST = 60

LOOK = "cat /data/*/canary /data/*/*/canary /data/canary 2>/dev/null; ls -lR /data"


def bundle_with(lab: Lab) -> Bundle:
    made = lab.bundle(sh=LOOK)
    (made.rootfs / "data").mkdir()
    mounts = [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/data", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup"]},
    ]
    return made.patch({"mounts": mounts})


def static(lab: Lab, runtime: Runtime) -> str:
    """Links of all kinds, one of them a directory's and one a file's."""
    made = bundle_with(lab)
    data = made.rootfs / "data"
    (data / "file").symlink_to(lab.canary)
    (data / "directory").symlink_to(lab.host)
    (data / "climbing").symlink_to("/".join([".."] * 40) + str(lab.host))
    os.mkfifo(data / "fifo")
    os.mknod(data / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    result = runtime.run(["run", "-b", made, lab.name()])
    return "the canary was copied" if CANARY in result.stdout else lab.damage()


def race(lab: Lab, runtime: Runtime, tries: int) -> str:
    """Directories that turn into a link to the host's and back all the time."""
    made = bundle_with(lab)
    data = made.rootfs / "data"
    (data / "a").mkdir()
    (data / "b").symlink_to(lab.host)
    with swapping(data / "a", data / "b"):
        for _ in range(tries):
            result = runtime.run(["run", "-b", made, lab.name()])
            if CANARY in result.stdout:
                return "the canary was copied"
    return lab.damage()


def test_links_are_copied_as_links(lab: Lab, creche: Runtime) -> None:
    assert static(lab, creche) == ""
    assert static(lab, lab.creche("copies-what-links-lead-to"))


def test_a_directory_that_becomes_a_link_is_not_followed(lab: Lab, creche: Runtime) -> None:
    assert race(lab, creche, TRIES) == ""
    assert race(lab, lab.creche("copies-through-links"), MOST)


def test_peers(lab: Lab, peer: Callable[[Callable[[Runtime], str]], str]) -> None:
    peer(lambda runtime: static(lab, runtime))


def test_peers_race(lab: Lab, peer: Callable[[Callable[[Runtime], str]], str]) -> None:
    peer(lambda runtime: race(lab, runtime, TRIES))
