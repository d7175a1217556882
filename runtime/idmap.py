"""Id maps: of a container's user namespace (user_namespaces(7)), and of idmapped mounts.

Without privilege only one's own id can be mapped directly; ranges of subordinate ids go through
newuidmap(1) and newgidmap(1), which are set-user-ID root and check /etc/subuid.
"""

from __future__ import annotations

import errno
import os

import runtime.linux.mounts as m
import runtime.linux.namespaces as ns
from runtime.errors import KernelError
from runtime.linux.files import write_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.plan.types import IdMap

KEYS = {"uid_map": "linux.uidMappings", "gid_map": "linux.gidMappings"}


def apply(tree: int, mapping: IdMap, key: str) -> None:
    """Map the ids of a detached mount. Linux 5.12; KernelError says if the filesystem cannot."""
    namespace = _user_namespace(mapping, key)
    try:
        m.mount_setattr(
            tree, m.MOUNT_ATTR_IDMAP, recursive=mapping["recursive"], userns_fd=namespace
        )
    except OSError as error:
        raise KernelError(
            "idmap", "", error.errno or 0, key, "the filesystem may not support idmapped mounts"
        ) from None
    finally:
        os.close(namespace)


def _user_namespace(mapping: IdMap, key: str) -> int:
    """A descriptor of a new user namespace with these maps; its only process ends here."""
    reader, writer = os.pipe2(os.O_CLOEXEC)
    pid = ns.clone3(ns.CLONE_NEWUSER)
    if pid == 0:
        os.close(writer)
        os.read(reader, 1)
        os._exit(0)
    os.close(reader)
    try:
        write_map(pid, "uid_map", mapping["uid"])
        write_map(pid, "gid_map", mapping["gid"])
        return os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise KernelError("open namespace", f"of process {pid}", error.errno or 0, key) from None
    finally:
        os.close(writer)
        os.waitpid(pid, 0)


def outside(entries: list[tuple[int, int, int]], inside: int) -> int | None:
    """The host's id for one inside, or None if it is not mapped."""
    for first, host, size in entries:
        if first <= inside < first + size:
            return host + inside - first
    return None


def write_map(pid: int, name: str, entries: list[tuple[int, int, int]]) -> None:
    """Write /proc/PID/uid_map or gid_map of a process in a new user namespace. KernelError."""
    key = KEYS[name]
    own = os.geteuid() if name == "uid_map" else os.getegid()
    if os.geteuid() != 0 and [(host, size) for _, host, size in entries] != [(own, 1)]:
        _write_with_helper(pid, name, entries, key)
        return
    try:
        if name == "gid_map" and os.geteuid() != 0:
            # Without privilege, groups can be mapped only if setgroups(2) is given up.
            write_text(f"/proc/{pid}/setgroups", "deny")
        text = "".join(f"{inside} {host} {size}\n" for inside, host, size in entries)
        write_text(f"/proc/{pid}/{name}", text)
    except OSError as error:
        raise KernelError("write", f"/proc/{pid}/{name}", error.errno or 0, key) from None


def _write_with_helper(pid: int, name: str, entries: list[tuple[int, int, int]], key: str) -> None:
    helper = "/usr/bin/new" + name.replace("_", "")
    words = [str(number) for entry in entries for number in entry]
    try:
        child = os.posix_spawn(helper, [helper, str(pid), *words], {})
    except OSError as error:
        raise KernelError(
            "run", helper, error.errno or 0, key, "install the package uidmap"
        ) from None
    _, status = os.waitpid(child, 0)
    if status != 0:
        raise KernelError(
            "map ids with", helper, errno.EPERM, key,
            "is the range given to this user in /etc/subuid and /etc/subgid?",
        )  # fmt: skip
