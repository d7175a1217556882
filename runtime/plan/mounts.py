"""Mount options: which attribute of the mount, propagation or filesystem option each one is.

config.md#linux-mount-options lists them. Attributes belong to the mount (mount_setattr(2)), the
rest to the filesystem instance (fsconfig(2)). Within one list the last word wins, as with mount(8).
"""

from __future__ import annotations

import runtime.linux.mounts as m
from runtime.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.plan.types import MountOp
    from runtime.spec.types import IDMapping, Linux, Mount

ATIME = m.MOUNT_ATTR__ATIME

# name -> (attributes to set, attributes to clear)
ATTRIBUTES: dict[str, tuple[int, int]] = {
    "ro": (m.MOUNT_ATTR_RDONLY, 0),
    "rw": (0, m.MOUNT_ATTR_RDONLY),
    "nosuid": (m.MOUNT_ATTR_NOSUID, 0),
    "suid": (0, m.MOUNT_ATTR_NOSUID),
    "nodev": (m.MOUNT_ATTR_NODEV, 0),
    "dev": (0, m.MOUNT_ATTR_NODEV),
    "noexec": (m.MOUNT_ATTR_NOEXEC, 0),
    "exec": (0, m.MOUNT_ATTR_NOEXEC),
    # The access-time modes are one three-bit field: clear it whole, then set a value.
    "noatime": (m.MOUNT_ATTR_NOATIME, ATIME),
    "atime": (m.MOUNT_ATTR_RELATIME, ATIME),
    "relatime": (m.MOUNT_ATTR_RELATIME, ATIME),
    "norelatime": (0, 0),  # relatime is what the kernel does without it
    "strictatime": (m.MOUNT_ATTR_STRICTATIME, ATIME),
    "nostrictatime": (m.MOUNT_ATTR_RELATIME, ATIME),
    "nodiratime": (m.MOUNT_ATTR_NODIRATIME, 0),
    "diratime": (0, m.MOUNT_ATTR_NODIRATIME),
    "nosymfollow": (m.MOUNT_ATTR_NOSYMFOLLOW, 0),
    "symfollow": (0, m.MOUNT_ATTR_NOSYMFOLLOW),
}
RECURSIVE = {f"r{name}": bits for name, bits in ATTRIBUTES.items()}
# mount(8): these take back one mode of access times; another one that was asked for stays.
TAKES_BACK = {"atime": m.MOUNT_ATTR_NOATIME, "nostrictatime": m.MOUNT_ATTR_STRICTATIME}

PROPAGATION: dict[str, tuple[int, bool]] = {
    "private": (m.MS_PRIVATE, False),
    "rprivate": (m.MS_PRIVATE, True),
    "shared": (m.MS_SHARED, False),
    "rshared": (m.MS_SHARED, True),
    "slave": (m.MS_SLAVE, False),
    "rslave": (m.MS_SLAVE, True),
    "unbindable": (m.MS_UNBINDABLE, False),
    "runbindable": (m.MS_UNBINDABLE, True),
}
# Flags of the superblock; the kernel takes them by name from fsconfig(2).
SUPERBLOCK = ("sync", "async", "dirsync", "lazytime", "nolazytime", "mand", "nomand")
# Words that change nothing for a mount made by fsopen(2).
NEUTRAL = ("defaults", "silent", "loud", "iversion", "noiversion")
SPECIAL = (
    "bind",
    "rbind",
    "remount",
    "tmpcopyup",
    "idmap",
    "ridmap",
    "src-nofollow",
    "dest-nofollow",
    "copy-symlink",
)

# What may be mounted below /proc: files that lxcfs and its like provide (as runc; CVE-2019-16884).
PROC_FILES = (
    "/proc/cpuinfo", "/proc/diskstats", "/proc/meminfo", "/proc/stat", "/proc/swaps",
    "/proc/uptime", "/proc/loadavg", "/proc/slabinfo", "/proc/sys/kernel/ns_last_pid",
    "/proc/sys/crypto/fips_enabled",
)  # fmt: skip


def known_options() -> list[str]:
    """Every option that is not passed on to the filesystem, for `features`."""
    return sorted({*ATTRIBUTES, *RECURSIVE, *PROPAGATION, *SUPERBLOCK, *NEUTRAL, *SPECIAL})


def normalise(path: str) -> str:
    """An absolute path without `.`, `..` and doubled slashes; it cannot climb above `/`."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return "/" + "/".join(parts)


def compile_mount(
    index: int, mount: Mount, linux: Linux, bundle: str, warn: Callable[[str], None]
) -> MountOp:
    """One mounts[] entry as an operation; raises ConfigError for what no kernel could do."""
    key = f"mounts[{index}]"
    destination = mount["destination"]
    if not destination.startswith("/"):
        warn(f"{key}.destination: {destination!r} is relative; taken as /{destination}")
    op: MountOp = {
        "key": key,
        "kind": "filesystem",
        "destination": normalise(destination),
        "source": mount.get("source"),
        "fstype": mount.get("type", ""),
        "recursive": False,
        "options": [],
        "set": 0,
        "clear": 0,
        "rset": 0,
        "rclear": 0,
        "propagation": [],
        "late_readonly": False,
        "copy_up": False,
        "idmap": None,
        "follow_source": True,
        "follow_destination": True,
        "copy_link": False,
    }
    data: list[str] = []
    for option in mount.get("options", []):
        _apply_option(op, option, data)
    _decide_kind(op, data, bundle, warn)
    _refuse_over_proc(op)
    _map_ids(op, mount, linux)
    return op


def _apply_option(op: MountOp, option: str, data: list[str]) -> None:
    if option in ATTRIBUTES:
        op["set"], op["clear"] = _attributes(op["set"], op["clear"], option)
    elif option in RECURSIVE:
        op["rset"], op["rclear"] = _attributes(op["rset"], op["rclear"], option[1:])
    elif option in PROPAGATION:
        op["propagation"].append(PROPAGATION[option])
    elif option in ("bind", "rbind"):
        op["kind"] = "bind"
        op["recursive"] = option == "rbind"
    elif option == "remount":
        op["kind"] = "remount"
    elif option == "src-nofollow":
        op["follow_source"] = False
    elif option == "dest-nofollow":
        op["follow_destination"] = False
    elif option == "copy-symlink":
        op["follow_source"] = False
        op["copy_link"] = True
    elif option == "tmpcopyup":
        op["copy_up"] = True
    elif option in ("idmap", "ridmap"):
        op["idmap"] = {"uid": [], "gid": [], "recursive": option == "ridmap"}
    elif option not in NEUTRAL:
        data.extend(part for part in option.split(",") if part)


def _attributes(so_far: int, cleared: int, option: str) -> tuple[int, int]:
    """The bits to set and to clear once one more option has been read."""
    set_, clear = ATTRIBUTES[option]
    other = cleared & ATIME and so_far & ATIME != TAKES_BACK.get(option)
    if option in TAKES_BACK and other:
        return so_far, cleared
    return so_far & ~clear | set_, cleared & ~(set_ & ~ATIME) | clear


def _decide_kind(op: MountOp, data: list[str], bundle: str, warn: Callable[[str], None]) -> None:
    if op["kind"] == "filesystem" and op["fstype"] in ("bind", "rbind"):
        op["kind"] = "bind"
        op["recursive"] = op["fstype"] == "rbind"
    if op["kind"] == "bind":
        source = op["source"]
        if not source:
            raise ConfigError(op["key"] + ".source", "a bind mount needs a source")
        # config.md: relative to the bundle. Kept literal, `..` and all: it is the administrator's.
        op["source"] = source if source.startswith("/") else f"{bundle}/{source}"
        if data:
            warn(f"{op['key']}.options: {','.join(data)} has no meaning for a bind mount; ignored")
        return
    if op["kind"] == "remount":
        return
    if op["copy_up"] and op["fstype"] != "tmpfs":
        raise ConfigError(op["key"] + ".options", "tmpcopyup is for a tmpfs only")
    if not op["fstype"]:
        raise ConfigError(op["key"] + ".type", "expected a filesystem type, found none")
    if op["fstype"] in ("cgroup", "cgroup2"):
        op["kind"] = "cgroup"
    for part in data:
        name, equals, value = part.partition("=")
        op["options"].append((name, value if equals else None))
    # /dev is still to be filled, and a tmpfs may get mount points made in it.
    if op["set"] & m.MOUNT_ATTR_RDONLY and op["fstype"] == "tmpfs":
        op["set"] &= ~m.MOUNT_ATTR_RDONLY
        op["late_readonly"] = True


def _map_ids(op: MountOp, mount: Mount, linux: Linux) -> None:
    """The mount's own mappings, or with the option `idmap` alone those of the container."""
    uid, gid = mount.get("uidMappings", []), mount.get("gidMappings", [])
    if op["idmap"] is None and not uid:
        return
    if op["kind"] != "bind":
        raise ConfigError(op["key"], "idmapped mounts are for bind mounts only")
    recursive = op["idmap"] is not None and op["idmap"]["recursive"]
    op["idmap"] = {
        "uid": id_map(uid or linux.get("uidMappings", [])),
        "gid": id_map(gid or linux.get("gidMappings", [])),
        "recursive": recursive,
    }


def id_map(entries: list[IDMapping]) -> list[tuple[int, int, int]]:
    """Mappings as (inside, outside, size)."""
    return [(entry["containerID"], entry["hostID"], entry["size"]) for entry in entries]


def _refuse_over_proc(op: MountOp) -> None:
    """Nothing may cover parts of /proc that we or the kernel's LSMs rely on (CVE-2019-16884)."""
    destination = op["destination"]
    if destination == "/":
        raise ConfigError(op["key"] + ".destination", "cannot mount on the container's root")
    if destination == "/proc":
        if op["kind"] == "filesystem" and op["fstype"] == "proc":
            return
        if op["kind"] in ("bind", "remount"):
            return  # a bind of a procfs is legal; the executor checks that it is one
        raise ConfigError(
            op["key"] + ".destination", f'"/proc" cannot be mounted because it is a {op["fstype"]}'
        )
    if destination.startswith("/proc/") and destination not in PROC_FILES:
        raise ConfigError(
            op["key"] + ".destination",
            f'"{destination}" cannot be mounted because it is inside /proc',
        )
