"""CVE-2025-31133: what covers a masked path is the host's null device, not what the image says.

runc bound the container's /dev/null over masked files. An image, or a second container with the
same /dev, could have a symbolic link there, and so choose what appeared, writable, at a path of
/proc. Here the link leads to a file of the image, which does no harm.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.attack.lab import Lab
from tests.support.bundle import Bundle, Config
from tests.support.runtimes import Runtime

pytestmark = pytest.mark.root

MASKED = "/proc/keys"
LOOK = f"stat -c '%F %t:%T' {MASKED}; head -c 20 {MASKED}"
NULL = "character special file 1:3\n"


def _link(null: Path) -> None:
    null.symlink_to("/chosen")


def _relative_link(null: Path) -> None:
    null.symlink_to("../chosen")


def _file(null: Path) -> None:
    null.write_text("chosen by the image\n")


def _zero(null: Path) -> None:
    os.mknod(null, stat.S_IFCHR | 0o666, os.makedev(1, 5))


NULLS = {"link": _link, "relative link": _relative_link, "file": _file, "another device": _zero}


def bundle_with(lab: Lab, kind: str, *, shared: bool) -> Bundle:
    """A hostile /dev/null: in the image's own /dev, or in a volume that is bound there."""
    made = lab.bundle(sh=LOOK)
    (made.rootfs / "chosen").write_text("chosen by the image\n")
    directory = made.rootfs / "dev"
    mounts: list[Config] = [{"destination": "/proc", "type": "proc", "source": "proc"}]
    if shared:
        directory = made.path / "volume"
        directory.mkdir()
        source = str(directory)
        mounts.append(
            {"destination": "/dev", "type": "bind", "source": source, "options": ["bind"]}
        )
    NULLS[kind](directory / "null")
    return made.patch({"mounts": mounts, "linux": {"maskedPaths": [MASKED]}})


def attack(lab: Lab, runtime: Runtime, kind: str, *, shared: bool) -> str:
    result = runtime.run(["run", "-b", bundle_with(lab, kind, shared=shared), lab.name()])
    if result.rc != 0 or result.stdout == NULL:
        return ""
    return f"at {MASKED}: {result.stdout!r}"


@pytest.mark.parametrize("kind", NULLS)
def test_a_volume_on_dev_does_not_choose_the_mask(lab: Lab, creche: Runtime, kind: str) -> None:
    made = bundle_with(lab, kind, shared=True)

    assert creche.run(["run", "-b", made, lab.name()]).ok().stdout == NULL
    assert attack(lab, lab.creche("image-null"), kind, shared=True)


@pytest.mark.parametrize("kind", NULLS)
def test_an_image_with_a_false_null_device_is_refused(lab: Lab, creche: Runtime, kind: str) -> None:
    made = bundle_with(lab, kind, shared=False)
    result = creche.run(["run", "-b", made, lab.name()]).failed()

    assert "/dev/null" in result.stderr
    assert attack(lab, lab.creche("any-null"), kind, shared=False)


@pytest.mark.parametrize("kind", NULLS)
def test_peers(lab: Lab, peer: Callable[[Callable[[Runtime], str]], str], kind: str) -> None:
    peer(lambda runtime: attack(lab, runtime, kind, shared=True))
