"""Compiled filters, judged by running them: a small interpreter of classic BPF stands in for the
kernel (Documentation/networking/filter.rst), so that this needs neither root nor the architecture.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.errors import ConfigError
from runtime.seccomp import Filter, compile_filter, libseccomp
from runtime.seccomp.enosys import AUDIT_ARCH_X86_64, SCMP_ARCH_X32, X32_BIT, prologue
from runtime.seccomp.libseccomp import library, version

pytestmark = pytest.mark.skipif(version() is None, reason="needs libseccomp.so.2")

AUDIT_ARCH_I386 = 0x40000003
AUDIT_ARCH_AARCH64 = 0xC00000B7
ALLOW, KILL, KILL_PROCESS, ERRNO, LOG = 0x7FFF0000, 0, 0x80000000, 0x00050000, 0x7FFC0000
EPERM, ENOSYS = 1, 38


def run(program: bytes, arch: int, number: int, arguments: tuple[int, ...] = ()) -> int:
    """The filter's return value for one system call."""
    padded = [*arguments, *([0] * (6 - len(arguments)))]
    data = struct.pack("=iIQ6Q", number - (1 << 32) if number >> 31 else number, arch, 0, *padded)
    code = list(struct.iter_unpack("=HBBI", program))
    accumulator = position = 0
    jumps: dict[int, Callable[[int, int], bool]] = {
        0x15: lambda a, k: a == k,
        0x25: lambda a, k: a > k,
        0x35: lambda a, k: a >= k,
        0x45: lambda a, k: bool(a & k),
    }
    while True:
        opcode, yes, no, k = code[position]
        position += 1
        if opcode == 0x20:
            (accumulator,) = struct.unpack_from("=I", data, k)
        elif opcode == 0x54:
            accumulator &= k
        elif opcode == 0x05:
            position += k
        elif opcode in jumps:
            position += yes if jumps[opcode](accumulator, k) else no
        elif opcode == 0x06:
            return int(k)
        else:
            pytest.fail(f"unknown opcode {opcode:#x}")


def native() -> int:
    return int(library().seccomp_arch_native())


def nr(name: str, arch: int | None = None) -> int:
    resolve = library().seccomp_syscall_resolve_name_arch
    return int(resolve(native() if arch is None else arch, name.encode()))


def verdict(seccomp: dict[str, Any], name: str, *arguments: int) -> int:
    return run(compile_filter(seccomp).program, native(), nr(name), arguments)


def profile(default: str, *calls: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"defaultAction": default, "syscalls": list(calls), **more}


def allow(*names: str, **more: Any) -> dict[str, Any]:
    return {"names": list(names), "action": "SCMP_ACT_ALLOW", **more}


def arg(index: int, op: str, value: int, two: int = 0) -> dict[str, Any]:
    return {"index": index, "op": f"SCMP_CMP_{op}", "value": value, "valueTwo": two}


@pytest.mark.parametrize(
    ("action", "number", "expected"),
    [
        ("SCMP_ACT_KILL", None, KILL),
        ("SCMP_ACT_KILL_THREAD", None, KILL),
        ("SCMP_ACT_KILL_PROCESS", None, KILL_PROCESS),
        ("SCMP_ACT_TRAP", None, 0x00030000),
        ("SCMP_ACT_ERRNO", None, ERRNO | EPERM),
        ("SCMP_ACT_ERRNO", 111, ERRNO | 111),
        ("SCMP_ACT_TRACE", 5, 0x7FF00005),
        ("SCMP_ACT_LOG", None, LOG),
        ("SCMP_ACT_NOTIFY", None, 0x7FC00000),
    ],
)
def test_actions_of_a_rule(action: str, number: int | None, expected: int) -> None:
    """What is not named gets the default."""
    call: dict[str, Any] = {"names": ["getpid"], "action": action}
    if number is not None:
        call["errnoRet"] = number
    seccomp = profile("SCMP_ACT_ALLOW", call, listenerPath="/agent")
    assert verdict(seccomp, "getpid") == expected
    assert verdict(seccomp, "getppid") == ALLOW


@pytest.mark.parametrize(
    ("default", "number", "expected"),
    [
        ("SCMP_ACT_KILL", None, KILL),
        ("SCMP_ACT_ERRNO", None, ERRNO | EPERM),
        ("SCMP_ACT_ERRNO", 2, ERRNO | 2),
        ("SCMP_ACT_LOG", None, LOG),
    ],
)
def test_default_actions(default: str, number: int | None, expected: int) -> None:
    """With and without defaultErrnoRet."""
    more = {} if number is None else {"defaultErrnoRet": number}
    seccomp = profile(default, allow("read", "openat2"), **more)
    assert verdict(seccomp, "getpid") == expected
    assert verdict(seccomp, "read") == ALLOW


BIG = 0x1_0000_0005


@pytest.mark.parametrize(
    ("condition", "yes", "no"),
    [
        (arg(0, "EQ", BIG), BIG, 5),
        (arg(0, "NE", BIG), 5, BIG),
        (arg(1, "LT", BIG), BIG - 1, BIG),
        (arg(2, "LE", BIG), BIG, BIG + 1),
        (arg(3, "GE", BIG), BIG, BIG - 1),
        (arg(4, "GT", BIG), BIG + 1, BIG),
        (arg(5, "MASKED_EQ", 0x7E020000, 0), 0x00000011, 0x00020011),
        (arg(5, "MASKED_EQ", 0xFF, 0x11), 0xABCD11, 0x12),
    ],
)
def test_operators_compare_all_64_bits(condition: dict[str, Any], yes: int, no: int) -> None:
    """At each of the six arguments."""
    seccomp = profile("SCMP_ACT_ERRNO", allow("clone", args=[condition]))
    place = [0] * condition["index"]
    assert verdict(seccomp, "clone", *place, yes) == ALLOW
    assert verdict(seccomp, "clone", *place, no) == ERRNO | EPERM


def test_conditions_on_different_arguments_hold_together() -> None:
    """A logical and."""
    call = allow("clone", args=[arg(0, "EQ", 1), arg(1, "EQ", 2)])
    seccomp = profile("SCMP_ACT_ERRNO", call)
    assert verdict(seccomp, "clone", 1, 2) == ALLOW
    assert verdict(seccomp, "clone", 1, 3) == ERRNO | EPERM
    assert verdict(seccomp, "clone", 0, 2) == ERRNO | EPERM


def test_conditions_on_the_same_argument_are_alternatives() -> None:
    """As runc has always had it: each becomes a rule of its own."""
    call = allow("personality", args=[arg(0, "EQ", 0), arg(0, "EQ", 8)])
    seccomp = profile("SCMP_ACT_ERRNO", call)
    assert verdict(seccomp, "personality", 0) == ALLOW
    assert verdict(seccomp, "personality", 8) == ALLOW
    assert verdict(seccomp, "personality", 4) == ERRNO | EPERM


def test_unknown_names_and_rules_that_change_nothing_are_passed_over() -> None:
    """Profiles name the system calls of every kernel and architecture."""
    same = {"names": ["getpid"], "action": "SCMP_ACT_ERRNO"}
    seccomp = profile("SCMP_ACT_ERRNO", allow("no_such_call", "read", "openat2"), same)
    assert verdict(seccomp, "read") == ALLOW
    assert verdict(seccomp, "getpid") == ERRNO | EPERM


def test_other_architectures_have_their_own_numbers() -> None:
    """And one that is not configured is killed."""
    if native() != AUDIT_ARCH_X86_64:
        pytest.skip("written for x86_64")
    seccomp = profile(
        "SCMP_ACT_ERRNO",
        allow("getpid", "openat2"),
        architectures=["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
    )
    program = compile_filter(seccomp).program
    assert run(program, AUDIT_ARCH_X86_64, 39) == ALLOW
    assert run(program, AUDIT_ARCH_I386, 20) == ALLOW
    assert run(program, AUDIT_ARCH_I386, 39) == ERRNO | EPERM
    assert run(program, AUDIT_ARCH_AARCH64, 172) == KILL


def test_another_byte_order_is_an_error() -> None:
    """libseccomp cannot have both in one filter."""
    with pytest.raises(ConfigError, match="another byte order") as caught:
        compile_filter(profile("SCMP_ACT_KILL", architectures=["SCMP_ARCH_S390X"]))
    assert caught.value.path == "linux.seccomp.architectures[0]"


@pytest.mark.parametrize("default", ["SCMP_ACT_ERRNO", "SCMP_ACT_ALLOW"])
@pytest.mark.parametrize(
    "architectures", [[], ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]]
)
def test_a_tree_decides_as_a_row_does(
    monkeypatch: pytest.MonkeyPatch, default: str, architectures: list[str]
) -> None:
    """For each number, whatever its arguments: profiles of more than a few rules become trees."""
    if architectures and native() != AUDIT_ARCH_X86_64:
        pytest.skip("written for x86_64")
    plain = ["read", "write", "openat", "close", "fstat", "mmap", "brk", "execve", "openat2"]
    seccomp = profile(
        default,
        {"names": plain, "action": "SCMP_ACT_LOG"},
        {"names": ["mount", "umount2", "ptrace"], "action": "SCMP_ACT_KILL_PROCESS"},
        {"names": ["clone"], "action": "SCMP_ACT_TRAP", "args": [arg(0, "MASKED_EQ", 6, 2)]},
        {"names": ["personality"], "action": "SCMP_ACT_LOG", "args": [arg(0, "LE", 8)]},
        {"names": ["personality"], "action": "SCMP_ACT_LOG", "args": [arg(0, "EQ", 1 << 33)]},
        architectures=architectures,
    )
    tree = compile_filter(seccomp).program
    monkeypatch.setattr(libseccomp, "_FEW", 1000)
    row = compile_filter(seccomp).program

    assert tree != row
    for arch in (native(), AUDIT_ARCH_I386, AUDIT_ARCH_AARCH64):
        for number in (*range(500), X32_BIT, X32_BIT + 1, X32_BIT + 56, 0xFFFFFFFF):
            for argument in (0, 2, 6, 8, 9, 1 << 33):
                assert run(tree, arch, number, (argument,)) == run(row, arch, number, (argument,))


# -- ENOSYS for what is newer than the profile ----------------------------------------------------


@pytest.mark.parametrize("default", ["SCMP_ACT_ERRNO", "SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS"])
def test_newer_than_the_profile(default: str) -> None:
    """Above the highest number named; at and below it nothing changes."""
    program = compile_filter(profile(default, allow("read", "openat2"))).program
    newest = nr("openat2")
    assert run(program, native(), newest) == ALLOW
    assert run(program, native(), newest + 1) == ERRNO | ENOSYS
    assert run(program, native(), 100000) == ERRNO | ENOSYS
    assert run(program, native(), newest - 1) != ERRNO | ENOSYS


def test_what_a_profile_denies_it_knows() -> None:
    """A rule with the default's own action counts as well."""
    denied = {"names": ["openat2"], "action": "SCMP_ACT_ERRNO"}
    program = compile_filter(profile("SCMP_ACT_ERRNO", allow("read"), denied)).program
    assert run(program, native(), nr("openat2")) == ERRNO | EPERM
    assert run(program, native(), nr("openat2") + 1) == ERRNO | ENOSYS


@pytest.mark.parametrize(
    ("default", "more"),
    [
        ("SCMP_ACT_ALLOW", {}),
        ("SCMP_ACT_LOG", {}),
        ("SCMP_ACT_TRACE", {}),
        ("SCMP_ACT_ERRNO", {"defaultErrnoRet": ENOSYS}),
    ],
)
def test_nothing_is_put_in_front_of_a_permissive_default(
    default: str, more: dict[str, Any]
) -> None:
    """Or of one that says ENOSYS anyway."""
    denied = {"names": ["read"], "action": "SCMP_ACT_KILL"}
    program = compile_filter(profile(default, denied, **more)).program
    assert program[:8] == struct.pack("=HBBI", 0x20, 0, 0, 4)  # libseccomp's: load the architecture
    assert (
        run(program, native(), 100000)
        == {
            "SCMP_ACT_ALLOW": ALLOW,
            "SCMP_ACT_LOG": LOG,
            "SCMP_ACT_TRACE": 0x7FF00001,
            "SCMP_ACT_ERRNO": ERRNO | ENOSYS,
        }[default]
    )


def test_x32_is_not_newer_than_x86_64() -> None:
    """Its numbers are all higher; unless it is configured they are the filter's matter."""
    if native() != AUDIT_ARCH_X86_64:
        pytest.skip("written for x86_64")
    seccomp = profile("SCMP_ACT_ERRNO", allow("read", "openat2"))
    program = compile_filter(seccomp).program
    assert run(program, native(), X32_BIT + 5) == KILL
    assert run(program, native(), 0xFFFFFFFF) == ERRNO | EPERM
    seccomp["architectures"] = ["SCMP_ARCH_X86_64", "SCMP_ARCH_X32", "SCMP_ARCH_X86"]
    program = compile_filter(seccomp).program
    assert run(program, native(), X32_BIT) == ALLOW
    assert run(program, native(), X32_BIT + 438) == ERRNO | ENOSYS
    assert run(program, native(), 438) == ERRNO | ENOSYS
    assert run(program, AUDIT_ARCH_I386, 438) == ERRNO | ENOSYS
    assert run(program, AUDIT_ARCH_I386, 437) == ALLOW


_RET_ALLOW = struct.pack("=HBBI", 0x06, 0, 0, ALLOW)
_ARCHES = (AUDIT_ARCH_X86_64, AUDIT_ARCH_I386, AUDIT_ARCH_AARCH64, SCMP_ARCH_X32)


@settings(deadline=None)
@given(
    st.dictionaries(st.sampled_from(_ARCHES), st.integers(0, 1000)),
    st.sampled_from(_ARCHES[:3]),
    st.integers(0, 0xFFFFFFFF) | st.integers(0, 1001) | st.integers(X32_BIT, X32_BIT + 1001),
)
def test_prologue_alone(highest: dict[int, int], arch: int, number: int) -> None:
    """For any set of architectures: ENOSYS if and only if the number is above the highest."""
    top = highest.get(arch)
    new = top is not None and number > top
    if arch == AUDIT_ARCH_X86_64 and number >= X32_BIT:
        top = highest.get(SCMP_ARCH_X32) if arch in highest else None
        new = top is not None and number > top | X32_BIT
    expected = ERRNO | ENOSYS if new else ALLOW
    assert run(prologue(highest) + _RET_ALLOW, arch, number) == expected


def test_json_round_trip() -> None:
    """A filter can be part of a plan."""
    seccomp = profile("SCMP_ACT_ERRNO", allow("read"), architectures=["SCMP_ARCH_X86_64"])
    before = compile_filter(seccomp)
    after = Filter.from_dict(json.loads(json.dumps(before.to_dict())))
    assert (after.program, after.flags, after.warnings) == (before.program, 4, [])
    assert not after.listener
