"""The C library handle, and the raw `syscall` for calls it has no wrapper for."""

from __future__ import annotations

import os

import runtime.linux.foreign as ctypes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeAlias

    _Pointer: TypeAlias = Any  # ctypes.byref() of something, or an array

libc = ctypes.CDLL(None, use_errno=True)
# PyDLL keeps the GIL: a clone() made without it would return twice into a thread that waits for it.
_held = ctypes.PyDLL(None, use_errno=True)
_MOST = 6  # arguments of a system call


def _by_arity(library: ctypes.CDLL) -> list[Callable[..., int]]:
    """`syscall` with 0, 1, … arguments that are words each: an integer, the address of bytes, NULL.

    Said in advance, ctypes takes a third of the time to convert them.
    """
    functions: list[Callable[..., int]] = []
    for count in range(_MOST + 1):
        function = library["syscall"]
        function.argtypes = [ctypes.c_void_p] * (count + 1)
        function.restype = ctypes.c_long
        functions.append(function)
    return functions


_syscalls = _by_arity(libc)
_syscalls_held = _by_arity(_held)

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
        "prctl": 157,
        "fstatfs": 138,
        "mount": 165,
        "umount2": 166,
        "unshare": 272,
        "sethostname": 170,
        "setdomainname": 171,
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
        "prctl": 167,
        "fstatfs": 44,
        "mount": 40,
        "umount2": 39,
        "unshare": 97,
        "sethostname": 161,
        "setdomainname": 162,
    },
}


def number(name: str) -> int:
    """The number of an older system call on this machine; where we have no table, of none.

    The kernel then says ENOSYS.
    """
    return _OLD.get(MACHINE, {}).get(name, -1)


def fail(name: str) -> OSError:
    """The OSError for the errno that the last call through `libc` left."""
    error = ctypes.get_errno()
    return OSError(error, f"{name}: {os.strerror(error)}")


def syscall(name: str, nr: int, *args: int | bytes | _Pointer | None) -> int:
    """A raw system call; integers go as C long, bytes as char *, None as NULL.

    Raises OSError naming the call.
    """
    result = _syscalls[len(args)](nr, *args)
    if result < 0:
        raise fail(name)
    return result


def syscall_holding_gil(name: str, nr: int, *args: int | bytes | _Pointer | None) -> int:
    """As `syscall`, without releasing the GIL: for the calls that return twice."""
    result = _syscalls_held[len(args)](nr, *args)
    if result < 0:
        raise fail(name)
    return result


def call(name: str, result: int) -> int:
    """Check the result of a libc wrapper that returns -1 on failure."""
    if result < 0:
        raise fail(name)
    return result
