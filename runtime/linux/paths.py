"""openat2(2): paths resolved under rules the kernel enforces (Linux 5.6)."""

from __future__ import annotations

import errno
import os
import sys
from _struct import Struct

import runtime.linux.foreign as ctypes
from runtime.linux.libc import number, syscall

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


_OPEN_HOW = Struct("=QQQ")  # flags, mode, resolve (include/uapi/linux/openat2.h)
_STATFS = 120  # bytes of struct statfs of 64-bit Linux, the type first
_NR_FSTATFS = number("fstatfs")


def openat2(dirfd: int, path: str, flags: int, resolve: int, mode: int = 0) -> int:
    """Open path below dirfd; always close-on-exec. OSError EAGAIN after many rename races."""
    how = _OPEN_HOW.pack(flags | os.O_CLOEXEC, mode, resolve)
    name = os.fsencode(path)
    for attempt in range(_TRIES):
        try:
            return syscall("openat2", NR_OPENAT2, dirfd, name, how, len(how))
        except OSError as error:
            if error.errno != errno.EAGAIN or attempt == _TRIES - 1:
                raise
    raise AssertionError("unreachable")


def filesystem_type(fd: int) -> int:
    """The f_type of fstatfs(2): which kind of filesystem an open file is on."""
    buffer = ctypes.create_string_buffer(_STATFS)
    syscall("fstatfs", _NR_FSTATFS, fd, buffer)
    return int.from_bytes(buffer.raw[:8], sys.byteorder)
