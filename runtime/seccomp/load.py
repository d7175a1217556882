"""Load a compiled filter into the calling thread: seccomp(2).

Everything is prepared beforehand, because between loading and execve(2) nothing may happen that
the profile could forbid: no allocation that maps memory, no lock that waits.
"""

from __future__ import annotations

import errno
import os

import runtime.linux.foreign as ctypes
from runtime.linux.libc import number

from . import tables

_SET_MODE_FILTER = 1

# PyDLL: giving the interpreter's lock away and taking it back may need futex(2).
_libc = ctypes.PyDLL(None, use_errno=True)
_syscall = _libc.syscall
_syscall.restype = ctypes.c_long


class sock_fprog(ctypes.Structure):
    """include/uapi/linux/filter.h."""

    _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.c_void_p)]


class Prepared:
    """A filter ready to be loaded, any number of times."""

    __slots__ = ("_arguments", "_keep", "listener")

    def __init__(self, program: bytes, flags: int, listener: bool = False) -> None:
        if listener:
            flags |= tables.FLAG_NEW_LISTENER
        self.listener = bool(flags & tables.FLAG_NEW_LISTENER)
        code = ctypes.create_string_buffer(program, len(program))
        prog = sock_fprog(len(program) // 8, ctypes.addressof(code))
        self._keep = (code, prog)
        self._arguments = (
            ctypes.c_long(number("seccomp")),
            ctypes.c_long(_SET_MODE_FILTER),
            ctypes.c_long(flags),
            ctypes.c_void_p(ctypes.addressof(prog)),
        )

    def install(self) -> int | None:
        """Load it; from here on it holds. Returns the listener's descriptor if it has one.

        The caller has set no_new_privs or has CAP_SYS_ADMIN in its user namespace (else EACCES).
        Raises OSError that names the call.
        """
        result = _syscall(*self._arguments)
        if result < 0:
            raise _failure()
        return result if self.listener else None


def _failure() -> OSError:
    code = ctypes.get_errno()
    hint = ""
    if code == errno.EACCES:
        hint = " (without process.noNewPrivileges it takes CAP_SYS_ADMIN)"
    elif code == errno.EINVAL:
        hint = " (this kernel does not know one of linux.seccomp.flags)"
    elif code == errno.EBUSY:
        hint = " (there is a seccomp listener for this process already)"
    return OSError(code, f"load seccomp filter: {os.strerror(code)}{hint}")


def prepare(program: bytes, flags: int, listener: bool = False) -> Prepared:
    """Allocate everything that loading takes. listener: as if NEW_LISTENER were in flags."""
    return Prepared(program, flags, listener)


def load(program: bytes, flags: int, listener: bool = False) -> int | None:
    """prepare() and install() in one."""
    return Prepared(program, flags, listener).install()


def supported_flags() -> list[str]:
    """Those of the configuration's flags that this kernel knows.

    Asked with a null program: EFAULT says that the flags had passed (seccomp(2), "NOTES").
    """
    known = []
    for name, flag in tables.FLAGS.items():
        bits = flag
        if flag == tables.FLAG_WAIT_KILLABLE_RECV:
            bits |= tables.FLAG_NEW_LISTENER
        nr, mode = ctypes.c_long(number("seccomp")), ctypes.c_long(_SET_MODE_FILTER)
        _syscall(nr, mode, ctypes.c_long(bits), ctypes.c_void_p(None))
        if ctypes.get_errno() == errno.EFAULT:
            known.append(name)
    return known
