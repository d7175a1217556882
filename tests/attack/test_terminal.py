"""CVE-2025-52565 and relatives: the terminal is bound on /dev/console of the image, and only there.

The pty comes from the container's own devpts by TIOCGPTPEER, so that /dev/pts/N in the image is
never looked at; /dev/console may be a link that would have a file made, or covered, on the host.
"""

from __future__ import annotations

import array
import os
import socket
from collections.abc import Callable

import pytest

from tests.attack.lab import Lab
from tests.support.bundle import Bundle
from tests.support.runtimes import Runtime
from tests.support.waiting import DEADLINE

pytestmark = pytest.mark.root

MOUNTS = [
    {"destination": "/proc", "type": "proc", "source": "proc"},
    {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["newinstance"]},
]
LINKS: dict[str, Callable[[Lab], str]] = {
    "absolute": lambda lab: str(lab.host / "new"),
    "climbing": lambda lab: "/".join([".."] * 40) + str(lab.host / "new"),
    "existing": lambda lab: str(lab.canary),
}


def received(listener: socket.socket) -> list[int]:
    """Take the terminal's master off a console socket."""
    connection, _ = listener.accept()
    with connection:
        _, ancillary, _, _ = connection.recvmsg(4096, 64)
    fds = array.array("i")
    for _, _, data in ancillary:
        fds.frombytes(data)
    return list(fds)


def console_socket(lab: Lab, runtime: Runtime, made: Bundle) -> None:
    """Run with a terminal whose master goes to a socket, and close what arrives there."""
    path = lab.directory / f"{lab.name()}.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        # Relative to a directory: the path of a socket has 108 bytes.
        directory = os.open(path.parent, os.O_PATH)
        listener.bind(f"/proc/self/fd/{directory}/{path.name}")
        os.close(directory)
        listener.listen(1)
        listener.settimeout(DEADLINE)
        result = runtime.run(["run", "-d", "--console-socket", path.name, "-b", made, lab.name()],
                             cwd=path.parent)  # fmt: skip
        if result.rc == 0:
            for fd in received(listener):
                os.close(fd)


def attack(lab: Lab, runtime: Runtime, kind: str) -> str:
    made = lab.bundle(args=["/bin/sleep", "1000"])
    (made.rootfs / "dev/pts").mkdir()
    (made.rootfs / "dev/pts/0").symlink_to("/proc/sysrq-trigger")
    (made.rootfs / "dev/console").symlink_to(LINKS[kind](lab))
    made.patch({"mounts": MOUNTS, "process": {"terminal": True}})
    console_socket(lab, runtime, made)
    return lab.damage()


@pytest.mark.parametrize("kind", LINKS)
def test_the_console_stays_inside(lab: Lab, creche: Runtime, kind: str) -> None:
    assert attack(lab, creche, kind) == ""


@pytest.mark.parametrize("kind", ["absolute", "climbing"])
def test_a_mutant_makes_a_file_outside(lab: Lab, kind: str) -> None:
    assert "new" in attack(lab, lab.creche("console-by-name"), kind)


@pytest.mark.parametrize("kind", LINKS)
def test_peers(lab: Lab, peer: Callable[[Callable[[Runtime], str]], str], kind: str) -> None:
    peer(lambda runtime: attack(lab, runtime, kind))
