"""The device rules as a BPF program for cgroup version 2. Pure.

The program is of type BPF_PROG_TYPE_CGROUP_DEVICE: it is handed a `struct bpf_cgroup_dev_ctx`
`{u32 access_type; u32 major; u32 minor}` (access in the upper, type in the lower half of
access_type) and returns 1 to allow (include/uapi/linux/bpf.h).

Unlike version 1 it follows the rules to the letter: from the last to the first, each rule that
matches the device decides on the kinds of access that it names and that are not decided yet. The
first refused one ends it; when all that was asked for is allowed, so is the whole.
"""

from __future__ import annotations

import _struct as struct

from .devices import ANY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from .devices import Rule

# struct bpf_insn: opcode, registers (dst low, src high), offset (signed 16), immediate (signed 32)
_INSN = "=BBhi"

LDX_W = 0x61  # dst = *(u32 *)(src + off)
MOV64_REG = 0xBF
MOV32_IMM = 0xB4
AND32_IMM = 0x54
RSH32_IMM = 0x74
JNE_IMM = 0x55
JNE32_IMM = 0x56
JA = 0x05
JSET_IMM = 0x45
EXIT = 0x95

# Registers
R0, R1, TYPE, WANTED, MAJOR, MINOR = 0, 1, 2, 3, 4, 5

_TYPES = {"b": 1, "c": 2}
_ACCESS = {"m": 1, "r": 2, "w": 4}


def _insn(code: int, dst: int = 0, src: int = 0, off: int = 0, imm: int = 0) -> bytes:
    if imm > 0x7FFFFFFF:
        imm -= 1 << 32
    return struct.pack(_INSN, code, dst | src << 4, off, imm)


def device_program(rules: Iterable[Rule]) -> bytes:
    """An array of struct bpf_insn."""
    out = [
        _insn(LDX_W, TYPE, R1, 0),
        _insn(MOV64_REG, WANTED, TYPE),
        _insn(AND32_IMM, TYPE, imm=0xFFFF),
        _insn(RSH32_IMM, WANTED, imm=16),
        _insn(LDX_W, MAJOR, R1, 4),
        _insn(LDX_W, MINOR, R1, 8),
    ]
    for rule in reversed(list(rules)):
        out += _rule(rule)
        if rule[1] == "a":
            # It decides on everything: code after it could not be reached, which the verifier
            # refuses.
            return b"".join(out)
    out += [_insn(MOV32_IMM, R0, imm=0), _insn(EXIT)]
    return b"".join(out)


def _rule(rule: Rule) -> list[bytes]:
    allow, kind, major, minor, access = rule
    if kind == "a":
        return [_insn(MOV32_IMM, R0, imm=int(allow)), _insn(EXIT)]
    mask = sum(_ACCESS[letter] for letter in set(access))
    if allow:
        # The kinds of access that this rule settles are no longer wanted; none left: allowed.
        body = [
            _insn(AND32_IMM, WANTED, imm=7 & ~mask),
            _insn(JNE_IMM, WANTED, off=2, imm=0),
            _insn(MOV32_IMM, R0, imm=1),
            _insn(EXIT),
        ]
    else:
        body = [
            _insn(JSET_IMM, WANTED, off=1, imm=mask),
            _insn(JA, off=2),
            _insn(MOV32_IMM, R0, imm=0),
            _insn(EXIT),
        ]
    tests = [(TYPE, _TYPES[kind])]
    if major != ANY:
        tests.append((MAJOR, major))
    if minor != ANY:
        tests.append((MINOR, minor))
    out = []
    for index, (register, value) in enumerate(tests):
        beyond = len(tests) - index - 1 + len(body)
        out.append(_insn(JNE32_IMM, register, off=beyond, imm=value))
    return out + body
