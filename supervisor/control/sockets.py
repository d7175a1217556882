"""Unix sockets in the file system: their mode is who may connect, and it holds from the start.

Never abstract ones: those have no mode, and every container in the host's network namespace could
connect (CVE-2020-15257 of containerd).
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from runtime.errors import CrecheError

BACKLOG = 128


def listen(path: str, mode: int, group: int | None = None) -> socket.socket:
    """A listening socket at `path`, in the place of one that nobody listens at any more.

    It is bound under another name, given its mode and group (a gid), and renamed: at `path` there
    is nothing, or the whole thing. Raises CrecheError, which names the path.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        with _directory(path) as (directory, name):
            _check_old(directory, name, path)
            new = f".{name}.new"
            _unlink(directory, new)  # of one that was killed just here
            umask = os.umask(0o177)
            try:
                listener.bind(_near(directory, new))
            finally:
                os.umask(umask)
            try:
                if group is not None:
                    os.chown(new, -1, group, dir_fd=directory, follow_symlinks=False)
                os.chmod(new, mode, dir_fd=directory)
                listener.listen(BACKLOG)
                os.rename(new, name, src_dir_fd=directory, dst_dir_fd=directory)
            except OSError:
                _unlink(directory, new)
                raise
    except CrecheError:
        listener.close()
        raise
    except OSError as error:
        listener.close()
        raise CrecheError(f"control socket {path}: {error.strerror or error}") from None
    listener.setblocking(False)
    return listener


def permit(path: str, mode: int, group: int | None = None) -> None:
    """Give a socket that is there another mode and group (a gid). Raises CrecheError."""
    try:
        with _directory(path) as (directory, name):
            if group is not None:
                os.chown(name, -1, group, dir_fd=directory, follow_symlinks=False)
            os.chmod(name, mode, dir_fd=directory)
    except OSError as error:
        raise CrecheError(f"control socket {path}: {error.strerror or error}") from None


def identity(path: str) -> tuple[int, int]:
    """Device and inode. Raises OSError."""
    found = os.stat(path, follow_symlinks=False)
    return found.st_dev, found.st_ino


def remove(path: str, made: tuple[int, int]) -> None:
    """Take our socket away; one that somebody else has put there stays."""
    try:
        if identity(path) == made:
            os.unlink(path)
    except OSError:
        pass


@contextmanager
def _directory(path: str) -> Iterator[tuple[int, str]]:
    """The directory of `path`, open, and the name in it. Nobody else may be able to write there."""
    parent, name = os.path.split(path)
    fd = os.open(parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        found = os.fstat(fd)
        if found.st_uid not in (0, os.geteuid()) or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise CrecheError(
                f"control socket {path}: {parent} can be written by others than root "
                "(put the socket into a directory of its own, mode 0755 or less)"
            )
        yield fd, name
    finally:
        os.close(fd)


def _near(directory: int, name: str) -> str:
    """A short name for the same file: sun_path holds 108 bytes (unix(7)), paths are longer."""
    return f"/proc/self/fd/{directory}/{name}"


def _check_old(directory: int, name: str, path: str) -> None:
    try:
        old = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(old.st_mode):
        raise CrecheError(f"control socket {path}: there is something else that is no socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as probe:
        probe.setblocking(False)
        # EAGAIN: its queue is full, so there is somebody.
        if probe.connect_ex(_near(directory, name)) != errno.ECONNREFUSED:
            raise CrecheError(f"control socket {path}: somebody listens there already")


def _unlink(directory: int, name: str) -> None:
    try:
        os.unlink(name, dir_fd=directory)
    except FileNotFoundError:
        pass
