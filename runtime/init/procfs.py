"""A procfs of our own: never the one that the image or another container arranged.

fsopen("proc") gives an instance that no path leads to, so nothing can be mounted over its files
(CVE-2019-16884, CVE-2019-19921, CVE-2025-52881). Every write to /proc by init goes through it.
"""

from __future__ import annotations

import errno
import os

from runtime.linux.mounts import (
    MOUNT_ATTR_NODEV,
    MOUNT_ATTR_NOEXEC,
    MOUNT_ATTR_NOSUID,
    new_filesystem,
)
from runtime.linux.paths import (
    PROC_SUPER_MAGIC,
    RESOLVE_BENEATH,
    RESOLVE_NO_MAGICLINKS,
    RESOLVE_NO_SYMLINKS,
    RESOLVE_NO_XDEV,
    filesystem_type,
    openat2,
)

_STRICT = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV
_ATTRIBUTES = MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NOSUID


def open_private() -> int:
    """A descriptor of a private procfs; of /proc itself, verified, where that is refused.

    The kernel refuses a new procfs to a user namespace whose own view of /proc is masked. Called
    before pivot_root(2), so that /proc is the host's then. Raises OSError.
    """
    try:
        return new_filesystem("proc", None, [], _ATTRIBUTES)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EACCES):
            raise
    fd = os.open("/proc", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    if filesystem_type(fd) != PROC_SUPER_MAGIC:
        os.close(fd)
        raise OSError(errno.EXDEV, "/proc is not a procfs")
    return fd


def write(proc: int, path: str, data: str) -> None:
    """Write a file of the procfs. OSError; ELOOP or EXDEV if anything stands in the way."""
    fd = openat2(proc, path, os.O_WRONLY | os.O_NOFOLLOW, _STRICT)
    try:
        if filesystem_type(fd) != PROC_SUPER_MAGIC:
            raise OSError(errno.EXDEV, f"/proc/{path} is not on a procfs")
        os.write(fd, data.encode())
    finally:
        os.close(fd)


def read(proc: int, path: str, limit: int = 1 << 20) -> str:
    """Read a file of the procfs whole. OSError."""
    fd = openat2(proc, path, os.O_RDONLY | os.O_NOFOLLOW, _STRICT)
    try:
        chunks = []
        while limit > 0 and (chunk := os.read(fd, min(limit, 65536))):
            chunks.append(chunk)
            limit -= len(chunk)
        return b"".join(chunks).decode(errors="surrogateescape")
    finally:
        os.close(fd)
