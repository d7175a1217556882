"""The container's root: bound onto itself, entered with pivot_root, the old one detached."""

from __future__ import annotations

import errno
import os

import runtime.linux.mounts as m
from runtime.errors import KernelError
from runtime.init.mounts import source_hint
from runtime.linux.files import read_text


def clone_root(path: str) -> int:
    """A detached recursive copy of the root filesystem's mount(s). KernelError names root.path."""
    flags = m.OPEN_TREE_CLONE | m.AT_RECURSIVE | m.AT_SYMLINK_NOFOLLOW
    try:
        return m.open_tree(m.AT_FDCWD, path, flags)
    except OSError as error:
        hint = source_hint(path) if error.errno in (errno.ENOENT, errno.ENOTDIR) else ""
        raise KernelError("open", path, error.errno or 0, "root.path", hint) from None


def open_directory(path: str) -> int:
    """The root's directory, to attach its mount to, or for chroot(2) without a mount namespace."""
    try:
        return os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise KernelError("open", path, error.errno or 0, "root.path") from None


def prepare(path: str, place: int, propagation: int, tree: int | None) -> int:
    """Cut propagation to the host, attach the root over itself; a descriptor of its mount.

    place: what open_directory gave. tree: the detached copy, if the launching process made it
    (user namespaces).
    """
    if propagation & m.MS_UNBINDABLE:
        # The root has to be bound once more; set_final_propagation() has the last word.
        propagation = m.MS_PRIVATE | propagation & m.MS_REC
    try:
        m.set_propagation("/", propagation)
    except OSError as error:
        raise KernelError(
            "set propagation of", "/", error.errno or 0, "linux.rootfsPropagation"
        ) from None
    try:
        if not propagation & (m.MS_SLAVE | m.MS_PRIVATE) or not propagation & m.MS_REC:
            # pivot_root(2) refuses a shared parent. The copy is made afterwards, or it would be
            # the host's peer: what the container mounts would appear on the host.
            point, shared = _mount_point(place)
            if shared:
                m.set_propagation(point, m.MS_PRIVATE)
    except OSError as error:
        raise KernelError("make private", path, error.errno or 0, "root.path") from None
    if tree is None:
        tree = clone_root(path)
    try:
        m.attach(tree, place)
        return tree
    except OSError as error:
        os.close(tree)
        raise KernelError("bind", path, error.errno or 0, "root.path") from None


def pivot(root: int) -> None:
    """Make root the root of this mount namespace and let the old one go: pivot_root(2)."""
    try:
        old = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        os.fchdir(root)
        # Both arguments the same: the old root ends up stacked on the new one, so that no
        # directory has to be made in the image for it (pivot_root(2), NOTES).
        m.pivot_root(".", ".")
        os.fchdir(old)
        # The detach below must not propagate to the host's mounts.
        m.set_propagation(".", m.MS_SLAVE | m.MS_REC)
        m.umount(".")
        os.close(old)
        os.chdir("/")
    except OSError as error:
        raise KernelError("pivot_root", "", error.errno or 0, "root.path") from None


def move(root: int) -> None:
    """`--no-pivot`: cover the old root instead, as an initramfs needs. chroot(2) afterwards.

    Like runc, everything still mounted on the old root that may hold procfs or sysfs is unmounted
    first, so that a container with CAP_SYS_ADMIN cannot mount a fresh, unmasked one by example.
    """
    try:
        for line in reversed(_mountinfo()):
            fields = line.split(" ")
            kind = fields[fields.index("-") + 1]
            point = unescape(fields[4])
            if kind in ("proc", "sysfs") and not _is_below(root, point):
                try:
                    m.umount(point)
                except OSError:
                    m.attach(m.new_filesystem("tmpfs", None, [], 0), os.open(point, os.O_PATH))
        os.fchdir(root)
        m.move_to_root(".")
        os.chroot(".")
        os.chdir("/")
    except OSError as error:
        raise KernelError("move the root", "", error.errno or 0, "root.path") from None


def set_final_propagation(propagation: int) -> None:
    """What other mounts inside the container may see: linux.rootfsPropagation."""
    kind = propagation & (m.MS_SHARED | m.MS_SLAVE | m.MS_UNBINDABLE)
    if kind in (m.MS_SHARED, m.MS_UNBINDABLE):
        try:
            m.set_propagation("/", propagation)
        except OSError as error:
            raise KernelError(
                "set propagation of", "/", error.errno or 0, "linux.rootfsPropagation"
            ) from None


def make_readonly(path: str) -> None:
    """Make the mount at path read-only, and only that one."""
    fd = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        m.mount_setattr(fd, m.MOUNT_ATTR_RDONLY)
    finally:
        os.close(fd)


def _is_below(root: int, point: str) -> bool:
    at = os.readlink(f"/proc/self/fd/{root}")
    return point == at or point.startswith(at + "/")


def _mountinfo() -> list[str]:
    return read_text("/proc/self/mountinfo").splitlines()


def _mount_point(fd: int) -> tuple[str, bool]:
    """Where the mount that an open file is on is attached, and whether it is shared.

    proc_pid_fdinfo(5), mnt_id; proc_pid_mountinfo(5).
    """
    lines = read_text(f"/proc/self/fdinfo/{fd}").splitlines()
    identity = next(line.split()[1] for line in lines if line.startswith("mnt_id:"))
    for line in _mountinfo():
        fields = line.split(" ")
        if fields[0] == identity:
            tags = fields[6 : fields.index("-")]
            return unescape(fields[4]), any(tag.startswith("shared:") for tag in tags)
    raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))


def unescape(text: str) -> str:
    """mountinfo writes blank, tab, newline and backslash as octal (proc_pid_mountinfo(5))."""
    for code, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, char)
    return text
