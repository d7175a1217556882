"""The peers' command lines, and one call of each."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from tests.bench.scene import REPOSITORY, Scene

_numbers = itertools.count()


class Peer:
    """A runtime with runc's command line."""

    def __init__(self, name: str, program: str, scene: Scene, *options: str) -> None:
        self.name = name
        self.argv = [program, "--root", str(scene.root(name)), *options]
        self._scene = scene

    def new_id(self) -> str:
        """An id that no container had yet."""
        return f"{self._scene.tag}-{self.name}-{next(_numbers)}"

    def call(self, *words: str | Path) -> str:
        """One command; its output. Raises CalledProcessError."""
        return run([*self.argv, *map(str, words)], detached=words[0] == "create")

    def to_first_instruction(self, bundle: Path) -> float:
        """Milliseconds from the call of `run` to the program's first instruction."""
        began = time.monotonic_ns()
        said = self.call("run", "-b", bundle, self.new_id())
        return (int(said) - began) / 1e6

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
    found = {"creche": Peer("creche", str(REPOSITORY / "runtime/creche"), scene)}
    for name, options in (("runc", ()), ("crun", crun_options())):
        program = shutil.which(name)
        if program:
            found[name] = Peer(name, program, scene, *options)
    return found


def crun_options() -> tuple[str, ...]:
    """Without CAP_SYS_RESOURCE crun cannot load its device program: it runs without a cgroup."""
    with open("/proc/self/status", encoding="ascii") as file:
        effective = next(int(line.split()[1], 16) for line in file if line.startswith("CapEff"))
    return () if effective >> 24 & 1 else ("--cgroup-manager=disabled",)


def interpreter() -> float:
    """Milliseconds of `python3 -I -S` that does nothing: what no program in Python can be below."""
    began = time.monotonic_ns()
    run([os.path.realpath("/usr/bin/python3"), "-I", "-S", "-c", "pass"])
    return (time.monotonic_ns() - began) / 1e6
