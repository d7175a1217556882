"""Idmapped mounts: a user namespace that only exists to describe a mapping (mount_setattr(2))."""

from __future__ import annotations

import os

import runtime.linux.mounts as m
import runtime.linux.namespaces as ns
from runtime.errors import KernelError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.plan.types import IdMap


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
        for name, entries in (("uid_map", mapping["uid"]), ("gid_map", mapping["gid"])):
            text = "".join(f"{inside} {outside} {size}\n" for inside, outside, size in entries)
            fd = os.open(f"/proc/{pid}/{name}", os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.write(fd, text.encode())
            finally:
                os.close(fd)
        return os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise KernelError("map ids", "", error.errno or 0, key) from None
    finally:
        os.close(writer)
        os.waitpid(pid, 0)
