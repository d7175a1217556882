"""Files and sockets of the runtime that other users, or containers, must not reach.

containerd's CVE-2021-41103 and CVE-2024-25621 (directories that others could read), CVE-2020-15257
(a control socket in the abstract namespace, which a container with the host's network reaches).
"""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.attack.lab import Lab
from tests.support.inside import message
from tests.support.runtimes import Runtime

pytestmark = pytest.mark.root

Peer = Callable[[Callable[[Runtime], str]], str]


class Elsewhere(Runtime):
    """A runtime with another state directory, called with a umask that hides nothing."""

    def __init__(self, runtime: Runtime, root: Path) -> None:
        super().__init__(runtime.name, root)
        self._runtime = runtime

    def argv(self, args: object) -> list[str]:
        """Return the words of a call."""
        words = self._runtime.argv(args)  # type: ignore[arg-type]
        words[words.index("--root") + 1] = str(self.root)
        return ["/bin/sh", "-c", 'umask 0; exec "$@"', "sh", *words]


def open_to_others(lab: Lab, runtime: Runtime) -> str:
    """What somebody else can read or reach in the state directory of a created container."""
    elsewhere = Elsewhere(runtime, lab.directory / "made" / lab.name())
    name = lab.name()
    elsewhere.run(["create", "-b", lab.bundle(args=["/bin/true"]), name]).ok()
    try:
        found = []
        for path in [elsewhere.root, *sorted(elsewhere.root.rglob("*"))]:
            mode = path.lstat().st_mode
            # A directory that others may enter, but not list, hides what has mode 0600.
            allowed = 0o011 if stat.S_ISDIR(mode) else 0
            if mode & 0o077 & ~allowed and _reachable(elsewhere.root, path):
                found.append(f"{path.relative_to(elsewhere.root)} {mode:o}")
    finally:
        elsewhere.run(["delete", "--force", name])
    return f"open to others: {found}" if found else ""


def _reachable(root: Path, path: Path) -> bool:
    parents = [parent for parent in path.parents if parent.is_relative_to(root)]
    return all(parent.lstat().st_mode & 0o011 for parent in parents)


def test_state_is_for_its_owner_alone(lab: Lab, creche: Runtime) -> None:
    assert open_to_others(lab, creche) == ""
    assert "state.json" in open_to_others(lab, lab.creche("open-state"))


def test_peers_state(lab: Lab, peer: Peer) -> None:
    peer(lambda runtime: open_to_others(lab, runtime))


def foreign_root(lab: Lab, runtime: Runtime, uid: int, mode: int) -> str:
    """A state directory that somebody else has made first, or can change."""
    elsewhere = Elsewhere(runtime, lab.directory / lab.name())
    elsewhere.root.mkdir()
    os.chown(elsewhere.root, uid, uid)
    elsewhere.root.chmod(mode)
    name = lab.name()
    result = elsewhere.run(["create", "-b", lab.bundle(args=["/bin/true"]), name])
    elsewhere.run(["delete", "--force", name])
    return "" if result.rc else "it was used"


@pytest.mark.parametrize(("uid", "mode"), [(1000, 0o700), (0, 0o777), (0, 0o770)])
def test_a_root_of_somebody_elses_is_refused(
    lab: Lab, creche: Runtime, uid: int, mode: int
) -> None:
    assert foreign_root(lab, creche, uid, mode) == ""
    assert foreign_root(lab, lab.creche("any-root"), uid, mode)


@pytest.mark.parametrize(("uid", "mode"), [(1000, 0o700), (0, 0o777)])
def test_peers_root(lab: Lab, peer: Peer, uid: int, mode: int) -> None:
    peer(lambda runtime: foreign_root(lab, runtime, uid, mode))


FALSE_FILES: dict[str, Callable[[Path, Lab], object]] = {
    "link": lambda path, lab: path.symlink_to(lab.canary),
    "directory": lambda path, _: path.mkdir(),
    "fifo": lambda path, _: os.mkfifo(path),
    "device": lambda path, _: os.mknod(path, 0o20600, os.makedev(1, 5)),
}


@pytest.mark.parametrize("kind", FALSE_FILES)
def test_a_state_file_that_is_none_is_named_and_removed(
    lab: Lab, creche: Runtime, kind: str
) -> None:
    directory = creche.root / "false"
    directory.mkdir(mode=0o700)
    FALSE_FILES[kind](directory / "state.json", lab)
    error = message(creche.run(["state", "false"]).failed(1))
    assert creche.run(["list", "-q"]).ok().stdout == "false\n"
    creche.run(["list"]).ok()
    creche.run(["delete", "--force", "false"]).ok()

    assert "state.json" in error
    assert not directory.exists()
    assert lab.damage() == ""


# Sockets ------------------------------------------------------------------------------------------

CONNECT = """
import socket, sys
sys.stdout.write("refused")
with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
    s.connect(sys.argv[1].replace("@", chr(0)))
    sys.stdout.write(", no, connected")
"""


def abstract_sockets() -> set[str]:
    """Names that anybody in the same network namespace can connect to."""
    lines = Path("/proc/net/unix").read_text().splitlines()[1:]
    return {words[7] for line in lines if len(words := line.split()) > 7 and words[7][0] == "@"}


def reachable_sockets(lab: Lab, runtime: Runtime) -> str:
    before = abstract_sockets()
    name = lab.name()
    runtime.run(["create", "-b", lab.bundle(args=["/bin/sleep", "1000"]), name]).ok()
    try:
        runtime.run(["exec", "-d", name, "/bin/sleep", "1000"])
        found = abstract_sockets() - before
        paths = [p for p in runtime.root.rglob("*") if stat.S_ISSOCK(p.lstat().st_mode)]
        found |= {str(path) for path in paths if _connects(str(path))}
    finally:
        runtime.run(["delete", "--force", name])
    return f"reached by others: {sorted(found)}" if found else ""


def _connects(path: str) -> bool:
    """Whether user 1000 can connect."""
    words = ["/usr/bin/python3", "-I", "-c", CONNECT, path]
    done = subprocess.run(words, user=1000, group=1000, extra_groups=[], capture_output=True)
    return b", no," in done.stdout


def test_sockets_are_out_of_reach(lab: Lab, creche: Runtime) -> None:
    assert reachable_sockets(lab, creche) == ""
    assert "@" in reachable_sockets(lab, lab.creche("abstract-start"))


def test_peers_sockets(lab: Lab, peer: Peer) -> None:
    peer(lambda runtime: reachable_sockets(lab, runtime))
