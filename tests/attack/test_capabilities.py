"""CVE-2022-29162: capabilities that `exec --cap` adds do not become inheritable.

A program with inheritable file capabilities, run by an ordinary user, would get them. The image has
such a program: `cat` with cap_net_raw in its file's inheritable set.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.attack.lab import Lab
from tests.support.bundle import BUSYBOX
from tests.support.runtimes import Runtime

pytestmark = pytest.mark.root

CAP_NET_RAW = 13
_REVISION_2, _EFFECTIVE = 0x02000000, 1  # struct vfs_cap_data, include/uapi/linux/capability.h


def add_program(rootfs: Path) -> None:
    """`/with-caps/cat`, whose file says cap_net_raw=ei (xattr(7), capabilities(7))."""
    program = rootfs / "with-caps/cat"
    program.parent.mkdir()
    program.write_bytes(BUSYBOX.read_bytes())
    program.chmod(0o755)
    data = struct.pack("<IIIII", _REVISION_2 | _EFFECTIVE, 0, 1 << CAP_NET_RAW, 0, 0)
    os.setxattr(program, "security.capability", data)


def sets(text: str) -> dict[str, int]:
    lines = (line.split() for line in text.splitlines() if line.startswith("Cap"))
    return {name.rstrip(":"): int(value, 16) for name, value in lines}


def caps(lab: Lab, runtime: Runtime, *words: str) -> dict[str, int]:
    """The capability sets of a program that exec starts, as the program itself reads them."""
    own = ["CAP_KILL"]
    everything = [*own, "CAP_NET_RAW"]
    made = lab.bundle(
        {
            "process": {
                "noNewPrivileges": False,
                "capabilities": {"bounding": everything, "permitted": own, "effective": own},
            }
        },
        args=["/bin/sleep", "1000"],
    )
    add_program(made.rootfs)
    name = lab.name()
    runtime.run(["run", "-d", "-b", made, name]).ok()
    index = len(words) - words[::-1].index("--") - 1
    args = [*words[:index], name, *words[index + 1 :], "/proc/self/status"]
    return sets(runtime.run(["exec", *args]).ok().stdout)


def attack(lab: Lab, runtime: Runtime) -> str:
    user = ("--user", "1000:1000", "--cap", "CAP_NET_RAW", "--", "/with-caps/cat")
    held = caps(lab, runtime, *user)
    return f"uid 1000 has {held['CapEff']:#x}" if held["CapPrm"] or held["CapEff"] else ""


def test_a_program_of_an_ordinary_user_gets_nothing(lab: Lab, creche: Runtime) -> None:
    assert attack(lab, creche) == ""
    assert attack(lab, lab.creche("inheritable-capabilities")) == "uid 1000 has 0x2000"


def test_added_capabilities_are_neither_inheritable_nor_ambient(lab: Lab, creche: Runtime) -> None:
    held = caps(lab, creche, "--cap", "CAP_NET_RAW", "--", "/bin/cat")

    assert held["CapPrm"] >> CAP_NET_RAW & 1
    assert (held["CapInh"], held["CapAmb"]) == (0, 0)


def test_peers(lab: Lab, peer: Callable[[Callable[[Runtime], str]], str]) -> None:
    peer(lambda runtime: attack(lab, runtime))
