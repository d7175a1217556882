"""A sealed interpreter that is kept until the next boot, so that sealing costs no second start.

/run/creche.sealed/python3 is a mount of that one file: an overlayfs without an upper layer, as in
runtime/seal.py. The first command of root that needs a sealed interpreter makes it, and the script
`creche` starts the later ones from it. Beside it lie `source`, a link to the file that was sealed,
by which the script sees that it is about to start the same one, and `pyvenv.cfg`, which tells the
interpreter where its library is. An interpreter that was replaced (an upgrade) is sealed anew; a
second one has to seal itself at each start.
"""

from __future__ import annotations

import errno
import fcntl
import os

import runtime.linux.mounts as m
from runtime import KEPT, seal

_HERE = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW


def open_kept(interpreter: str) -> int:
    """A descriptor of the kept copy of this interpreter, which is made if there is none.

    Raises OSError if it cannot be: EBUSY if another interpreter is kept.
    """
    if os.geteuid() != 0:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))
    directory = _directory()
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        fd = _current(directory, interpreter)
        if fd is None:
            _make(directory, interpreter)
            fd = _current(directory, interpreter)
        if fd is None:
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
        return fd
    finally:
        os.close(directory)


def _directory() -> int:
    """KEPT, made if need be; nobody but root may change what is in it."""
    try:
        os.mkdir(KEPT, 0o755)
    except FileExistsError:
        pass
    fd = os.open(KEPT, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
    found = os.fstat(fd)
    if found.st_uid != 0 or found.st_mode & 0o022:
        os.close(fd)
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))
    return fd


def _current(directory: int, interpreter: str) -> int | None:
    """The kept copy, if it is one of what lies at this path now. Raises OSError EBUSY."""
    try:
        source = os.readlink("source", dir_fd=directory)
        fd = os.open("python3", os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW, dir_fd=directory)
    except FileNotFoundError:
        return None
    kept, original = os.fstat(fd), os.stat(interpreter)
    if seal.is_kept(fd):
        if source != interpreter and os.path.exists(source):
            os.close(fd)
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
        if (kept.st_size, kept.st_mtime_ns) == (original.st_size, original.st_mtime_ns):
            return fd
    os.close(fd)
    return None


def _make(directory: int, interpreter: str) -> None:
    """Seal this interpreter in place of whatever is there."""
    home, name = os.path.split(interpreter)
    _unmount(seal.KEPT_PYTHON)
    _write(directory, "pyvenv.cfg", f"home = {home}\n")
    _unlink(directory, "source")
    # An empty file to mount on. It stays if it is there: in another mount namespace it may be one.
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    os.close(os.open("python3", flags, 0o600, dir_fd=directory))
    overlay = seal.overlay(home)
    try:
        # A mount that is attached nowhere cannot be cloned before Linux 6.15. For a moment it is,
        # where nobody but root can enter.
        layers = f"{KEPT}/layers"
        _unmount(layers)
        try:
            os.mkdir("layers", 0o700, dir_fd=directory)
        except FileExistsError:
            pass
        place = os.open("layers", _HERE, dir_fd=directory)
        try:
            m.attach(overlay, place)
        finally:
            os.close(place)
        try:
            _attach_file(directory, f"{layers}/{name}")
        finally:
            m.umount(layers, m.MNT_DETACH)
            os.rmdir("layers", dir_fd=directory)
    finally:
        os.close(overlay)
    # The last: without it the script starts nothing from here.
    os.symlink(interpreter, "source", dir_fd=directory)


def _attach_file(directory: int, path: str) -> None:
    tree = m.open_tree(m.AT_FDCWD, path, m.OPEN_TREE_CLONE | m.AT_SYMLINK_NOFOLLOW)
    try:
        place = os.open("python3", os.O_PATH | os.O_CLOEXEC | os.O_NOFOLLOW, dir_fd=directory)
        try:
            m.attach(tree, place)
        finally:
            os.close(place)
    finally:
        os.close(tree)


def _unmount(path: str) -> None:
    """What a process that was killed, or the interpreter before an upgrade, has left."""
    while True:
        try:
            m.umount(path, m.MNT_DETACH | m.UMOUNT_NOFOLLOW)
        except OSError:
            return  # EINVAL: no mount (any more); ENOENT


def _write(directory: int, name: str, text: str) -> None:
    _unlink(directory, name)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    fd = os.open(name, flags, 0o644, dir_fd=directory)
    try:
        os.fchmod(fd, 0o644)  # whatever the caller's umask is
        os.write(fd, os.fsencode(text))
    finally:
        os.close(fd)


def _unlink(directory: int, name: str) -> None:
    try:
        os.unlink(name, dir_fd=directory)
    except FileNotFoundError:
        pass
