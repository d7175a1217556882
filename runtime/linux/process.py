"""Attributes of the calling process: prctl(2), capset(2), prlimit(2), close_range(2)."""

from __future__ import annotations

import os

import runtime.linux.foreign as ctypes
from runtime.linux.libc import call, libc, number, syscall

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


class cap_user_header(ctypes.Structure):
    """include/uapi/linux/capability.h."""

    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class cap_user_data(ctypes.Structure):
    """include/uapi/linux/capability.h; two of them hold 64 bits of each set."""

    _fields_ = [
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    ]


class rlimit64(ctypes.Structure):
    """include/uapi/linux/resource.h."""

    _fields_ = [("soft", ctypes.c_uint64), ("hard", ctypes.c_uint64)]


class sched_attr(ctypes.Structure):
    """include/uapi/linux/sched/types.h, SCHED_ATTR_SIZE_VER0."""

    _fields_ = [
        ("size", ctypes.c_uint32),
        ("policy", ctypes.c_uint32),
        ("flags", ctypes.c_uint64),
        ("nice", ctypes.c_int32),
        ("priority", ctypes.c_uint32),
        ("runtime", ctypes.c_uint64),
        ("deadline", ctypes.c_uint64),
        ("period", ctypes.c_uint64),
    ]


def prctl(option: int, arg2: int = 0, arg3: int = 0, arg4: int = 0, arg5: int = 0) -> int:
    """prctl(2); the result where it has one."""
    words = [ctypes.c_ulong(a) for a in (arg2, arg3, arg4, arg5)]
    return call("prctl", libc.prctl(ctypes.c_int(option), *words))


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
    header = cap_user_header(LINUX_CAPABILITY_VERSION_3, 0)
    data = (cap_user_data * 2)()
    for word in (0, 1):
        data[word].effective = (effective >> (32 * word)) & 0xFFFFFFFF
        data[word].permitted = (permitted >> (32 * word)) & 0xFFFFFFFF
        data[word].inheritable = (inheritable >> (32 * word)) & 0xFFFFFFFF
    syscall("capset", number("capset"), ctypes.byref(header), ctypes.byref(data))


def capget() -> tuple[int, int, int]:
    """(effective, permitted, inheritable) of the calling thread, as bit masks."""
    header = cap_user_header(LINUX_CAPABILITY_VERSION_3, 0)
    data = (cap_user_data * 2)()
    syscall("capget", number("capget"), ctypes.byref(header), ctypes.byref(data))
    low, high = data[0], data[1]
    return (
        low.effective | high.effective << 32,
        low.permitted | high.permitted << 32,
        low.inheritable | high.inheritable << 32,
    )


def prlimit(pid: int, resource: int, limits: tuple[int, int] | None) -> tuple[int, int]:
    """Set (when given) and return the (soft, hard) limits of a process: prlimit(2).

    Exact unsigned 64-bit values, where Python's `resource` takes signed ones.
    """
    old = rlimit64()
    new = None if limits is None else ctypes.byref(rlimit64(*limits))
    syscall("prlimit64", number("prlimit64"), pid, resource, new, ctypes.byref(old))
    return int(old.soft), int(old.hard)


def join_session_keyring(name: str) -> None:
    """A session keyring of our own, so that the caller's keys do not leak: keyctl(2)."""
    syscall("keyctl", number("keyctl"), KEYCTL_JOIN_SESSION_KEYRING, os.fsencode(name))


def getcwd() -> str:
    """The kernel's own answer, which is `(unreachable)…` for a directory outside our root.

    os.getcwd() goes through the C library, which would walk the directories instead.
    """
    buffer = ctypes.create_string_buffer(4096)
    syscall("getcwd", number("getcwd"), buffer, len(buffer))
    return os.fsdecode(buffer.value)


def setdomainname(name: str) -> None:
    """setdomainname(2)."""
    data = os.fsencode(name)
    call("setdomainname", libc.setdomainname(data, ctypes.c_size_t(len(data))))


def sethostname(name: str) -> None:
    """sethostname(2), without loading the socket module for it."""
    data = os.fsencode(name)
    call("sethostname", libc.sethostname(data, ctypes.c_size_t(len(data))))


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


def sched_setattr(attr: sched_attr) -> None:
    """sched_setattr(2) for the calling thread."""
    attr.size = ctypes.sizeof(attr)
    syscall("sched_setattr", number("sched_setattr"), 0, ctypes.byref(attr), 0)
