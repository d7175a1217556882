"""tmpcopyup: fill a new tmpfs with what the image has where it is mounted.

Everything goes by descriptors and names relative to them, and no symbolic link is followed: the
directory belongs to the image, and another container may be changing it (CVE-2018-15664's class).
"""

from __future__ import annotations

import os
import stat

_CHUNK = 1 << 20
_MAX_DEPTH = 200


def copy_tree(source: int, target: int, depth: int = 0) -> None:
    """Copy what is in the directory source into the directory target; both are descriptors.

    Files, directories, links, nodes, owners, modes, times and extended attributes; sockets are
    left out. Raises OSError, ELOOP for a tree that is too deep.
    """
    if depth > _MAX_DEPTH:
        raise OSError(40, "directories nested too deeply")
    for name in os.listdir(source):
        info = os.stat(name, dir_fd=source, follow_symlinks=False)
        kind = stat.S_IFMT(info.st_mode)
        if kind == stat.S_IFDIR:
            _copy_directory(source, target, name, info, depth)
        elif kind == stat.S_IFREG:
            _copy_file(source, target, name, info)
        elif kind == stat.S_IFLNK:
            os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
            os.chown(name, info.st_uid, info.st_gid, dir_fd=target, follow_symlinks=False)
        elif kind != stat.S_IFSOCK:
            os.mknod(name, info.st_mode, info.st_rdev, dir_fd=target)
            os.chown(name, info.st_uid, info.st_gid, dir_fd=target, follow_symlinks=False)


def copy_owner(source: int, target: int) -> None:
    """Owner, mode, attributes and times of one descriptor's file for another's."""
    info = os.fstat(source)
    os.fchown(target, info.st_uid, info.st_gid)
    os.fchmod(target, stat.S_IMODE(info.st_mode))
    try:
        for name in os.listxattr(source):
            os.setxattr(target, name, os.getxattr(source, name))
    except OSError:
        pass  # a tmpfs keeps security and trusted attributes, not all others
    os.utime(target, ns=(info.st_atime_ns, info.st_mtime_ns))


def _copy_directory(source: int, target: int, name: str, info: os.stat_result, depth: int) -> None:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    os.mkdir(name, 0o700, dir_fd=target)
    inner = os.open(name, flags, dir_fd=source)
    try:
        made = os.open(name, flags, dir_fd=target)
        try:
            copy_tree(inner, made, depth + 1)
            copy_owner(inner, made)
        finally:
            os.close(made)
    finally:
        os.close(inner)


def _copy_file(source: int, target: int, name: str, info: os.stat_result) -> None:
    # O_NONBLOCK: what was a file a moment ago may be a FIFO now.
    flags = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    inner = os.open(name, os.O_RDONLY | flags, dir_fd=source)
    try:
        made = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | flags, 0o600, dir_fd=target)
        try:
            left = info.st_size
            while left > 0 and (sent := os.sendfile(made, inner, None, min(left, _CHUNK))):
                left -= sent
            copy_owner(inner, made)
        finally:
            os.close(made)
    finally:
        os.close(inner)
