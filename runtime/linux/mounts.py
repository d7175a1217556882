"""The mount API of descriptors (Linux 5.2 to 5.12), and what is left of the old one."""

from __future__ import annotations

import os
from _struct import Struct

from runtime.linux.libc import number, syscall

NR_OPEN_TREE = 428
NR_MOVE_MOUNT = 429
NR_FSOPEN = 430
NR_FSCONFIG = 431
NR_FSMOUNT = 432
NR_MOUNT_SETATTR = 442

AT_FDCWD = -100
AT_EMPTY_PATH = 0x1000
AT_SYMLINK_NOFOLLOW = 0x100
AT_RECURSIVE = 0x8000
OPEN_TREE_CLONE = 1
OPEN_TREE_CLOEXEC = os.O_CLOEXEC
MOVE_MOUNT_F_EMPTY_PATH = 0x4
MOVE_MOUNT_T_EMPTY_PATH = 0x40
FSOPEN_CLOEXEC = 1
FSMOUNT_CLOEXEC = 1
FSCONFIG_SET_FLAG = 0
FSCONFIG_SET_STRING = 1
FSCONFIG_CMD_CREATE = 6

MOUNT_ATTR_RDONLY = 0x1
MOUNT_ATTR_NOSUID = 0x2
MOUNT_ATTR_NODEV = 0x4
MOUNT_ATTR_NOEXEC = 0x8
MOUNT_ATTR__ATIME = 0x70
MOUNT_ATTR_RELATIME = 0x00
MOUNT_ATTR_NOATIME = 0x10
MOUNT_ATTR_STRICTATIME = 0x20
MOUNT_ATTR_NODIRATIME = 0x80
MOUNT_ATTR_IDMAP = 0x100000
MOUNT_ATTR_NOSYMFOLLOW = 0x200000

MS_MOVE = 0x2000
MS_REC = 0x4000
MS_UNBINDABLE = 0x20000
MS_PRIVATE = 0x40000
MS_SLAVE = 0x80000
MS_SHARED = 0x100000
MNT_DETACH = 2
UMOUNT_NOFOLLOW = 8


# attr_set, attr_clr, propagation, userns_fd (include/uapi/linux/mount.h, MOUNT_ATTR_SIZE_VER0)
_MOUNT_ATTR = Struct("=QQQQ")
_NR_PIVOT_ROOT = number("pivot_root")
_NR_MOUNT = number("mount")
_NR_UMOUNT2 = number("umount2")


def open_tree(dirfd: int, path: str, flags: int) -> int:
    """A descriptor of a mount; with OPEN_TREE_CLONE of a detached copy. Always close-on-exec."""
    return syscall("open_tree", NR_OPEN_TREE, dirfd, os.fsencode(path), flags | OPEN_TREE_CLOEXEC)


def clone_tree(fd: int, recursive: bool = False) -> int:
    """A detached copy of the mount (sub-tree) that an open descriptor refers to."""
    flags = OPEN_TREE_CLONE | AT_EMPTY_PATH | (AT_RECURSIVE if recursive else 0)
    return open_tree(fd, "", flags)


def attach(mount_fd: int, target_fd: int) -> None:
    """Attach a detached mount on the object that target_fd refers to: move_mount(2)."""
    syscall(
        "move_mount",
        NR_MOVE_MOUNT,
        mount_fd,
        b"",
        target_fd,
        b"",
        MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH,
    )


def mount_setattr(
    fd: int, set_: int = 0, clear: int = 0, propagation: int = 0, recursive: bool = False,
    userns_fd: int = 0,
) -> None:  # fmt: skip
    """Change the attributes of the mount that fd refers to: mount_setattr(2), Linux 5.12."""
    attr = _MOUNT_ATTR.pack(set_, clear, propagation, userns_fd)
    flags = AT_EMPTY_PATH | (AT_RECURSIVE if recursive else 0)
    syscall("mount_setattr", NR_MOUNT_SETATTR, fd, b"", flags, attr, len(attr))


def new_filesystem(
    fstype: str, source: str | None, options: list[tuple[str, str | None]], attributes: int
) -> int:
    """Make a filesystem instance and a detached mount of it: fsopen, fsconfig, fsmount.

    options: (name, value or None for a plain flag), as mount(8) would pass them in its data.
    Raises OSError whose text ends in the kernel's own explanation where it gives one.
    """
    context = syscall("fsopen", NR_FSOPEN, os.fsencode(fstype), FSOPEN_CLOEXEC)
    try:
        try:
            if source is not None:
                _fsconfig(context, FSCONFIG_SET_STRING, "source", source)
            for name, value in options:
                if value is None:
                    _fsconfig(context, FSCONFIG_SET_FLAG, name, None)
                else:
                    _fsconfig(context, FSCONFIG_SET_STRING, name, value)
            _fsconfig(context, FSCONFIG_CMD_CREATE, None, None)
            return syscall("fsmount", NR_FSMOUNT, context, FSMOUNT_CLOEXEC, attributes)
        except OSError as error:
            raise OSError(error.errno, f"{error.strerror}{_explanation(context)}") from None
    finally:
        os.close(context)


def _fsconfig(context: int, command: int, name: str | None, value: str | None) -> None:
    label = "fsconfig" if name is None else f"fsconfig {name}"
    key = None if name is None else os.fsencode(name)
    text = None if value is None else os.fsencode(value)
    syscall(label, NR_FSCONFIG, context, command, key, text, 0)


def _explanation(context: int) -> str:
    """What the kernel logged in the filesystem context: lines like `e tmpfs: Bad value`."""
    try:
        line = os.read(context, 4096)
    except OSError:
        return ""
    return f" ({line[2:].decode(errors='replace').strip()})"


def set_propagation(path: str, flags: int) -> None:
    """mount(NULL, path, NULL, flags): change the propagation of an attached mount."""
    syscall("mount", _NR_MOUNT, None, os.fsencode(path), None, flags, None)


def move_to_root(path: str) -> None:
    """mount(path, "/", MS_MOVE): the way in where pivot_root cannot be used (an initramfs)."""
    syscall("mount", _NR_MOUNT, os.fsencode(path), b"/", None, MS_MOVE, None)


def umount(path: str, flags: int = MNT_DETACH) -> None:
    """umount2(2)."""
    syscall("umount2", _NR_UMOUNT2, os.fsencode(path), flags)


def pivot_root(new_root: str, put_old: str) -> None:
    """pivot_root(2)."""
    syscall("pivot_root", _NR_PIVOT_ROOT, os.fsencode(new_root), os.fsencode(put_old))
