"""Fixtures for attacks: a lab, the evidence of peers, and proof that the real host is unharmed."""

from __future__ import annotations

import itertools
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.attack.lab import Lab, identity
from tests.attack.mutants import copy_packages
from tests.support.bundle import BUSYBOX
from tests.support.runtimes import Argument, Runtime

# What real exploits of these holes go for. No test here comes near them.
_PRECIOUS = [
    path
    for path in map(Path, ("/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe"))
    if path.exists()
]


@pytest.fixture(scope="session")
def attack_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a compiled copy of the packages with an interpreter, which mutants are made from."""
    tree = tmp_path_factory.mktemp("attack") / "creche"
    copy_packages(tree)
    shutil.copy(BUSYBOX, tree.parent / "busybox")
    return tree


@pytest.fixture
def lab(tmp_path: Path, attack_base: Path, creche: Runtime) -> Lab:
    """Give a lab. Mutants share creche's state directory, so that creche clears up after them."""
    return Lab(tmp_path, attack_base, creche.root)


@pytest.fixture(autouse=True)
def _host_unharmed() -> Iterator[None]:
    """Fail a test after which the machine's interpreter or kernel settings are not as before."""
    interpreter = os.path.realpath("/proc/self/exe")
    settings = [path.read_text() for path in _PRECIOUS]
    before = identity(interpreter)
    yield
    assert identity(interpreter) == before
    assert [path.read_text() for path in _PRECIOUS] == settings


class Crun(Runtime):
    """crun without control groups: Debian's refuses a machine that has both versions."""

    def argv(self, args: Sequence[Argument]) -> list[str]:
        """Return the words of a call; the bundle loses its mount of control groups."""
        for option, value in itertools.pairwise(args):
            if option == "-b":
                path = Path(value) / "config.json"
                config = json.loads(path.read_text())
                config["mounts"] = [m for m in config["mounts"] if m.get("type") != "cgroup"]
                path.write_text(json.dumps(config))
        program, *words = super().argv(args)
        # Read-only: `exec --cgroup` would make files in that tmpfs, which is the machine's.
        hidden = "cd /sys/fs/cgroup; umount -l unified; mount -o remount,bind,ro ."
        hidden += '; cd "$OLDPWD"; exec "$@"'
        outside = ["unshare", "--mount", "/bin/sh", "-c", hidden, "sh"]
        return [*outside, program, "--cgroup-manager=disabled", *words]


@pytest.fixture(params=["runc", "crun"])
def other(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Runtime]:
    """Give each peer in turn, with a private state directory."""
    made = {"runc": Runtime, "crun": Crun}[request.param](request.param, tmp_path / "peer")
    if not made.available:
        pytest.skip(f"{made.name} is not installed")
    made.root.mkdir(mode=0o700)
    yield made
    made.clean()


@pytest.fixture
def peer(
    other: Runtime, record_property: Callable[[str, object], None]
) -> Callable[[Callable[[Runtime], str]], str]:
    """Give a function that makes an attack on a peer and notes the result, whatever it is.

    That the attack runs through, to success or to an error, shows that it is a fair one; that an
    old peer may not withstand it, or cannot do what the attack needs, is no failure of ours.
    """

    def attacked(attack: Callable[[Runtime], str]) -> str:
        try:
            evidence = attack(other) or "held"
        except AssertionError as error:
            evidence = "not comparable: " + " ".join(str(error).split())[-400:]
        record_property(other.name, evidence)
        print(f"{other.name}: {evidence}")
        return evidence

    return attacked
