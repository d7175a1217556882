"""The C library handle, and the raw `syscall` for calls it has no wrapper for."""

from __future__ import annotations

import os

import runtime.linux.foreign as ctypes

# PyDLL keeps the GIL: a clone() made without it would return twice into a thread that waits for it.
_held = ctypes.PyDLL(None, use_errno=True)
libc = ctypes.CDLL(None, use_errno=True)
_syscall = libc.syscall
_syscall.restype = ctypes.c_long
_syscall_held = _held.syscall
_syscall_held.restype = ctypes.c_long

MACHINE = os.uname().machine

# Numbers from 424 on are the same on every architecture; these are the older ones.
_OLD = {
    "x86_64": {
        "pivot_root": 155,
        "capget": 125,
        "capset": 126,
        "keyctl": 250,
        "setns": 308,
        "prlimit64": 302,
        "getcwd": 79,
        "ioprio_set": 251,
        "sched_setattr": 314,
        "seccomp": 317,
        "personality": 135,
        "set_mempolicy": 238,
        "bpf": 321,
    },
    "aarch64": {
        "pivot_root": 41,
        "capget": 90,
        "capset": 91,
        "keyctl": 219,
        "setns": 268,
        "prlimit64": 261,
        "getcwd": 17,
        "ioprio_set": 30,
        "sched_setattr": 274,
        "seccomp": 277,
        "personality": 92,
        "set_mempolicy": 237,
        "bpf": 280,
    },
}


def number(name: str) -> int:
    """The number of an older system call on this machine; ENOSYS where we have no table."""
    try:
        return _OLD[MACHINE][name]
    except KeyError:
        raise OSError(38, f"{name}: no system call number known for {MACHINE}") from None


def fail(name: str) -> OSError:
    """The OSError for the errno that the last call through `libc` left."""
    error = ctypes.get_errno()
    return OSError(error, f"{name}: {os.strerror(error)}")


def syscall(name: str, nr: int, *args: object) -> int:
    """A raw system call; integers go as C long, bytes as char *, None as NULL.

    Raises OSError naming the call.
    """
    ctypes.set_errno(0)
    result = int(_syscall(ctypes.c_long(nr), *[_word(a) for a in args]))
    if result < 0:
        raise fail(name)
    return result


def syscall_holding_gil(name: str, nr: int, *args: object) -> int:
    """As `syscall`, without releasing the GIL: for the calls that return twice."""
    ctypes.set_errno(0)
    result = int(_syscall_held(ctypes.c_long(nr), *[_word(a) for a in args]))
    if result < 0:
        raise fail(name)
    return result


def _word(value: object) -> object:
    return ctypes.c_long(value) if isinstance(value, int) else value


def call(name: str, result: int) -> int:
    """Check the result of a libc wrapper that returns -1 on failure."""
    if result < 0:
        raise fail(name)
    return result
