"""The container's side of a terminal: a pty pair of the container's own devpts."""

from __future__ import annotations

import _struct as struct
import errno
import fcntl
import os

import runtime.linux.mounts as m
from runtime.errors import KernelError
from runtime.init.inroot import open_or_create
from runtime.linux.paths import (
    DEVPTS_SUPER_MAGIC,
    RESOLVE_NO_SYMLINKS,
    filesystem_type,
    openat2,
)

TIOCSPTLCK = 0x40045431
TIOCGPTN = 0x80045430
TIOCGPTPEER = 0x5441
TIOCSCTTY = 0x540E
TIOCSWINSZ = 0x5414


def open_pty(root: int, size: tuple[int, int] | None) -> tuple[int, int]:
    """(master, slave) from the devpts mounted in the root; size is (height, width).

    The slave comes from TIOCGPTPEER (Linux 4.13): no path in /dev/pts is trusted (CVE-2025-52565).
    """
    try:
        # One call, no symbolic links: what a container shares cannot be swapped under us.
        master = openat2(root, "dev/pts/ptmx", os.O_RDWR | os.O_NOCTTY, RESOLVE_NO_SYMLINKS)
    except OSError as error:
        raise KernelError(
            "open", "/dev/pts/ptmx", error.errno or 0, "process.terminal",
            "a terminal needs a devpts mounted on /dev/pts",
        ) from None  # fmt: skip
    try:
        if filesystem_type(master) != DEVPTS_SUPER_MAGIC:
            raise OSError(errno.ENODEV, "/dev/pts is not a devpts")
        fcntl.ioctl(master, TIOCSPTLCK, struct.pack("i", 0))
        slave = fcntl.ioctl(master, TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
        if size is not None:
            fcntl.ioctl(slave, TIOCSWINSZ, struct.pack("HHHH", size[0], size[1], 0, 0))
        return master, slave
    except OSError as error:
        os.close(master)
        raise KernelError(
            "open a pty in", "/dev/pts", error.errno or 0, "process.terminal"
        ) from None


def name(master: int) -> str:
    """The pty's name inside the container, for the console socket's payload."""
    number = struct.unpack("I", fcntl.ioctl(master, TIOCGPTN, bytes(4)))[0]
    return f"/dev/pts/{number}"


def bind_console(root: int, slave: int) -> None:
    """Bind the pty on /dev/console, made as an empty file where it is missing."""
    try:
        target, _ = open_or_create(root, "/dev/console", directory=False)
        try:
            tree = m.clone_tree(slave)
            try:
                m.attach(tree, target)
            finally:
                os.close(tree)
        finally:
            os.close(target)
    except OSError as error:
        raise KernelError("bind", "/dev/console", error.errno or 0, "process.terminal") from None


def take(slave: int, uid: int) -> None:
    """Make the pty the controlling terminal and standard input, output and error."""
    try:
        os.fchown(slave, uid, -1)
        os.fchmod(slave, 0o620)
    except PermissionError:
        pass  # an unmapped owner in a user namespace
    fcntl.ioctl(slave, TIOCSCTTY, 0)
    for fd in (0, 1, 2):
        os.dup2(slave, fd, inheritable=True)
