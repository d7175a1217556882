"""openat2(2): paths resolved under rules the kernel enforces (Linux 5.6)."""

from __future__ import annotations

import errno
import os

import runtime.linux.foreign as ctypes
from runtime.linux.libc import libc, syscall

NR_OPENAT2 = 437
RESOLVE_NO_XDEV = 0x01
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08
RESOLVE_IN_ROOT = 0x10

PROC_SUPER_MAGIC = 0x9FA0
DEVPTS_SUPER_MAGIC = 0x1CD1
OVERLAYFS_SUPER_MAGIC = 0x794C7630
CGROUP2_SUPER_MAGIC = 0x63677270
ST_RDONLY = 1

# Rename races make openat2 give up with EAGAIN; an attacker who swaps directories must not be able
# to fail a launch cheaply, and must not be able to hold us for ever either.
_TRIES = 256


class open_how(ctypes.Structure):
    """include/uapi/linux/openat2.h."""

    _fields_ = [
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    ]


def openat2(dirfd: int, path: str, flags: int, resolve: int, mode: int = 0) -> int:
    """Open path below dirfd; always close-on-exec. OSError EAGAIN after many rename races."""
    how = open_how(flags | os.O_CLOEXEC, mode, resolve)
    name = os.fsencode(path)
    for attempt in range(_TRIES):
        try:
            return syscall(
                "openat2", NR_OPENAT2, dirfd, name, ctypes.byref(how), ctypes.sizeof(how)
            )
        except OSError as error:
            if error.errno != errno.EAGAIN or attempt == _TRIES - 1:
                raise
    raise AssertionError("unreachable")


class _statfs(ctypes.Structure):
    """struct statfs of 64-bit Linux: 120 bytes, the type first."""

    _fields_ = [("f_type", ctypes.c_long), ("rest", ctypes.c_long * 14)]


def filesystem_type(fd: int) -> int:
    """The f_type of fstatfs(2): which kind of filesystem an open file is on."""
    buffer = _statfs()
    if libc.fstatfs(ctypes.c_int(fd), ctypes.byref(buffer)) < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"fstatfs: {os.strerror(error)}")
    return int(buffer.f_type)
