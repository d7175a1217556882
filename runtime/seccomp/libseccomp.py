"""Compile a profile with libseccomp, by ctypes. The library is opened on first use.

Source: libseccomp's include/seccomp.h.in and seccomp_*(3).
"""

from __future__ import annotations

import errno
import os

import runtime.linux.foreign as ctypes
from runtime.errors import ConfigError, CrecheError, strerror
from runtime.linux.files import read_text

from . import enosys, tables
from .filter import Filter
from .rules import action_value, check, load_flags

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

SONAME = "libseccomp.so.2"

# enum scmp_filter_attr
_CTL_OPTIMIZE = 8
_API_SYSRAWRC = 9

_BINARY_TREE = 2
_FEW = 8  # rules that are as fast one after another; without any the library fails to make a tree


class scmp_arg_cmp(ctypes.Structure):
    """struct scmp_arg_cmp; for MASKED_EQ datum_a is the mask and datum_b the value."""

    _fields_ = [
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("datum_a", ctypes.c_uint64),
        ("datum_b", ctypes.c_uint64),
    ]


class scmp_version(ctypes.Structure):
    """struct scmp_version."""

    _fields_ = [("major", ctypes.c_uint), ("minor", ctypes.c_uint), ("micro", ctypes.c_uint)]


_library: ctypes.CDLL | None = None


def library() -> ctypes.CDLL:
    """The loaded library. By its soname: ctypes.util.find_library would run gcc and ldconfig."""
    global _library
    if _library is None:
        try:
            lib = ctypes.CDLL(SONAME)
        except OSError as error:
            raise CrecheError(
                f"linux.seccomp: {SONAME} cannot be loaded: {error} "
                "(install the package libseccomp2, or leave linux.seccomp out)"
            ) from None
        lib.seccomp_init.argtypes = [ctypes.c_uint32]
        lib.seccomp_init.restype = ctypes.c_void_p
        lib.seccomp_release.argtypes = [ctypes.c_void_p]
        lib.seccomp_release.restype = None
        lib.seccomp_attr_set.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_uint32]
        lib.seccomp_arch_native.restype = ctypes.c_uint32
        lib.seccomp_arch_resolve_name.argtypes = [ctypes.c_char_p]
        lib.seccomp_arch_resolve_name.restype = ctypes.c_uint32
        lib.seccomp_arch_add.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
        lib.seccomp_syscall_resolve_name.argtypes = [ctypes.c_char_p]
        lib.seccomp_syscall_resolve_name_arch.argtypes = [ctypes.c_uint32, ctypes.c_char_p]
        lib.seccomp_rule_add_array.argtypes = [
            ctypes.c_void_p,
            ctypes.c_uint32,
            ctypes.c_int,
            ctypes.c_uint,
            ctypes.c_void_p,
        ]
        lib.seccomp_export_bpf.argtypes = [ctypes.c_void_p, ctypes.c_int]
        lib.seccomp_version.restype = ctypes.c_void_p
        _library = lib
    return _library


def path() -> str:
    """The loaded library's file, "" if it cannot be told."""
    library()
    for line in read_text("/proc/self/maps").splitlines():
        if "/libseccomp.so" in line and not line.endswith(" (deleted)"):
            return line[line.index("/") :]
    return ""


def version() -> tuple[int, int, int] | None:
    """Of the library, or None without one."""
    try:
        found = scmp_version.from_address(library().seccomp_version())
    except CrecheError:
        return None
    return (found.major, found.minor, found.micro)


def compile_filter(seccomp: Mapping[str, Any], path: str = "linux.seccomp") -> Filter:
    """Compile a profile that may be unchecked yet.

    System calls unknown to the library are passed over: profiles name those of all architectures
    and kernels. Raises ConfigError, or CrecheError where there is no library.
    """
    check(seccomp, path)
    flags, warnings = load_flags(seccomp)
    lib = library()
    default = action_value(seccomp["defaultAction"], seccomp.get("defaultErrnoRet"))
    context = lib.seccomp_init(default)
    if not context:
        raise CrecheError(f"{path}: libseccomp cannot make a filter")
    try:
        # libseccomp 2.5: the kernel's own errno. Older ones do not know it, which is no matter.
        lib.seccomp_attr_set(context, _API_SYSRAWRC, 1)
        arches = _add_architectures(lib, context, seccomp, path, warnings)
        numbers, decided = _add_rules(lib, context, seccomp, path, default)
        if len(decided) > _FEW:
            # A tree of comparisons instead of a row: when a filter is loaded the kernel walks it
            # once for each system call there is. Before 2.5 there is no such attribute.
            lib.seccomp_attr_set(context, _CTL_OPTIMIZE, _BINARY_TREE)
        program = _export(lib, context, path)
    finally:
        lib.seccomp_release(context)
    if seccomp["defaultAction"] in tables.REFUSING and default != (0x00050000 | tables.ENOSYS):
        program = enosys.prologue(_highest(lib, arches, numbers)) + program
    if len(program) > 8 * 4096:
        message = f"{len(program) // 8} instructions, more than the kernel's 4096"
        raise ConfigError(path, message)
    return Filter(program, flags, warnings)


def _add_architectures(
    lib: ctypes.CDLL, context: int, seccomp: Mapping[str, Any], path: str, warnings: list[str]
) -> list[int]:
    native = lib.seccomp_arch_native()
    arches = [native]
    for index, name in enumerate(seccomp.get("architectures") or []):
        key = f"{path}.architectures[{index}]"
        token = lib.seccomp_arch_resolve_name(tables.ARCHITECTURES[name].encode())
        if token == 0:
            warnings.append(f"{key}: {name} ignored, this libseccomp does not know it")
            continue
        code = lib.seccomp_arch_add(context, token)
        if code == -errno.EEXIST:
            continue
        if code == -errno.EDOM:
            raise ConfigError(key, f"{name} has another byte order than this machine")
        _checked(code, key, f"libseccomp refuses {name}")
        arches.append(token)
    return arches


def _checked(code: int, key: str, what: str) -> None:
    if code < 0:
        raise ConfigError(key, f"{what}: {strerror(-code)}")


def _add_rules(
    lib: ctypes.CDLL, context: int, seccomp: Mapping[str, Any], path: str, default: int
) -> tuple[dict[bytes, int], set[int]]:
    """The known system calls that the profile names, with their native numbers; which have rules.

    Those that get the default action have none.
    """
    numbers: dict[bytes, int] = {}
    decided: set[int] = set()
    add = lib.seccomp_rule_add_array
    for index, call in enumerate(seccomp.get("syscalls") or []):
        key = f"{path}.syscalls[{index}]"
        action = action_value(call["action"], call.get("errnoRet"))
        conditions = _conditions(call.get("args") or [])
        for name in call["names"]:
            raw = name.encode("utf-8", "surrogateescape")
            number = numbers.get(raw)
            if number is None:
                number = lib.seccomp_syscall_resolve_name(raw)
                if number == -1:  # __NR_SCMP_ERROR; other negatives stand for other architectures'
                    continue
                numbers[raw] = number
            if action == default:
                # libseccomp refuses rules that change nothing (EACCES).
                continue
            for count, array in conditions:
                code = add(context, action, number, count, array)
                _checked(code, key, f"libseccomp refuses the rule for {name}")
            decided.add(number)
    return numbers, decided


def _conditions(arguments: list[Mapping[str, Any]]) -> list[tuple[int, Any]]:
    """The rules that one list of arguments makes: all hold together.

    If it names an argument twice, they are alternatives: libseccomp cannot combine them, and runc
    has always read it like that.
    """
    made = []
    for argument in arguments:
        made.append(
            scmp_arg_cmp(
                argument["index"],
                tables.OPERATORS[argument["op"]],
                argument["value"],
                argument.get("valueTwo") or 0,
            )
        )
    if not made:
        return [(0, None)]
    if len({one.arg for one in made}) < len(made):
        return [(1, ctypes.byref(one)) for one in made]
    return [(len(made), (scmp_arg_cmp * len(made))(*made))]


def _export(lib: ctypes.CDLL, context: int, path: str) -> bytes:
    fd = os.memfd_create("seccomp", os.MFD_CLOEXEC)
    try:
        _checked(lib.seccomp_export_bpf(context, fd), path, "libseccomp cannot compile it")
        size = os.fstat(fd).st_size
        program = os.pread(fd, size, 0)
    finally:
        os.close(fd)
    return program


def _highest(lib: ctypes.CDLL, arches: list[int], names: Mapping[bytes, int]) -> dict[int, int]:
    """Per architecture, the highest number that the profile names."""
    highest: dict[int, int] = {}
    resolve = lib.seccomp_syscall_resolve_name_arch
    for position, arch in enumerate(arches):
        numbers = list(names.values()) if position == 0 else [resolve(arch, name) for name in names]
        top = max(numbers, default=-1)
        if top >= 0:
            highest[arch] = top & ~enosys.X32_BIT if arch == enosys.SCMP_ARCH_X32 else top
    return highest
