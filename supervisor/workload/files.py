"""Opening what others may have put into a workload directory, without being led or held up by it.

Every open is relative to a directory descriptor, follows no symlink, never blocks (a FIFO opened
for reading would wait for its writer: fifo(7)) and is judged by fstat of what was really opened.
A file that someone else may write is a program that someone else may run as root.
"""

from __future__ import annotations

import errno
import os
import stat

from supervisor.workload.errors import Problem, WorkloadError


class Unsettled(WorkloadError):
    """Somebody is writing just now: the same again in a moment may well be in order."""


LARGEST = 1 << 20
"""Bytes in the largest workload.toml that is read."""
LARGEST_CONFIG = 16 << 20
"""Bytes in the largest config.json that is read."""


def open_directory(path: str, name: str, parent: int | None = None) -> int:
    """Descriptor of a directory that only root or we may write; `path` is what errors call it.

    Raises WorkloadError; FileNotFoundError is left to the caller.
    """
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NONBLOCK
    # The top directory is named by the administrator, who may well name a symlink.
    flags |= 0 if parent is None else os.O_NOFOLLOW
    try:
        fd = os.open(name, flags, dir_fd=parent)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise _refused(path, _not_a_directory(name, parent, error)) from None
    _judge(fd, path)
    return fd


def open_file(directory: int, path: str, name: str) -> int:
    """Descriptor of the regular file `name` in `directory`; raises as `open_directory` does."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
    try:
        fd = os.open(name, flags, dir_fd=directory)
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise _refused(path, "is a symbolic link; put the file itself here") from None
        raise _refused(path, f"cannot be opened: {os.strerror(error.errno or 0)}") from None
    mode = os.fstat(fd).st_mode
    if not stat.S_ISREG(mode):
        os.close(fd)
        raise _refused(path, f"is {_kind(mode)}; expected a regular file")
    return _judge(fd, path)


def read_file(directory: int, path: str, name: str, largest: int = LARGEST) -> bytes:
    """Contents of the regular file `name`; raises as `open_directory` does, and Unsettled."""
    with os.fdopen(open_file(directory, path, name), "rb") as file:
        before = os.fstat(file.fileno())
        data = file.read(largest + 1)
        after = os.fstat(file.fileno())
    if len(data) > largest:
        raise _refused(path, f"is larger than {largest} bytes")
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns) or (
        len(data) != after.st_size
    ):
        raise Unsettled(Problem(path, None, "was being written while it was read"))
    return data


def _judge(fd: int, path: str) -> int:
    """Close `fd` and raise WorkloadError unless only root or we own and may write it."""
    info = os.fstat(fd)
    wrong = ""
    if info.st_uid not in (0, os.geteuid()):
        wrong = f"is owned by uid {info.st_uid}; expected root" + (
            "" if os.geteuid() == 0 else f" or uid {os.geteuid()}"
        )
    elif info.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        mode = stat.S_IMODE(info.st_mode)
        wrong = f"may be written by others than its owner (mode {mode:04o}); chmod go-w it"
    if wrong:
        os.close(fd)
        raise _refused(path, wrong)
    return fd


def _not_a_directory(name: str, parent: int | None, error: OSError) -> str:
    if error.errno in (errno.ENOTDIR, errno.ELOOP):
        kind = _kind(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode)
        return f"is {kind}; expected a directory"
    return f"cannot be opened: {os.strerror(error.errno or 0)}"


def _kind(mode: int) -> str:
    names = {
        stat.S_IFDIR: "a directory",
        stat.S_IFLNK: "a symbolic link",
        stat.S_IFIFO: "a FIFO",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a character device",
        stat.S_IFBLK: "a block device",
    }
    return names.get(stat.S_IFMT(mode), "a file")


def _refused(path: str, message: str) -> WorkloadError:
    return WorkloadError(Problem(path, None, message))
