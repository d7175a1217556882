"""Filters loaded into a process of the real kernel."""

from __future__ import annotations

import ctypes
import errno
import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

from runtime.linux.process import PR_SET_NO_NEW_PRIVS, prctl
from runtime.seccomp import compile_filter, load, prepare, supported_flags
from runtime.seccomp.libseccomp import library, version
from tests.support.bundle import BUSYBOX
from tests.support.waiting import reap

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(version() is None, reason="needs libseccomp.so.2"),
]

_libc = ctypes.CDLL(None, use_errno=True)

# What a static program needs to start, print and end.
BASICS = [
    *("access", "arch_prctl", "brk", "close", "dup2", "execve", "exit", "exit_group", "fcntl"),
    *("fstat", "futex", "getcwd", "getegid", "geteuid", "getgid", "getpid", "getppid"),
    *("getrandom", "getuid", "ioctl", "lseek", "lstat", "madvise", "mmap", "mprotect"),
    *("munmap", "newfstatat", "open", "openat", "openat2", "poll", "prctl", "prlimit64", "read"),
    *("readlink", "readlinkat", "rseq", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn"),
    *("set_robust_list", "set_tid_address", "setgid", "setuid", "sigaltstack", "stat", "statx"),
    *("uname", "wait4", "write", "writev", "clone", "clone3", "fork", "vfork"),
]


def number(name: str) -> int:
    return int(library().seccomp_syscall_resolve_name(name.encode()))


def call(nr: int, *arguments: int) -> int:
    """A raw system call; its errno, or 0."""
    words = [ctypes.c_long(value) for value in arguments]
    ctypes.set_errno(0)
    return ctypes.get_errno() if _libc.syscall(ctypes.c_long(nr), *words) < 0 else 0


def in_child(action: Callable[[], int]) -> int:
    """The exit code of a forked child: what the action returns, or minus a signal."""
    pid = os.fork()
    if pid == 0:
        code = 99
        try:
            prctl(PR_SET_NO_NEW_PRIVS, 1)
            code = action()
        finally:
            os._exit(code)
    return reap(pid)


def profile(default: str, *calls: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"defaultAction": default, "syscalls": list(calls), **more}


def allow(*names: str, **more: Any) -> dict[str, Any]:
    return {"names": list(names), "action": "SCMP_ACT_ALLOW", **more}


def loaded(seccomp: dict[str, Any], action: Callable[[], int]) -> int:
    compiled = compile_filter(seccomp)
    prepared = prepare(compiled.program, compiled.flags)

    def install_and_act() -> int:
        assert prepared.install() is None
        return action()

    return in_child(install_and_act)


def test_errno() -> None:
    """The number from the profile."""
    deny = {"names": ["getppid"], "action": "SCMP_ACT_ERRNO", "errnoRet": errno.EXDEV}
    nr = number("getppid")
    assert loaded(profile("SCMP_ACT_ALLOW", deny), lambda: call(nr)) == errno.EXDEV


def test_default_errno_and_enosys_for_newer_calls() -> None:
    """EPERM for a call that the profile leaves out, ENOSYS for one that it cannot know."""
    seccomp = profile("SCMP_ACT_ERRNO", allow(*BASICS))
    nr = number("getsid")
    assert loaded(seccomp, lambda: call(nr)) == errno.EPERM
    newest = max(number(name) for name in BASICS)
    assert loaded(seccomp, lambda: call(newest + 1)) == errno.ENOSYS


@pytest.mark.parametrize("action", ["SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_TRAP"])
def test_kill(action: str) -> None:
    """SIGSYS."""
    nr = number("getppid")
    seccomp = profile("SCMP_ACT_ALLOW", {"names": ["getppid"], "action": action})
    assert loaded(seccomp, lambda: call(nr)) == -signal.SIGSYS


def test_arguments() -> None:
    """Docker's rule for personality: two values of the same argument."""
    nr = number("personality")
    seccomp = profile(
        "SCMP_ACT_ERRNO",
        allow(*BASICS),
        *(
            allow("personality", args=[{"index": 0, "value": value, "op": "SCMP_CMP_EQ"}])
            for value in (0x0, 0x8)
        ),
    )
    assert loaded(seccomp, lambda: call(nr, 0x0)) == 0
    assert loaded(seccomp, lambda: call(nr, 0x4)) == errno.EPERM


def test_nothing_else_happens_between_loading_and_execve() -> None:
    """A filter that kills on anything but execve and exit_group."""
    compiled = compile_filter(profile("SCMP_ACT_KILL_PROCESS", allow("execve", "exit_group")))
    prepared = prepare(compiled.program, compiled.flags)
    path, argv, env = b"/nonexistent", [b"x"], {b"A": b"b"}

    def action() -> int:
        try:
            prepared.install()
            os.execve(path, argv, env)
        except FileNotFoundError:
            os._exit(7)

    assert in_child(action) == 7


@pytest.mark.parametrize(
    ("command", "works"),
    [("echo hello", True), ("mount -t tmpfs none /mnt", False), ("unshare -U true", False)],
)
def test_a_profile_like_dockers(command: str, works: bool) -> None:
    """An allow list as engines write it lets a program run and keeps it from mounting."""
    masked = {"index": 0, "value": 0x7E020000, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}
    names = [name for name in BASICS if name != "clone"]
    refuse = {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": errno.ENOSYS}
    names.remove("clone3")
    seccomp = profile(
        "SCMP_ACT_ERRNO",
        allow(*names),
        allow("clone", args=[masked]),
        refuse,
        defaultErrnoRet=errno.EPERM,
        architectures=["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
    )

    def action() -> int:
        null = os.open("/dev/null", os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        os.execv(BUSYBOX, [str(BUSYBOX), "sh", "-c", command])

    assert (loaded(seccomp, action) == 0) is works


def test_listener() -> None:
    """With SCMP_ACT_NOTIFY, loading gives the descriptor for the agent."""
    notify = {"names": ["getppid"], "action": "SCMP_ACT_NOTIFY"}
    compiled = compile_filter(profile("SCMP_ACT_ALLOW", notify, listenerPath="/agent"))
    assert compiled.listener

    def action() -> int:
        fd = load(compiled.program, compiled.flags)
        return 0 if fd is not None and "seccomp" in os.readlink(f"/proc/self/fd/{fd}") else 1

    assert in_child(action) == 0


def test_without_no_new_privs_it_takes_a_capability() -> None:
    """The error says so."""
    compiled = compile_filter(profile("SCMP_ACT_ALLOW"))

    def action() -> int:
        try:
            load(compiled.program, compiled.flags)
        except OSError as error:
            found = error.errno == errno.EACCES and "noNewPrivileges" in str(error)
            return 5 if found else 6
        return 0

    pid = os.fork()
    if pid == 0:
        code = 99
        try:
            os.setresuid(65534, 65534, 65534)
            code = action()
        finally:
            os._exit(code)
    assert reap(pid) == 5


def test_a_broken_program_is_an_error_that_names_the_call() -> None:
    """EINVAL from the kernel's checker."""

    def action() -> int:
        try:
            load(b"\xff" * 8, 0)
        except OSError as error:
            return 5 if str(error.strerror).startswith("load seccomp filter") else 6
        return 0

    assert in_child(action) == 5


def test_supported_flags_are_those_that_load() -> None:
    """Each is really accepted by this kernel."""
    flags = supported_flags()
    assert "SECCOMP_FILTER_FLAG_LOG" in flags
    wanted = [flag for flag in flags if flag != "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]
    assert loaded(profile("SCMP_ACT_ALLOW", flags=wanted), lambda: 3) == 3
