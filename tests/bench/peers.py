"""The peers' command lines, and one call of each."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.bench.scene import REPOSITORY, Scene

_numbers = itertools.count()


class Peer:
    """A runtime with runc's command line."""

    def __init__(self, name: str, program: str, scene: Scene) -> None:
        self.name = name
        self.argv = [program, "--root", str(scene.root(name))]
        self._scene = scene

    def new_id(self) -> str:
        """An id that no container had yet."""
        return f"{self._scene.tag}-{self.name}-{next(_numbers)}"

    def call(self, *words: str | Path) -> str:
        """One command; its output. Raises CalledProcessError."""
        return run([*self.argv, *map(str, words)], detached=words[0] == "create")

    def timed(self, *calls: Sequence[str | Path]) -> float:
        """Milliseconds that a row of commands takes."""
        began = time.monotonic_ns()
        for words in calls:
            self.call(*words)
        return (time.monotonic_ns() - began) / 1e6


def run(argv: list[str], detached: bool = False) -> str:
    """A command that is to succeed; its output. detached: what stays of it holds its streams."""
    out = subprocess.DEVNULL if detached else subprocess.PIPE
    done = subprocess.run(
        argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, text=True, timeout=60
    )
    if done.returncode:
        raise subprocess.CalledProcessError(done.returncode, argv, done.stdout, done.stderr)
    return done.stdout or ""


def runtimes(scene: Scene) -> dict[str, Peer]:
    """creche, and those peers that are installed."""
    return {
        name: Peer(name, program, scene)
        for name, program in (
            ("creche", str(REPOSITORY / "runtime/creche")),
            ("runc", shutil.which("runc")),
            ("crun", shutil.which("crun")),
        )
        if program
    }


@contextmanager
def running(scene: Scene, peers: Mapping[str, Peer]) -> Iterator[dict[str, str]]:
    """A container of each, which sleeps; their ids."""
    name = f"asleep-{next(_numbers)}"
    bundle = scene.bundle(name, ["/bin/sleep", "100000"])
    names: dict[str, str] = {}
    try:
        for peer in peers.values():
            names[peer.name] = peer.new_id()
            peer.call("create", "-b", bundle, names[peer.name])
            peer.call("start", names[peer.name])
        yield names
    finally:
        for each, container in names.items():
            peers[each].call("delete", "--force", container)


def interpreter() -> float:
    """Milliseconds of `python3 -I -S` that does nothing: what no program in Python can be below."""
    began = time.monotonic_ns()
    run([os.path.realpath("/usr/bin/python3"), "-I", "-S", "-c", "pass"])
    return (time.monotonic_ns() - began) / 1e6
