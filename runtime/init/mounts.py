"""Perform the plan's mounts on the container's root, one descriptor at a time."""

from __future__ import annotations

import errno
import os
import stat

import runtime.linux.mounts as m
from runtime.errors import KernelError
from runtime.init.cgroupmount import hosts_cgroup2
from runtime.init.copyup import copy_owner, copy_tree
from runtime.init.inroot import is_directory, open_or_create, open_path, open_real_directory
from runtime.linux.paths import PROC_SUPER_MAGIC, RESOLVE_IN_ROOT, filesystem_type, openat2
from runtime.plan.mounts import PROC_FILES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.plan.types import MountOp


def open_source(op: MountOp) -> int:
    """A detached copy of a bind mount's source, attributes applied. KernelError names the source.

    Called by init; or, with a new user namespace, by the launching process, since the container's
    root may not be allowed to reach the source's path.
    """
    source = op["source"] or ""
    flags = m.OPEN_TREE_CLONE
    flags |= m.AT_RECURSIVE if op["recursive"] else 0
    flags |= 0 if op["follow_source"] else m.AT_SYMLINK_NOFOLLOW
    try:
        tree = m.open_tree(m.AT_FDCWD, source, flags)
    except OSError as error:
        hint = source_hint(source) if error.errno in (errno.ENOENT, errno.ENOTDIR) else ""
        raise KernelError("source", source, error.errno or 0, _name(op), hint) from None
    try:
        _set_attributes(tree, op)
    except OSError as error:
        os.close(tree)
        raise KernelError("mount_setattr", source, error.errno or 0, _name(op)) from None
    return tree


def perform(
    root: int, op: MountOp, source: int | None, cgroups: list[tuple[str, str, list[str]]] | None
) -> int | None:
    """Do one mount below root. Returns its descriptor if it still has to become read-only.

    source: what open_source gave, if the launching process called it; it is closed here.
    cgroups: for a cgroup mount, (name, host directory, links); None on cgroup v2.
    """
    if op["kind"] == "remount":
        _remount(root, op)
        return None
    tree = mount(root, op, source, cgroups)
    if op["late_readonly"]:
        return tree
    if tree >= 0:
        os.close(tree)
    return None


def mount(
    root: int,
    op: MountOp,
    source: int | None,
    cgroups: list[tuple[str, str, list[str]]] | None = None,
    announce: Callable[[int], None] = lambda tree: None,
) -> int:
    """As perform, for all but remounts; a descriptor of the mount, or -1 if a link was made.

    announce: is told the descriptor just before the mount is attached.
    """
    tree = -1
    if op["kind"] == "bind":
        tree = open_source(op) if source is None else source
    try:
        if op["copy_link"] and _copy_link(root, op, tree):
            os.close(tree)
            return -1
        wants_directory = op["kind"] != "bind" or is_directory(tree)
        target, created = _target(root, op, wants_directory)
        try:
            if op["kind"] == "bind" and op["destination"] == "/proc":
                _require_procfs(tree, op)
            if tree < 0:
                tree = _make_filesystem(op, target, created, cgroups)
                if op["copy_up"] and not created:
                    _copy_up(op, target, tree)
            announce(tree)
            try:
                m.attach(tree, target)
            except OSError as error:
                raise _error("mount", op, error) from None
        finally:
            os.close(target)
        if op["kind"] == "cgroup" and cgroups is not None:
            _fill_cgroup_directory(tree, op, cgroups)
        for flag, recursive in op["propagation"]:
            try:
                m.mount_setattr(tree, propagation=flag, recursive=recursive)
            except OSError as error:
                raise _error("propagation of", op, error) from None
        return tree
    except BaseException:
        if tree >= 0:
            os.close(tree)
        raise


def make_readonly(mount: int) -> None:
    """The postponed `ro` of a tmpfs; closes the descriptor."""
    try:
        m.mount_setattr(mount, m.MOUNT_ATTR_RDONLY)
    finally:
        os.close(mount)


def _set_attributes(tree: int, op: MountOp) -> None:
    if op["rset"] or op["rclear"]:
        m.mount_setattr(tree, op["rset"], op["rclear"], recursive=True)
    if op["set"] or op["clear"]:
        m.mount_setattr(tree, op["set"], op["clear"])


def _copy_link(root: int, op: MountOp, tree: int) -> bool:
    """Make a source that is a symbolic link again at the destination; False if it is none.

    One that is there already, and leads to the same place, will do.
    """
    if not stat.S_ISLNK(os.fstat(tree).st_mode):
        return False
    wanted = os.readlink("", dir_fd=tree)
    parent, _, name = op["destination"].rstrip("/").rpartition("/")
    try:
        directory, _created = open_or_create(root, parent or "/", True)
        try:
            os.symlink(wanted, name, dir_fd=directory)
        except FileExistsError:
            if _link_at(directory, name) != wanted:
                raise
        finally:
            os.close(directory)
    except OSError as error:
        raise _error("make the symbolic link", op, error) from None
    return True


def _link_at(directory: int, name: str) -> str | None:
    try:
        return os.readlink(name, dir_fd=directory)
    except OSError:
        return None


def _target(root: int, op: MountOp, directory: bool) -> tuple[int, bool]:
    try:
        target, created = _open_target(root, op, directory)
        if op["fstype"] in ("proc", "sysfs") and op["kind"] == "filesystem":
            # A symbolic link here would let the image choose what its masks apply to.
            os.close(target)
            target = _real_directory(root, op)
    except OSError as error:
        raise _error("destination of", op, error) from None
    _refuse_inside_proc(target, op)
    if is_directory(target) != directory:
        os.close(target)
        number = errno.ENOTDIR if directory else errno.EISDIR
        hint = "source and destination must both be directories or both be files"
        raise KernelError("mount", op["destination"], number, _name(op), hint)
    return target, created


def _open_target(root: int, op: MountOp, directory: bool) -> tuple[int, bool]:
    if not op["follow_destination"]:
        try:
            # A symbolic link is mounted over.
            flags = os.O_PATH | os.O_NOFOLLOW
            return openat2(root, op["destination"], flags, RESOLVE_IN_ROOT), False
        except FileNotFoundError:
            pass
    return open_or_create(root, op["destination"], directory)


def _refuse_inside_proc(target: int, op: MountOp) -> None:
    """A link in the image must not lead a mount to where the plan would not allow one."""
    if op["destination"] in ("/proc", *PROC_FILES) or filesystem_type(target) != PROC_SUPER_MAGIC:
        return
    os.close(target)
    raise KernelError(
        f'"{op["destination"]}" cannot be mounted because it is inside /proc',
        "",
        errno.EINVAL,
        op["key"],
    )


def _real_directory(root: int, op: MountOp) -> int:
    try:
        return open_real_directory(root, op["destination"])
    except OSError as error:
        text = f'filesystem "{op["fstype"]}" must be mounted on ordinary directory'
        raise KernelError(
            f'error mounting "{op["source"] or op["fstype"]}" to rootfs at "{op["destination"]}": '
            + text,
            "",
            error.errno or 0,
            _name(op),
        ) from None


def _make_filesystem(
    op: MountOp, target: int, created: bool, cgroups: list[tuple[str, str, list[str]]] | None
) -> int:
    fstype, options = op["fstype"], list(op["options"])
    if op["kind"] == "cgroup":
        if cgroups is not None:
            # v1: a tmpfs that holds one bind mount per hierarchy.
            fstype, options = "tmpfs", [("mode", "755")]
        else:
            fstype, options = "cgroup2", [o for o in options if o[0] != "none"]
    elif fstype == "tmpfs" and not created and not any(name == "mode" for name, _ in options):
        options.append(("mode", f"{os.fstat(target).st_mode & 0o7777:o}"))
    attributes = op["set"]
    try:
        if op["kind"] == "cgroup" and cgroups is not None:
            attributes &= ~m.MOUNT_ATTR_RDONLY  # first its directories have to be made
        elif op["kind"] == "cgroup" and (shared := hosts_cgroup2(op, options)) is not None:
            return shared
        tree = m.new_filesystem(fstype, op["source"] or None, options, attributes)
    except OSError as error:
        if error.errno == errno.EPERM and fstype == "sysfs":
            # A user namespace without a network namespace of its own may not mount sysfs.
            return _bind_host("/sys", op)
        if error.errno in (errno.EPERM, errno.EBUSY) and fstype == "cgroup2":
            return _bind_host("/sys/fs/cgroup", op)
        raise KernelError(
            f"mount {fstype}", f"on {op['destination']}", error.errno or 0, _name(op),
            (error.strerror or "").partition(" (")[2].rstrip(")"),
        ) from None  # fmt: skip
    if op["rset"] or op["rclear"]:
        m.mount_setattr(tree, op["rset"], op["rclear"], recursive=True)
    return tree


def _copy_up(op: MountOp, target: int, tree: int) -> None:
    """Before the tmpfs is attached, while what it will cover can still be reached."""
    here = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    try:
        source = os.open(".", here, dir_fd=target)
        try:
            made = os.open(".", here, dir_fd=tree)
            try:
                copy_tree(source, made)
                copy_owner(source, made)
            finally:
                os.close(made)
        finally:
            os.close(source)
    except OSError as error:
        raise _error("tmpcopyup of", op, error) from None


def _bind_host(path: str, op: MountOp) -> int:
    """The host's own filesystem in place of a new instance: recursive, read-only."""
    try:
        tree = m.open_tree(m.AT_FDCWD, path, m.OPEN_TREE_CLONE | m.AT_RECURSIVE)
        m.mount_setattr(tree, op["set"] | m.MOUNT_ATTR_RDONLY, recursive=True)
        return tree
    except OSError as error:
        raise _error(f"bind {path} on", op, error) from None


def _fill_cgroup_directory(
    tree: int, op: MountOp, cgroups: list[tuple[str, str, list[str]]]
) -> None:
    """cgroup v1: bind the container's own cgroup of each hierarchy, and link joint names."""
    try:
        for name, directory, links in cgroups:
            os.mkdir(name, 0o755, dir_fd=tree)
            bound = m.open_tree(m.AT_FDCWD, directory, m.OPEN_TREE_CLONE)
            target = open_path(tree, name)
            try:
                m.mount_setattr(bound, op["set"], op["clear"])
                m.attach(bound, target)
            finally:
                os.close(target)
                os.close(bound)
            for link in links:
                os.symlink(name, link, dir_fd=tree)
        if op["set"] & m.MOUNT_ATTR_RDONLY:
            m.mount_setattr(tree, m.MOUNT_ATTR_RDONLY)
    except OSError as error:
        raise _error("cgroup directories of", op, error) from None


def _remount(root: int, op: MountOp) -> None:
    try:
        target = open_path(root, op["destination"])
        try:
            _set_attributes(target, op)
            for flag, recursive in op["propagation"]:
                m.mount_setattr(target, propagation=flag, recursive=recursive)
        finally:
            os.close(target)
    except OSError as error:
        raise _error("remount", op, error) from None


def _require_procfs(tree: int, op: MountOp) -> None:
    """LSM labels and sysctls are written below /proc: it must be one (CVE-2019-16884)."""
    if filesystem_type(tree) != PROC_SUPER_MAGIC:
        raise KernelError(
            '"/proc" cannot be mounted because it is not of type proc', "", errno.EINVAL, _name(op)
        )


def source_hint(source: str) -> str:
    """Which component of a source path is missing or is no directory."""
    at = ""
    for part in source.strip("/").split("/"):
        at += "/" + part
        try:
            mode = os.stat(at).st_mode
        except FileNotFoundError:
            return f"{at} does not exist"
        except OSError:
            return ""
        if at != source.rstrip("/") and not mode & 0o040000:
            return f"component {at} is not a directory"
    return ""


def _name(op: MountOp) -> str:
    return f"{op['key']} {op['destination']}"


def _error(what: str, op: MountOp, error: OSError) -> KernelError:
    return KernelError(what, op["destination"], error.errno or 0, op["key"])
