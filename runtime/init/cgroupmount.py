"""cgroup v2 for a container without a cgroup namespace of its own: the host's mount once more.

A new mount would show the same tree. But made in the initial cgroup namespace it sets the options
of the whole hierarchy to its own (the host loses nsdelegate and memory_recursiveprot) and waits for
an RCU grace period: 8 to 14 ms on Linux 6.18 (cgroup_favor_dynmods in kernel/cgroup/cgroup.c).
"""

from __future__ import annotations

import os

import runtime.linux.mounts as m
from runtime.linux.paths import CGROUP2_SUPER_MAGIC, filesystem_type

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.plan.types import MountOp

# PROC_CGROUP_INIT_INO and PROC_USER_INIT_INO of include/linux/proc_ns.h: never anything else.
_INITIAL = (("cgroup", 0xEFFFFFFB), ("user", 0xEFFFFFFD))
_ATTRIBUTES = (
    m.MOUNT_ATTR_RDONLY
    | m.MOUNT_ATTR_NOSUID
    | m.MOUNT_ATTR_NODEV
    | m.MOUNT_ATTR_NOEXEC
    | m.MOUNT_ATTR__ATIME
    | m.MOUNT_ATTR_NODIRATIME
    | m.MOUNT_ATTR_NOSYMFOLLOW
)


def hosts_cgroup2(op: MountOp, options: list[tuple[str, str | None]]) -> int | None:
    """A detached copy of the host's mount with the attributes of `op`; None: mount a new one.

    options: of the filesystem; whoever sets some in the configuration gets them. Raises OSError.
    """
    if options or not all(_inode(kind) == number for kind, number in _INITIAL):
        return None
    try:
        tree = m.open_tree(m.AT_FDCWD, "/sys/fs/cgroup", m.OPEN_TREE_CLONE)
    except OSError:
        return None
    try:
        if filesystem_type(tree) != CGROUP2_SUPER_MAGIC:
            os.close(tree)
            return None
        # Private, as a new one would be: CRIU refuses a mount whose master is out of its reach.
        m.mount_setattr(tree, op["set"], _ATTRIBUTES, m.MS_PRIVATE)
    except BaseException:
        os.close(tree)
        raise
    return tree


def _inode(kind: str) -> int:
    try:
        return os.stat(f"/proc/self/ns/{kind}").st_ino
    except OSError:
        return 0
