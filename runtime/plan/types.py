"""The launch plan: everything a new container process has to do, as flat JSON-able data.

Only type checkers import this module (`if TYPE_CHECKING`): at run time a plan is a plain dict,
which is what goes over the launcher's socket, into the digest and to `creche plan`.
"""

from __future__ import annotations

from typing import Any, TypedDict

from hooks.types import Hook


class IdMap(TypedDict):
    """Ids of a mount: (on the filesystem, as seen through the mount, size); recursive: ridmap."""

    uid: list[tuple[int, int, int]]
    gid: list[tuple[int, int, int]]
    recursive: bool


class MountOp(TypedDict):
    """One entry of config.json's mounts[].

    kind: "bind", "filesystem", "cgroup" or "remount"; recursive: the whole sub-tree of a bind.
    attributes set/clear on the mount itself, rset/rclear on its whole tree (MOUNT_ATTR_*).
    propagation: (MS_* flag, recursive) in the order given. late_readonly: applied after /dev is
    filled. copy_up: fill a tmpfs with what it covers. copy_link: a source that is a symbolic link
    is made again in place of being mounted. key: where it stands in the configuration.
    """

    key: str
    kind: str
    destination: str
    source: str | None
    fstype: str
    recursive: bool
    options: list[tuple[str, str | None]]
    set: int
    clear: int
    rset: int
    rclear: int
    propagation: list[tuple[int, bool]]
    late_readonly: bool
    copy_up: bool
    idmap: IdMap | None
    follow_source: bool
    follow_destination: bool
    copy_link: bool


class DeviceOp(TypedDict):
    """A device node; kind "c", "b" or "p"; mode the permission bits."""

    key: str
    path: str
    kind: str
    major: int
    minor: int
    mode: int
    uid: int
    gid: int


class Capabilities(TypedDict):
    """Five bit masks, bit N for capability N."""

    bounding: int
    effective: int
    inheritable: int
    permitted: int
    ambient: int


class ProcessPlan(TypedDict):
    """What one process becomes: shared by the container's init and by exec.

    affinity: CPUs before and after it joins the cgroup, for exec only; empty: all.
    """

    args: list[str]
    env: list[str]
    cwd: str
    uid: int
    gid: int
    groups: list[int]
    umask: int
    terminal: bool
    console_size: tuple[int, int] | None
    capabilities: Capabilities | None
    rlimits: list[tuple[int, int, int]]
    no_new_privileges: bool
    oom_score_adj: int | None
    scheduler: dict[str, int] | None
    io_priority: int | None
    affinity: tuple[list[int], list[int]]
    apparmor: str
    selinux: str


class LaunchPlan(TypedDict):
    """Compiled from a Spec for one bundle on one host; the container's id is not in it.

    new: CLONE_NEW* flags; join: (namespace type, path, key). uid_map/gid_map: (inside, outside,
    size). process is None when the configuration has none: create works, start is the error.
    """

    version: int
    rootfs: str
    new: int
    join: list[tuple[str, str, str]]
    uid_map: list[tuple[int, int, int]]
    gid_map: list[tuple[int, int, int]]
    time_offsets: list[tuple[str, int, int]]
    propagation: int
    mounts: list[MountOp]
    setup_dev: bool
    devices: list[DeviceOp]
    masked: list[str]
    readonly: list[str]
    root_readonly: bool
    hostname: str
    domainname: str
    sysctl: list[tuple[str, str]]
    personality: int | None
    memory_policy: tuple[int, list[int]] | None
    loopback: bool
    mount_label: str
    net_devices: list[tuple[str, str]]
    seccomp: dict[str, object] | None
    process: ProcessPlan | None
    create_container_hooks: list[Hook]
    start_container_hooks: list[Hook]
    cgroup_writes: list[list[str]]
    cgroup_devices: list[list[Any]]
