"""Mounts that shift owners, and every recursive attribute, as the kernel shows them."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.bundle import MINIMAL, Bundle, make_bundle
from tests.support.inside import ask, namespace
from tests.support.isolation import mount
from tests.support.mountinfo import parse_mountinfo
from tests.support.runtimes import Runtime

pytestmark = pytest.mark.root

Bundles = Callable[..., Bundle]

ROOT_MAP = [{"containerID": 0, "hostID": 100000, "size": 65536}]
SHIFT = [{"containerID": 1000, "hostID": 2000, "size": 1}]
OWNERS = "stat -c %u:%g /m/file /m/below/file"


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Path]:
    """A tmpfs with another below it, each with a file of user 1000."""
    top = tmp_path / "tree"
    top.mkdir()
    mount("tree", str(top), "tmpfs", 0)
    (top / "below").mkdir()
    mount("below", str(top / "below"), "tmpfs", 0)
    for file in (top / "file", top / "below/file"):
        file.write_text("x")
        os.chown(file, 1000, 1000)
    yield top
    subprocess.run(["umount", top / "below", top], check=True)


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that every user can reach: pytest's own are for root alone."""
    with tempfile.TemporaryDirectory(prefix="crt-", dir="/var/tmp") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def bound(source: Path, *options: str, **more: Any) -> dict[str, Any]:
    return {
        "destination": "/m",
        "type": "none",
        "source": str(source),
        "options": list(options),
        **more,
    }


@pytest.mark.parametrize(("option", "below"), [("idmap", "1000:1000"), ("ridmap", "2000:2000")])
def test_mapped_flat_and_with_all_below(
    creche: Runtime, bundle: Bundles, container_id: str, tree: Path, option: str, below: str
) -> None:
    made = bundle(base=MINIMAL)
    entry = bound(tree, "rbind", option, uidMappings=SHIFT, gidMappings=SHIFT)
    made.config["mounts"].append(entry)
    inside = ask(creche, made, container_id, o=OWNERS)

    assert inside["o"].split() == ["2000:2000", below]


def test_mapped_as_the_container_is(
    creche: Runtime, open_directory: Path, container_id: str, tree: Path
) -> None:
    """Without mappings of its own: owners on disk are owners inside."""
    kinds = ("mount", "pid", "user")
    linux = {
        "namespaces": [namespace(kind) for kind in kinds],
        "uidMappings": ROOT_MAP,
        "gidMappings": ROOT_MAP,
    }
    made = make_bundle(open_directory / "b", {"linux": linux}, base=MINIMAL)
    for top, directories, files in os.walk(made.rootfs):
        for name in (".", *directories, *files):
            os.chown(os.path.join(top, name), 100000, 100000, follow_symlinks=False)
    made.config["mounts"] += [
        bound(tree, "rbind", "ridmap"),
        {**bound(tree, "bind"), "destination": "/plain"},
    ]
    tree.chmod(0o777)
    inside = ask(
        creche, made, container_id, o=OWNERS, plain="stat -c %u /plain/file", new="touch /m/new"
    )

    assert inside["o"].split() == ["1000:1000", "1000:1000"]
    assert inside["plain"] == "65534"
    assert inside["new"] == ""
    assert (tree / "new").stat().st_uid == 0


# option -> what each mount of the tree shows with it; without, both are "rw,relatime".
RECURSIVE: list[tuple[list[str], set[str]]] = [
    (["rro"], {"ro", "relatime"}),
    (["rro", "rrw"], {"rw", "relatime"}),
    (["rnosuid"], {"rw", "nosuid", "relatime"}),
    (["rnosuid", "rsuid"], {"rw", "relatime"}),
    (["rnodev"], {"rw", "nodev", "relatime"}),
    (["rnodev", "rdev"], {"rw", "relatime"}),
    (["rnoexec"], {"rw", "noexec", "relatime"}),
    (["rnoexec", "rexec"], {"rw", "relatime"}),
    (["rnodiratime"], {"rw", "nodiratime", "relatime"}),
    (["rnodiratime", "rdiratime"], {"rw", "relatime"}),
    (["rnoatime"], {"rw", "noatime"}),
    (["rnoatime", "ratime"], {"rw", "relatime"}),
    (["rstrictatime"], {"rw"}),
    (["rstrictatime", "rnostrictatime"], {"rw", "relatime"}),
    (["rstrictatime", "rrelatime"], {"rw", "relatime"}),
    (["rrelatime", "rnorelatime"], {"rw", "relatime"}),
    (["rnosymfollow"], {"rw", "relatime", "nosymfollow"}),
    (["rnosymfollow", "rsymfollow"], {"rw", "relatime"}),
]


def test_every_recursive_attribute(
    creche: Runtime, bundle: Bundles, container_id: str, tree: Path
) -> None:
    """On the mount and on what lies below it; runc has these since 1.1 in part."""
    made = bundle(base=MINIMAL)
    made.config["mounts"] += [
        {**bound(tree, "rbind", *options), "destination": f"/r/{number}"}
        for number, (options, _) in enumerate(RECURSIVE)
    ]
    text = ask(creche, made, container_id, m="cat /proc/self/mountinfo")["m"]
    found = {entry.target: entry.options for entry in parse_mountinfo(text)}

    for number, (options, expected) in enumerate(RECURSIVE):
        assert found[f"/r/{number}"] == expected, options
        assert found[f"/r/{number}/below"] == expected, options


SUPERBLOCK = ("lazytime", "nolazytime", "mand", "nomand", "async", "iversion", "noiversion")


def test_options_of_the_superblock_are_taken(
    runtime: Runtime, bundle: Bundles, container_id: str
) -> None:
    """Those that leave no trace in mountinfo for a tmpfs are at least no error."""
    made = bundle(base=MINIMAL)
    made.config["mounts"] += [
        {"destination": f"/s/{name}", "type": "tmpfs", "source": "tmpfs", "options": [name]}
        for name in SUPERBLOCK
    ]
    text = ask(runtime, made, container_id, m="cat /proc/self/mountinfo")["m"]
    found = {entry.target: entry for entry in parse_mountinfo(text)}

    assert {f"/s/{name}" for name in SUPERBLOCK} <= set(found)
    assert "lazytime" in found["/s/lazytime"].super_options
