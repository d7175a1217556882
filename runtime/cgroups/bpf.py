"""bpf(2) for device programs: load, attach, replace. Loaded only where cgroup v2 holds devices."""

from __future__ import annotations

import _struct as struct
import errno
import os

import runtime.linux.foreign as ctypes
from runtime.errors import KernelError
from runtime.linux.libc import number, syscall

# enum bpf_cmd, enum bpf_prog_type, enum bpf_attach_type
PROG_LOAD = 5
PROG_ATTACH = 8
PROG_DETACH = 9
PROG_GET_FD_BY_ID = 13
PROG_QUERY = 16
PROG_TYPE_CGROUP_DEVICE = 15
CGROUP_DEVICE = 6

F_ALLOW_MULTI = 2
F_REPLACE = 4

_MAX_PROGRAMS = 64
_MAX_KEPT = 32


# Verified programs by their instructions, in a process that makes many containers.
_kept: dict[bytes, int] | None = None


def keep_programs() -> None:
    """From now on load each program once: the verifier takes a third of a millisecond."""
    global _kept
    _kept = {}


def _bpf(command: int, attr: ctypes.Array[ctypes.c_char]) -> int:
    return syscall("bpf", number("bpf"), command, ctypes.byref(attr), len(attr))


def _attr(data: bytes) -> ctypes.Array[ctypes.c_char]:
    # 128 bytes: more than any command here uses; the rest has to be zero.
    return ctypes.create_string_buffer(data, 128)


def load(program: bytes) -> int:
    """A descriptor of the verified program (struct bpf_insn array)."""
    code = ctypes.create_string_buffer(program, len(program))
    licence = ctypes.create_string_buffer(b"Apache-2.0")
    attr = _attr(
        struct.pack(
            "=IIQQIIQII16s",
            PROG_TYPE_CGROUP_DEVICE,
            len(program) // 8,
            ctypes.addressof(code),
            ctypes.addressof(licence),
            0,
            0,
            0,
            0,
            0,
            b"creche_devices",
        )
    )
    return _bpf(PROG_LOAD, attr)


def _loaded(program: bytes, fds: list[int]) -> int:
    """A descriptor of the program; `fds` gets it if the caller has to close it."""
    if _kept is None:
        fds.append(load(program))
        return fds[-1]
    if program not in _kept:
        while len(_kept) >= _MAX_KEPT:
            os.close(_kept.pop(next(iter(_kept))))
        _kept[program] = load(program)
    return _kept[program]


def attached(cgroup: int) -> list[int]:
    """The ids of the device programs attached to this very cgroup (a descriptor of it)."""
    ids = (ctypes.c_uint32 * _MAX_PROGRAMS)()
    attr = _attr(
        struct.pack("=IIIIQI", cgroup, CGROUP_DEVICE, 0, 0, ctypes.addressof(ids), _MAX_PROGRAMS)
    )
    _bpf(PROG_QUERY, attr)
    (count,) = struct.unpack_from("=I", attr.raw, 24)
    return list(ids[:count])


def _open(program_id: int) -> int:
    return _bpf(PROG_GET_FD_BY_ID, _attr(struct.pack("=I", program_id)))


def set_program(directory: str, program: bytes) -> None:
    """Make this the only device program of the cgroup, without a moment without one.

    Programs of the ancestors hold as well: all have to allow. Raises KernelError.
    """
    op = "load the device program for"
    cgroup = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    fds: list[int] = []
    try:
        new = _loaded(program, fds)
        op = "list the device programs of"
        old = []
        for program_id in attached(cgroup):
            old.append(_open(program_id))
            fds.append(old[-1])
        op = "attach the device program to"
        if len(old) == 1:
            flags = F_ALLOW_MULTI | F_REPLACE
            _bpf(PROG_ATTACH, _attr(struct.pack("=IIIII", cgroup, new, 6, flags, old[0])))
        else:
            _bpf(PROG_ATTACH, _attr(struct.pack("=IIII", cgroup, new, 6, F_ALLOW_MULTI)))
            op = "detach an old device program from"
            for each in old:
                _bpf(PROG_DETACH, _attr(struct.pack("=III", cgroup, each, 6)))
    except OSError as error:
        code = error.errno or 0
        hint = ""
        if code in (errno.EINVAL, errno.ENOSYS):
            hint = "the kernel needs CONFIG_CGROUP_BPF"
        raise KernelError(op, directory, code, "linux.resources.devices", hint) from None
    finally:
        for fd in fds:
            os.close(fd)
        os.close(cgroup)
