"""restore: a container from the images of a checkpoint."""

from __future__ import annotations

import os

import runtime.linux.mounts as m
import runtime.linux.namespaces as ns
from runtime.cgroups import UNIFIED, Cgroup
from runtime.cgroups.layout import parse_own
from runtime.channel import close_all
from runtime.errors import CrecheError, InitError, KernelError
from runtime.jsonio import loads
from runtime.linux.files import read_text

from . import swrk
from .dump import cgroup_mount_names
from .messages import RESTORE
from .order import DESCRIPTORS, Directories, Order, binds, common, external_namespaces, normal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from runtime.lifecycle.container import Container

_LOG = "restore.log"
_ROOT = "criu-root"
_LARGEST_LIST = 64 * 1024


def restore(container: Container, order: Order, run_hooks: Callable[[], None]) -> None:
    """Make the cgroup and have CRIU make the processes in it; init becomes our child.

    run_hooks: called when the namespaces are there. Raises CrecheError, KernelError.
    """
    swrk.version()
    request, plan = container.request, container.plan
    assert request is not None
    assert plan is not None
    extra: list[int] = []
    cgroup = container.planned_cgroup()
    scope = container.scope
    view = _View(container.state["rootfs"], _root(container), order)
    try:
        options = common(order, view.directories, request.spec, _LOG)
        options |= {
            "evasive_devices": True,
            "rst_sibling": True,
            "root": view.root,
            "ext_mnt": _external_mounts(container),
            "inherit_fd": _pipes(view.directories.images),
            "join_ns": [],
        }
        for kind, path, key in external_namespaces(request.spec):
            if kind in ("network", "pid"):
                extra.append(_open_namespace(path))
                options["inherit_fd"].append((key, swrk.SOCKET + len(extra)))
            else:
                options["join_ns"].append((ns.PROC_NAMES[kind], path))
        for name in ("lsm_profile", "lsm_mount_context"):
            if getattr(order, name):
                options[name] = getattr(order, name)
        if scope is not None:
            scope.start(plan["cgroup_devices"])
        for text in cgroup.create(
            plan["cgroup_writes"],
            plan["cgroup_devices"],
            tolerant=request.tolerant,
            ours=scope is not None,
        ):
            container.log.warning(text)
        container.own_cgroup(cgroup.paths)
        criu = view.start(request.stdio[:3], extra)
        try:
            _run(container, criu, options, order, cgroup, run_hooks)
        finally:
            criu.close()
    finally:
        close_all(extra)
        view.close()
    if scope is not None:
        scope.release()


def _run(
    container: Container,
    criu: swrk.Criu,
    options: dict[str, Any],
    order: Order,
    cgroup: Cgroup,
    run_hooks: Callable[[], None],
) -> None:
    def notified(script: str, pid: int, fds: list[int]) -> None:
        if script == "setup-namespaces":
            container.state["pid"] = pid
            run_hooks()
        elif script == "orphan-pts-master" and fds and container.console < 0:
            container.console = os.dup(fds[0])
            container.console_name = "/dev/pts/ptmx"

    cgroup.join(criu.pid)
    own = parse_own(read_text(f"/proc/{criu.pid}/cgroup"))
    options["cg_root"] = [
        ("" if word == UNIFIED else word, path)
        for name, path in own.items()
        for word in name.split(",")
    ]
    answer = swrk.perform(criu, RESTORE, options, order.log(_LOG), notified)
    if answer.pid <= 0:
        raise InitError("criu did not say which process it has restored")
    container.adopt_init(answer.pid)


class _View:
    """CRIU's view of the file system: a mount namespace in which the container's root is a mount.

    CRIU insists on that. What we mounted in our own would stay if we were killed, and be emptied
    with the state directory. The directories of the images have to belong to it as well, so they
    are opened from inside; we ourselves are back before a hook runs.
    """

    def __init__(self, rootfs: str, root: str, order: Order) -> None:
        """rootfs: is attached to the directory root. Raises KernelError."""
        self.root = root
        self._own = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        self._cwd = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self._inside = -1
        try:
            ns.unshare(ns.CLONE_NEWNS)
            self._inside = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
            m.set_propagation("/", m.MS_SLAVE | m.MS_REC)
            tree = m.open_tree(m.AT_FDCWD, rootfs, m.OPEN_TREE_CLONE | m.AT_RECURSIVE)
            place = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            m.attach(tree, place)
            close_all([tree, place])
            self.directories = Directories(order, make=False)
        except OSError as error:
            raise KernelError("attach", rootfs, error.errno or 0, "root.path") from None
        finally:
            self._back()

    def _back(self) -> None:
        ns.setns(self._own, ns.CLONE_NEWNS)
        os.fchdir(self._cwd)  # setns(2) has changed it

    def start(self, stdio: list[int], extra: list[int]) -> swrk.Criu:
        """CRIU in this view. Raises CrecheError."""
        ns.setns(self._inside, ns.CLONE_NEWNS)
        try:
            return swrk.Criu(stdio, extra)
        finally:
            self._back()

    def close(self) -> None:
        """The view ends with the last process in it."""
        self.directories.close()
        close_all([self._own, self._cwd, self._inside])


def _root(container: Container) -> str:
    """An empty directory of ours that the root file system is attached to."""
    path = f"{container.directory.path}/{_ROOT}"
    try:
        os.mkdir(path, 0o700)
    except OSError as error:
        raise KernelError("make", path, error.errno or 0) from None
    return path


def _open_namespace(path: str) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise KernelError("open namespace", path, error.errno or 0, "linux.namespaces") from None


def _pipes(images: int) -> list[tuple[str, int]]:
    """Pipes that 0, 1 and 2 were: replaced by what 0, 1 and 2 are for the caller."""
    try:
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
        fd = os.open(DESCRIPTORS, flags, dir_fd=images)
    except OSError as error:
        raise KernelError(
            "--image-path: open", DESCRIPTORS, error.errno or 0, hint="is it a checkpoint's?"
        ) from None
    try:
        names = loads(os.read(fd, _LARGEST_LIST))
    finally:
        os.close(fd)
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise CrecheError(f"--image-path: {DESCRIPTORS}: expected a list of texts")
    return [(name, fd) for fd, name in enumerate(names[:3]) if "pipe:" in name]


def _external_mounts(container: Container) -> list[tuple[str, str]]:
    """What stands for the names that the dump has given (dump.py)."""
    spec = container.state["config"]
    linux = spec.get("linux", {})
    bundle = container.state["bundle"]
    found = [
        (destination, source if source.startswith("/") else f"{bundle}/{source}")
        for destination, source in binds(spec)
    ]
    if linux.get("maskedPaths"):
        found.append(("/dev/null", "/dev/null"))
    if any(entry["type"] == "user" for entry in linux.get("namespaces", [])):
        found += [(normal(device["path"]), device["path"]) for device in linux.get("devices", [])]
    planned = container.state["cgroup_planned"]
    for mount in spec.get("mounts", []):
        if mount.get("type") == "cgroup" and container.cgroup_mounts() is not None:
            names = cgroup_mount_names(planned)
            for name, directory in zip(names, planned.values(), strict=False):
                found.append((f"{normal(mount['destination'])}/{name}", directory))
    return found
