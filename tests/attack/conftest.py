"""Fixtures for attacks: a lab, the evidence of peers, and proof that the real host is unharmed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.attack.lab import Lab, identity
from tests.attack.mutants import copy_packages
from tests.support.bundle import BUSYBOX
from tests.support.runtimes import Runtime

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


@pytest.fixture
def peer(
    runc: Runtime, record_property: Callable[[str, object], None]
) -> Callable[[Callable[[Runtime], str]], str]:
    """Give a function that makes an attack on runc and notes the result, whatever it is.

    That the attack runs through, to success or to an error, shows that it is a fair one; that an
    old runc may not withstand it is no failure of ours.
    """

    def attacked(attack: Callable[[Runtime], str]) -> str:
        evidence = attack(runc)
        record_property("runc", evidence or "held")
        print(f"runc: {evidence or 'held'}")
        return evidence

    return attacked
