"""Where attacks are made: something on the host to protect, bundles, the runtime and its mutants.

Every attack is a function of a lab and a runtime, and returns the evidence that it succeeded: an
empty string if it did not.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.attack.mutants import MUTANTS, copy_tree
from tests.support.bundle import Bundle, Patch, make_bundle
from tests.support.isolation import PREFIX
from tests.support.runtimes import Argument, Runtime
from tests.support.waiting import DEADLINE, read_until

CANARY = "the canary sings\n"
DIRECTORIES = ("bin", "dev", "etc", "proc", "root", "sys", "tmp", "var/tmp")
APPLETS = (
    *("cat", "echo", "false", "grep", "head", "ls", "mv", "readlink", "sed", "sh", "sleep"),
    *("stat", "test", "true", "usleep"),
)
_numbers = itertools.count(1)
_HERE = Path(__file__).parent


class Copy(Runtime):
    """A copy of creche, perhaps a mutant, with an interpreter of its own next to it."""

    def __init__(self, tree: Path, root: Path) -> None:
        super().__init__("creche", root)
        self.tree = tree
        self.interpreter = tree / "runtime/python3"
        self._program = str(tree / "runtime/creche")


class Inheriting(Runtime):
    """Another runtime, started with descriptors from 3 to `last` open on the host's files."""

    def __init__(self, runtime: Runtime, lab: Lab, last: int) -> None:
        super().__init__(runtime.name, runtime.root)
        self._prefix = [sys.executable, "-I", "-S", str(_HERE / "inherit.py")]
        self._prefix += [str(lab.host), str(lab.canary), str(last)]
        self._runtime = runtime

    def argv(self, args: Sequence[Argument]) -> list[str]:
        """Return the words of a call, behind the program that opens the descriptors."""
        return [*self._prefix, *self._runtime.argv(args)]


class Lab:
    """host: a directory outside every root file system, with the canary in it."""

    def __init__(self, directory: Path, base: Path, root: Path) -> None:
        self.directory = directory
        self.base = base
        self.root = root
        self.host = directory / "host"
        self.host.mkdir()
        self.canary = self.host / "canary"
        self.canary.write_text(CANARY)
        self._before = self.outside()

    def name(self) -> str:
        """Return a new container id."""
        return f"{PREFIX}attack{next(_numbers)}"

    def bundle(self, patch: Patch = None, **options: Any) -> Bundle:
        """Make a bundle whose root file system may be written to."""
        path = self.directory / f"bundle{next(_numbers)}"
        made = make_bundle(path, rootfs=False, **options)
        self._fill(made.rootfs)
        made.config["root"]["readonly"] = False
        return made.patch(patch)

    def _fill(self, rootfs: Path) -> None:
        """A small root file system, quick to make and to remove: there are many of them."""
        for name in DIRECTORIES:
            (rootfs / name).mkdir(parents=True)
        os.link(self.base.parent / "busybox", rootfs / "bin/busybox")
        for applet in APPLETS:
            (rootfs / "bin" / applet).symlink_to("busybox")
        (rootfs / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")

    def creche(self, mutant: str | None = None, directory: str = "creche") -> Copy:
        """Install a copy of creche; with a mutant's name without one defence."""
        tree = self.directory / f"{directory}{next(_numbers)}"
        copy_tree(self.base, tree, MUTANTS[mutant] if mutant else None)
        return Copy(tree, self.root)

    def outside(self) -> dict[str, str]:
        """Return what lies in the host's directory: kind, owner, content."""
        found = {}
        for path in sorted(self.host.rglob("*")):
            info = path.lstat()
            content = digest(path) if path.is_file() and not path.is_symlink() else ""
            words = f"{info.st_mode:o} {info.st_uid} {info.st_rdev} {content}"
            found[str(path.relative_to(self.host))] = words
        return found

    def prepared(self) -> None:
        """Take what the host's directory holds now as what it has to hold in the end."""
        self._before = self.outside()

    def damage(self) -> str:
        """Say what happened to the host's directory since; empty if nothing."""
        now = self.outside()
        changed = {
            name: (self._before.get(name), now.get(name))
            for name in {*now, *self._before}
            if now.get(name) != self._before.get(name)
        }
        return f"outside the container: {changed}" if changed else ""


@contextmanager
def swapping(one: Path, other: Path) -> Iterator[None]:
    """Exchange two directory entries as fast as possible meanwhile."""
    argv = [sys.executable, "-I", "-S", str(_HERE / "swapper.py"), str(one), str(other)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            read_until(process.stdout.fileno(), b".")
            yield
        finally:
            process.stdin.close()
            assert process.wait(DEADLINE) == 0


def digest(path: Path) -> str:
    """Return a hash of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def identity(path: Path | str) -> tuple[int, ...]:
    """Return what changes when a file is written to or replaced."""
    info = os.stat(path)
    return info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns
