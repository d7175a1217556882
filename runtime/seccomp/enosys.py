"""A prologue that answers ENOSYS to system calls newer than the profile. Pure.

A profile that lists what is allowed refuses everything else, with EPERM mostly. For a system call
that came after the profile was written, that is the wrong answer: programs try the new one and
fall back to an old one on ENOSYS only (glibc's clone3, faccessat2; runc found out the same way).
So numbers above all that the profile names, in whatever rule, get ENOSYS before the real filter
is asked.

Source: Documentation/userspace-api/seccomp_filter.rst; include/uapi/linux/bpf_common.h.
"""

from __future__ import annotations

import struct

from .tables import ENOSYS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

AUDIT_ARCH_X86_64 = 0xC000003E
# libseccomp's number for x32, which to the kernel is x86_64 with a bit in the system call's number.
SCMP_ARCH_X32 = 0x4000003E
X32_BIT = 0x40000000

# struct seccomp_data
NR = 0
ARCH = 4

LD_ABS = 0x20
JMP_JA = 0x05
JMP_JEQ = 0x15
JMP_JGT = 0x25
JMP_JGE = 0x35
RET = 0x06

_RET_ENOSYS = 0x00050000 | ENOSYS


def _insn(code: int, k: int, yes: int = 0, no: int = 0) -> bytes:
    """struct sock_filter."""
    return struct.pack("=HBBI", code, yes, no, k)


def prologue(highest: Mapping[int, int]) -> bytes:
    """Instructions to put in front of a filter.

    highest: architecture (AUDIT_ARCH_*, or libseccomp's x32) -> highest number that the profile
    names there. An architecture that is not in it goes to the filter as ever.
    """
    blocks: list[list[bytes]] = []
    for arch, number in highest.items():
        if arch == SCMP_ARCH_X32:
            continue
        if arch == AUDIT_ARCH_X86_64:
            # x32's numbers are all above those of x86_64: they are not new ones.
            x32 = highest.get(SCMP_ARCH_X32)
            body = [_insn(LD_ABS, NR)]
            if x32 is None:
                body.append(_insn(JMP_JGE, X32_BIT, yes=2))
            else:
                body += [
                    _insn(JMP_JGE, X32_BIT, no=2),
                    _insn(JMP_JGT, x32 | X32_BIT, yes=2),
                    _insn(JMP_JA, 2),
                ]
            body += [
                _insn(JMP_JGT, number, no=1),
                _insn(RET, _RET_ENOSYS),
            ]
        else:
            body = [
                _insn(LD_ABS, NR),
                _insn(JMP_JGT, number, no=1),
                _insn(RET, _RET_ENOSYS),
            ]
        blocks.append([_insn(JMP_JEQ, arch, no=len(body) + 1), *body])
    out: list[bytes] = []
    for block in reversed(blocks):
        # After each block: on to the real filter, past the blocks for other architectures.
        out = [*block, _insn(JMP_JA, len(out)), *out]
    return b"".join([_insn(LD_ABS, ARCH), *out]) if out else b""
