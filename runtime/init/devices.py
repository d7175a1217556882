"""Device nodes and links in /dev (config-linux.md#devices, runtime-linux.md#dev-symbolic-links).

Everything is made through a descriptor of the directory, so an image whose /dev is a symbolic link
cannot have nodes made or files removed on the host (CVE-2026-41579).
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat

import runtime.linux.mounts as m
from runtime.errors import KernelError
from runtime.init.inroot import open_or_create, open_path, split

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.plan.types import DeviceOp

KINDS = {"c": stat.S_IFCHR, "b": stat.S_IFBLK, "p": stat.S_IFIFO}
LINKS = (
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
)


def make(root: int, devices: list[DeviceOp], bind_from_host: bool) -> None:
    """Make every node. bind_from_host: a user namespace cannot mknod(2), so the host's is bound."""
    old = os.umask(0)  # so that mknod(2) itself sets the exact mode, and no chmod can be raced
    opened, directory = "", -1  # most nodes are in the same one
    try:
        for op in devices:
            parent, name = split(op["path"])
            try:
                if parent != opened:
                    if directory >= 0:
                        os.close(directory)
                        opened, directory = "", -1
                    directory, _ = open_or_create(root, parent, directory=True)
                    opened = parent
                _make_one(root, directory, name, op, bind_from_host)
            except OSError as error:
                raise KernelError("device", op["path"], error.errno or 0, op["key"]) from None
    finally:
        if directory >= 0:
            os.close(directory)
        os.umask(old)


def _make_one(root: int, directory: int, name: str, op: DeviceOp, bind_from_host: bool) -> None:
    if bind_from_host and op["kind"] != "p":
        _bind(root, op)
        return
    device = os.makedev(op["major"], op["minor"])
    try:
        os.mknod(name, KINDS[op["kind"]] | op["mode"], device, dir_fd=directory)
    except FileExistsError:
        _require_same(directory, name, op, device)
        return
    except PermissionError:
        # A runtime inside a container has no CAP_MKNOD either.
        if op["kind"] == "p":
            raise
        _bind(root, op)
        return
    if op["uid"] or op["gid"]:
        os.chown(name, op["uid"], op["gid"], dir_fd=directory, follow_symlinks=False)


def _require_same(directory: int, name: str, op: DeviceOp, device: int) -> None:
    """config-linux.md: an existing file that is not the requested device is an error."""
    found = os.stat(name, dir_fd=directory, follow_symlinks=False)
    same = stat.S_IFMT(found.st_mode) == KINDS[op["kind"]]
    if not same or (op["kind"] != "p" and found.st_rdev != device):
        raise KernelError(
            "device", op["path"], errno.EEXIST, op["key"], "another kind of file is there"
        )


def _bind(root: int, op: DeviceOp) -> None:
    source = m.open_tree(m.AT_FDCWD, op["path"], m.OPEN_TREE_CLONE | m.AT_SYMLINK_NOFOLLOW)
    try:
        info = os.fstat(source)
        wanted = (KINDS[op["kind"]], os.makedev(op["major"], op["minor"]))
        if (stat.S_IFMT(info.st_mode), info.st_rdev) != wanted:
            raise KernelError(
                "device", op["path"], errno.EINVAL, op["key"], "the host's node is another device"
            )
        target, _ = open_or_create(root, op["path"], directory=False)
        try:
            m.attach(source, target)
        finally:
            os.close(target)
    finally:
        os.close(source)


def link(root: int) -> None:
    """/dev/fd, stdin, stdout, stderr, ptmx (and core where the host has it), where missing."""
    try:
        directory, _ = open_or_create(root, "/dev", directory=True)
    except OSError as error:
        raise KernelError("open", "/dev", error.errno or 0, "root.path") from None
    try:
        for name, target in LINKS:
            _symlink(target, name, directory)
        _link_ptmx(root, directory)
    except OSError as error:
        raise KernelError("link in", "/dev", error.errno or 0, "root.path") from None
    finally:
        os.close(directory)


def _symlink(target: str, name: str, directory: int) -> None:
    try:
        os.symlink(target, name, dir_fd=directory)
    except FileExistsError:
        pass


def _link_ptmx(root: int, directory: int) -> None:
    """/dev/ptmx must be the multiplexer of the container's own devpts."""
    try:
        os.close(open_path(root, "/dev/pts/ptmx"))
    except OSError:
        return  # no devpts, no terminals: nothing to link to
    try:
        os.unlink("ptmx", dir_fd=directory)
    except FileNotFoundError:
        pass
    os.symlink("pts/ptmx", "ptmx", dir_fd=directory)


def open_host_null() -> int:
    """The host's /dev/null (O_PATH), proved to be the character device 1:3 (CVE-2025-31133)."""
    fd = os.open("/dev/null", os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    info = os.fstat(fd)
    if not stat.S_ISCHR(info.st_mode) or info.st_rdev != os.makedev(1, 3):
        os.close(fd)
        raise KernelError("open", "/dev/null", errno.ENODEV, "", "it is not the device 1:3")
    return fd


def reopen_null() -> None:
    """Make /dev/null among 0, 1 and 2 the container's own.

    The caller's belongs to a mount that is not in the container: CRIU could not save that.
    """
    number = os.makedev(1, 3)
    for fd in range(3):
        try:
            if not _is_device(os.fstat(fd), number):
                continue
            flags = fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE
            own = os.open("/dev/null", flags | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            continue  # as it was given, then
        if _is_device(os.fstat(own), number):
            os.dup2(own, fd, inheritable=True)
        os.close(own)


def _is_device(info: os.stat_result, number: int) -> bool:
    return stat.S_ISCHR(info.st_mode) and info.st_rdev == number
