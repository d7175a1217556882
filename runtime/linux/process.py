"""Attributes of the calling process: prctl(2), capset(2), prlimit(2), close_range(2)."""

from __future__ import annotations

import os
from _struct import Struct

import runtime.linux.foreign as ctypes
from runtime.linux.libc import number, syscall

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

NR_PIDFD_SEND_SIGNAL = 424
NR_PIDFD_GETFD = 438
NR_CLOSE_RANGE = 436

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_KEEPCAPS = 8
PR_CAPBSET_READ = 23
PR_CAPBSET_DROP = 24
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
PR_CAP_AMBIENT_CLEAR_ALL = 4

LINUX_CAPABILITY_VERSION_3 = 0x20080522
KEYCTL_JOIN_SESSION_KEYRING = 1
RLIM_INFINITY = 0xFFFFFFFFFFFFFFFF

IOPRIO_WHO_PROCESS = 1
IOPRIO_WHO_PGRP = 2


_CAP_HEADER = Struct("=Ii")  # version, pid (include/uapi/linux/capability.h)
_CAP_DATA = Struct("=6I")  # effective, permitted, inheritable: the lower halves, then the upper
_RLIMIT = Struct("=QQ")  # soft, hard (include/uapi/linux/resource.h)

# include/uapi/linux/sched/types.h, SCHED_ATTR_SIZE_VER0: after its own size
_SCHED_NAMES = ("policy", "flags", "nice", "priority", "runtime", "deadline", "period")
_SCHED_ATTR = Struct("=IIQiIQQQ")

_NR_PRCTL = number("prctl")
_NR_CAPSET = number("capset")
_NR_CAPGET = number("capget")
_NR_PRLIMIT = number("prlimit64")
_NR_GETCWD = number("getcwd")


def prctl(option: int, arg2: int = 0, arg3: int = 0, arg4: int = 0, arg5: int = 0) -> int:
    """prctl(2); the result where it has one."""
    return syscall("prctl", _NR_PRCTL, option, arg2, arg3, arg4, arg5)


def close_range(first: int, last: int = 0xFFFFFFFF) -> None:
    """Close every descriptor from first to last: close_range(2), Linux 5.9."""
    syscall("close_range", NR_CLOSE_RANGE, first, last, 0)


def pidfd_send_signal(pidfd: int, signal: int) -> None:
    """Signal the process behind a pidfd: no pid can have been reused."""
    syscall("pidfd_send_signal", NR_PIDFD_SEND_SIGNAL, pidfd, signal, None, 0)


def pidfd_getfd(pidfd: int, number: int) -> int:
    """A copy of another process's descriptor, close-on-exec: pidfd_getfd(2), Linux 5.6."""
    return syscall("pidfd_getfd", NR_PIDFD_GETFD, pidfd, number, 0)


def capset(effective: int, permitted: int, inheritable: int) -> None:
    """Set the three sets of the calling thread, as bit masks: capset(2)."""
    sets = (effective, permitted, inheritable)
    halves = [mask & 0xFFFFFFFF for mask in sets] + [mask >> 32 for mask in sets]
    header = _CAP_HEADER.pack(LINUX_CAPABILITY_VERSION_3, 0)
    syscall("capset", _NR_CAPSET, header, _CAP_DATA.pack(*halves))


def capget() -> tuple[int, int, int]:
    """(effective, permitted, inheritable) of the calling thread, as bit masks."""
    header = _CAP_HEADER.pack(LINUX_CAPABILITY_VERSION_3, 0)
    data = ctypes.create_string_buffer(_CAP_DATA.size)
    syscall("capget", _NR_CAPGET, header, data)
    words = _CAP_DATA.unpack(data)
    return words[0] | words[3] << 32, words[1] | words[4] << 32, words[2] | words[5] << 32


def prlimit(pid: int, resource: int, limits: tuple[int, int] | None) -> tuple[int, int]:
    """Set (when given) and return the (soft, hard) limits of a process: prlimit(2).

    Exact unsigned 64-bit values, where Python's `resource` takes signed ones.
    """
    old = ctypes.create_string_buffer(_RLIMIT.size)
    new = None if limits is None else _RLIMIT.pack(*limits)
    syscall("prlimit64", _NR_PRLIMIT, pid, resource, new, old)
    soft, hard = _RLIMIT.unpack(old)
    return soft, hard


def join_session_keyring(name: str) -> None:
    """A session keyring of our own, so that the caller's keys do not leak: keyctl(2)."""
    syscall("keyctl", number("keyctl"), KEYCTL_JOIN_SESSION_KEYRING, os.fsencode(name))


def getcwd() -> str:
    """The kernel's own answer, which is `(unreachable)…` for a directory outside our root.

    os.getcwd() goes through the C library, which would walk the directories instead.
    """
    buffer = ctypes.create_string_buffer(4096)
    syscall("getcwd", _NR_GETCWD, buffer, len(buffer))
    return os.fsdecode(buffer.value)


def setdomainname(name: str) -> None:
    """setdomainname(2)."""
    data = os.fsencode(name)
    syscall("setdomainname", number("setdomainname"), data, len(data))


def sethostname(name: str) -> None:
    """sethostname(2), without loading the socket module for it."""
    data = os.fsencode(name)
    syscall("sethostname", number("sethostname"), data, len(data))


def set_mempolicy(mode: int, nodes: list[int]) -> None:
    """set_mempolicy(2): where the calling process's memory comes from."""
    mask = 0
    for node in nodes:
        mask |= 1 << node
    bits = (max(nodes) // 64 + 1) * 64 if nodes else 0
    data = mask.to_bytes(bits // 8, "little") if nodes else None
    # The kernel takes one bit less than it is told.
    syscall("set_mempolicy", number("set_mempolicy"), mode, data, bits + 1 if nodes else 0)


def personality(persona: int) -> None:
    """personality(2)."""
    syscall("personality", number("personality"), persona)


def ioprio_set(who: int, value: int) -> None:
    """ioprio_set(2) for the calling process (IOPRIO_WHO_PROCESS) or its group."""
    syscall("ioprio_set", number("ioprio_set"), who, 0, value)


def sched_setattr(attributes: Mapping[str, int]) -> None:
    """sched_setattr(2) for the calling thread. attributes: those of _SCHED_NAMES, all of them."""
    values = [attributes[name] for name in _SCHED_NAMES]
    attr = _SCHED_ATTR.pack(_SCHED_ATTR.size, *values)
    syscall("sched_setattr", number("sched_setattr"), 0, attr, 0)
