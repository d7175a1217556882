"""checkpoint: a running container to images on disk."""

from __future__ import annotations

import fcntl
import os
import stat

import runtime.linux.namespaces as ns
from runtime.cgroups import UNIFIED, discover
from runtime.errors import CrecheError, KernelError, strerror
from runtime.jsonio import dumps
from runtime.linux.paths import RESOLVE_IN_ROOT, openat2

from . import swrk
from .messages import DUMP, PRE_DUMP
from .order import DESCRIPTORS, Directories, Order, binds, common, external_namespaces, normal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from runtime.lifecycle.container import Container

_LOG = "dump.log"
_STATUS_BY_NOTIFICATION = 31500  # from this version CRIU says itself when lazy pages are served


def dump(container: Container, order: Order, *, pre: bool, leave_running: bool) -> None:
    """Have CRIU write the images; it ends the processes unless they are to be left running.

    pre: memory only, as a start for the dump that follows. Raises CrecheError, KernelError.
    """
    version = swrk.version()
    if pre:
        swrk.need("mem_track")
    if order.flags.get("lazy_pages"):
        swrk.need("lazy_pages")
    directories = Directories(order, make=True)
    try:
        spec = container.state["config"]
        options = common(order, directories, spec, _LOG)
        options |= {
            "pid": container.state["pid"],
            "root": container.state["rootfs"],
            "leave_running": leave_running,
            "freeze_cgroup": _freezer(container),
        }
        if not options["freeze_cgroup"]:
            del options["freeze_cgroup"]
        if order.page_server is not None:
            options["ps"] = order.page_server
        if order.parent:
            options |= {"parent_img": order.parent, "track_mem": True}
        if pre:
            options["track_mem"] = True
        else:
            options["ext_mnt"] = _external_mounts(container)
            _note_descriptors(container, directories.images)
        options["external"] = [
            f"{ns.PROC_NAMES[kind]}[{os.stat(path).st_ino}]:{key}"
            for kind, path, key in external_namespaces(spec)
            if kind in ("network", "pid")
        ]
        by_notification = version >= _STATUS_BY_NOTIFICATION
        if order.status_fd >= 0 and not by_notification:
            options["status_fd"] = order.status_fd

        def notified(script: str, _pid: int, _fds: list[int]) -> None:
            if script == "status-ready" and order.status_fd >= 0 and by_notification:
                os.write(order.status_fd, b"\0")
                os.close(order.status_fd)

        criu = swrk.Criu()
        try:
            swrk.perform(criu, PRE_DUMP if pre else DUMP, options, order.log(_LOG), notified)
        finally:
            criu.close()
    finally:
        directories.close()


def _freezer(container: Container) -> str:
    """A cgroup that holds every process; CRIU freezes it instead of stopping one by one."""
    paths = container.state["cgroup"]
    for name, directory in paths.items():
        if name == "freezer":
            return directory
    return paths.get(UNIFIED, "") if len(paths) == 1 else ""


def _external_mounts(container: Container) -> list[tuple[str, str]]:
    """Mounts that CRIU is to take as somebody else's: a name for each, to be found again by."""
    spec = container.state["config"]
    linux = spec.get("linux", {})
    found = [(destination, destination) for destination, _source in binds(spec)]
    root = os.open(
        f"/proc/{container.state['pid']}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
    )
    try:
        for path in linux.get("maskedPaths", []):
            if _is_file(root, path):
                found.append((normal(path), "/dev/null"))
    finally:
        os.close(root)
    if any(entry["type"] == "user" for entry in linux.get("namespaces", [])):
        # There nodes cannot be made; they are the host's, bound.
        found += [(normal(device["path"]), device["path"]) for device in linux.get("devices", [])]
    for mount in spec.get("mounts", []):
        if mount.get("type") == "cgroup" and discover().mode != "v2":
            found += [
                (f"{normal(mount['destination'])}/{name}",) * 2
                for name in cgroup_mount_names(container.state["cgroup"])
            ]
    return found


def cgroup_mount_names(paths: dict[str, str]) -> list[str]:
    """Names of the version 1 hierarchies below a container's mount of type cgroup."""
    hierarchies = discover().hierarchies
    return [os.path.basename(hierarchies[name].mountpoint) for name in paths if name in hierarchies]


def _is_file(root: int, path: str) -> bool:
    """Whether the container has something there that is no directory; nothing outside is asked."""
    try:
        fd = openat2(root, path, os.O_PATH, RESOLVE_IN_ROOT)
    except OSError:
        return False
    try:
        return not stat.S_ISDIR(os.fstat(fd).st_mode)
    finally:
        os.close(fd)


def _note_descriptors(container: Container, images: int) -> None:
    """What 0, 1 and 2 are: a pipe is replaced by the caller's on restore."""
    names: list[Any] = []
    for fd in range(3):
        try:
            names.append(os.readlink(f"/proc/{container.state['pid']}/fd/{fd}"))
        except OSError:
            names.append("")
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        fd = os.open(DESCRIPTORS, flags, 0o600, dir_fd=images)
        try:
            os.write(fd, dumps(names).encode("utf-8", "surrogateescape"))
        finally:
            os.close(fd)
    except OSError as error:
        raise KernelError("--image-path: write", DESCRIPTORS, error.errno or 0) from None


def check_status_fd(fd: int) -> None:
    """Raises CrecheError if nothing can be written to it."""
    try:
        flags = fcntl.fcntl(fd, fcntl.F_GETFL)
    except OSError as error:
        reason = strerror(error.errno or 0)
        raise CrecheError(f"invalid --status-fd argument {fd}: {reason}") from None
    if not flags & (os.O_WRONLY | os.O_RDWR):
        raise CrecheError(f"invalid --status-fd argument {fd}: not writable")
