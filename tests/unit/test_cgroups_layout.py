"""Reading mountinfo and /proc/self/cgroup: what is mounted where, and where we are."""

from __future__ import annotations

import json

import pytest

from runtime.cgroups.layout import Hierarchy, Layout, parse, parse_own, unescape

ROOT = "23 1 254:0 / / rw,relatime - ext4 /dev/vda rw"
V2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate"
TMPFS = "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755"
V1 = [
    TMPFS,
    "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct",
    "33 31 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory",
    "34 31 0:31 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd",
]
UNIFIED = "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw"
OWN_V1 = "3:memory:/batch\n2:cpu,cpuacct:/\n1:name=systemd:/user.slice\n"


def layout(lines: list[str], own: str, available: tuple[str, ...] = ()) -> Layout:
    return Layout(parse("\n".join([ROOT, *lines]) + "\n", own), list(available))


def test_pure_v2() -> None:
    """One hierarchy, called unified."""
    found = layout([V2], "0::/user.slice/session-1.scope\n", ("cpu", "memory"))
    assert found.mode == "v2"
    assert list(found.hierarchies) == ["unified"]
    own = found.hierarchies["unified"].own_directory()
    assert own == "/sys/fs/cgroup/user.slice/session-1.scope"
    assert found.find("memory") == "unified"
    assert found.find("blkio") is None


def test_v1_hierarchies_keep_the_kernels_names_and_their_own_paths() -> None:
    """Joint controllers are one hierarchy; our own cgroup may differ from one to the next."""
    found = layout(V1, OWN_V1)
    assert found.mode == "v1"
    assert {name: h.own_directory() for name, h in found.hierarchies.items()} == {
        "memory": "/sys/fs/cgroup/memory/batch",
        "cpu,cpuacct": "/sys/fs/cgroup/cpu,cpuacct",
        "name=systemd": "/sys/fs/cgroup/systemd/user.slice",
    }
    assert found.find("cpuacct") == "cpu,cpuacct"
    assert found.find("pids") is None


def test_hybrid_finds_each_controller_where_it_is_bound() -> None:
    """Version 1 first; what it does not have may be with the unified tree."""
    found = layout([*V1, UNIFIED], OWN_V1 + "0::/\n", ("hugetlb", "io"))
    assert found.mode == "hybrid"
    assert found.find("memory") == "memory"
    assert found.find("hugetlb") == "unified"
    assert found.find("blkio") == "unified"  # version 2's name of it is io


def test_a_mount_under_another_mount_is_not_seen() -> None:
    """A cgroup2 mounted over the old tree leaves a pure version 2 view."""
    cover = "90 31 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw"
    found = layout([*V1, cover], OWN_V1 + "0::/\n")
    assert found.mode == "v2"
    assert found.hierarchies["unified"].mountpoint == "/sys/fs/cgroup"


def test_a_sysfs_on_top_hides_what_is_below() -> None:
    """Any mount on the way hides, not only cgroup mounts."""
    cover = "91 23 0:20 / /sys rw - sysfs sysfs rw"
    assert layout([*V1, cover], OWN_V1).hierarchies == {}


def test_bind_mount_of_a_part() -> None:
    """Docker without a cgroup namespace: the mount's top is our own cgroup."""
    line = "50 31 0:30 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory"
    found = layout([TMPFS, line], "3:memory:/docker/abc/inner\n")
    assert found.hierarchies["memory"].root == "/docker/abc"
    assert found.hierarchies["memory"].own_directory() == "/sys/fs/cgroup/memory/inner"


def test_of_several_mounts_the_one_that_shows_our_own_cgroup() -> None:
    """And that one even if it is in an unusual place."""
    part = "50 31 0:30 /other /sys/fs/cgroup/part rw - cgroup cgroup rw,memory"
    whole = "51 23 0:30 / /mnt/memory rw - cgroup cgroup rw,memory"
    found = layout([TMPFS, part, whole], "3:memory:/batch\n")
    assert found.hierarchies["memory"].own_directory() == "/mnt/memory/batch"


@pytest.mark.parametrize("own", ["/../outside", "/elsewhere", "/part", "/"])
def test_own_cgroup_that_the_mount_does_not_show(own: str) -> None:
    """The mount's top is the nearest one; `..` is never followed."""
    root = "/part" if own != "/" else "/"
    assert Hierarchy("memory", "/mnt", root, own).own_directory() == "/mnt"


def test_names_are_unescaped() -> None:
    """mountinfo writes blanks and backslashes in octal."""
    assert unescape(r"/mnt/a\040b\134c") == r"/mnt/a b\c"
    line = r"33 23 0:30 / /mnt/my\040groups rw - cgroup cgroup rw,memory"
    assert layout([line], "3:memory:/\n").hierarchies["memory"].mountpoint == "/mnt/my groups"


def test_own_paths_may_hold_colons_and_be_deleted() -> None:
    """The path is all that follows the second colon."""
    assert parse_own("0::/a:b (deleted)\n") == {"unified": "/a:b"}


def test_json_round_trip() -> None:
    """A layout can be part of a plan."""
    before = layout([*V1, UNIFIED], OWN_V1 + "0::/\n", ("io",))
    after = Layout.from_json(json.loads(json.dumps(before.to_json())))
    assert after.to_json() == before.to_json()
    assert after.mode == "hybrid"
