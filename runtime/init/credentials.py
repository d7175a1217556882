"""Become the configured process: limits, ids, capabilities, in the order the kernel needs.

capabilities(7): a change of user clears capabilities unless kept; the bounding set needs
CAP_SETPCAP; ambient capabilities need the same bit in permitted and inheritable. What a program
gets is exactly what the plan says: nothing is inheritable by accident (CVE-2022-29162).
"""

from __future__ import annotations

import errno
import os
import stat

import runtime.linux.process as p
from runtime.errors import KernelError
from runtime.plan.capabilities import NAMES, SYS_ADMIN
from runtime.plan.process import RLIMITS

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Callable

    from runtime.plan.types import Capabilities, ProcessPlan
else:
    import _signal

NO_CAPABILITIES: Capabilities = {
    "bounding": 0,
    "effective": 0,
    "inheritable": 0,
    "permitted": 0,
    "ambient": 0,
}
_OF_MEMORY = tuple(RLIMITS[f"RLIMIT_{name}"] for name in ("AS", "DATA", "STACK"))
_UNTOUCHABLE = (_signal.SIGKILL, _signal.SIGSTOP, 32, 33)  # the last two belong to glibc


def set_placement(personality: int | None, memory_policy: tuple[int, list[int]] | None) -> None:
    """linux.personality and linux.memoryPolicy: of the container's init only."""
    if personality is not None:
        _try("personality", "linux.personality", lambda: p.personality(personality))
    if memory_policy is not None:
        mode, nodes = memory_policy
        _try("set_mempolicy", "linux.memoryPolicy", lambda: p.set_mempolicy(mode, nodes))


def set_attributes(plan: ProcessPlan) -> None:
    """What needs privilege and does not depend on the user: umask, scheduling."""
    os.umask(plan["umask"])
    if plan["no_new_privileges"]:
        _try("prctl(PR_SET_NO_NEW_PRIVS)", "process.noNewPrivileges", _no_new_privileges)
    if plan["scheduler"] is not None:
        attributes = plan["scheduler"]
        _try("sched_setattr", "process.scheduler", lambda: p.sched_setattr(attributes))
    if plan["io_priority"] is not None:
        value = plan["io_priority"]
        _try("ioprio_set", "process.ioPriority", lambda: p.ioprio_set(p.IOPRIO_WHO_PGRP, value))


def set_limits(plan: ProcessPlan) -> None:
    """process.rlimits, when nothing but the filter and execve(2) follows.

    Earlier they would bind the interpreter: a program of 4 MB may well ask for no more than that.
    The hard limits were raised from outside, so that no privilege is needed here.
    """
    for of_memory in (False, True):
        for index, (resource, soft, hard) in enumerate(plan["rlimits"]):
            if (resource in _OF_MEMORY) is not of_memory:
                continue
            try:
                p.prlimit(0, resource, (soft, hard))
            except OSError as error:
                raise KernelError(
                    "setrlimit", f"{soft}:{hard}", error.errno or 0, f"process.rlimits[{index}]"
                ) from None


def own_stdio(uid: int) -> None:
    """Give the user its standard streams, so that /dev/stderr can be opened again.

    Not /dev/null, which is the whole host's; not where the owner cannot be changed.
    """
    null = os.makedev(1, 3)
    for fd in (0, 1, 2):
        try:
            info = os.fstat(fd)
            if info.st_uid == uid or (stat.S_ISCHR(info.st_mode) and info.st_rdev == null):
                continue
            os.fchown(fd, uid, -1)
        except OSError:
            continue


def change_user(plan: ProcessPlan, keep_sys_admin: bool, warn: Callable[[str], None]) -> None:
    """Groups, gid, uid, then the five capability sets.

    keep_sys_admin: leave CAP_SYS_ADMIN in permitted and effective until drop_sys_admin(), for a
    seccomp filter that has to be loaded without no_new_privs (seccomp(2)).
    """
    sets = plan["capabilities"] or NO_CAPABILITIES
    _drop_bounding(sets["bounding"])
    try:
        p.prctl(p.PR_SET_KEEPCAPS, 1)
        _set_ids(plan)
        p.prctl(p.PR_SET_KEEPCAPS, 0)
        p.prctl(p.PR_SET_DUMPABLE, 0)  # a change of ids may have set it again
    except OSError as error:
        raise KernelError(
            "become user", f"{plan['uid']}:{plan['gid']}", error.errno or 0, "process.user"
        ) from None
    extra = SYS_ADMIN if keep_sys_admin else 0
    _set_capabilities(sets, extra, warn)


def drop_sys_admin(plan: ProcessPlan) -> None:
    """The one call between loading a filter and execve, where change_user kept the capability."""
    sets = plan["capabilities"] or NO_CAPABILITIES
    p.capset(sets["effective"], sets["permitted"], sets["inheritable"])


def reset_signals() -> None:
    """Default dispositions, empty mask: Python ignores SIGPIPE and SIGXFSZ, a caller others.

    execve(2) itself resets those that have a handler; the ignored ones it hands on. Python noted
    when it started which those are.
    """
    for number in range(1, _signal.NSIG):
        if number not in _UNTOUCHABLE and _signal.getsignal(number) is not _signal.SIG_DFL:
            _signal.signal(number, _signal.SIG_DFL)
    _signal.pthread_sigmask(_signal.SIG_SETMASK, [])


def _no_new_privileges() -> None:
    p.prctl(p.PR_SET_NO_NEW_PRIVS, 1)


def _drop_bounding(keep: int) -> None:
    for bit in range(64):
        if keep >> bit & 1:
            continue
        try:
            p.prctl(p.PR_CAPBSET_DROP, bit)
        except OSError as error:
            if error.errno == errno.EINVAL:
                return  # past the last capability this kernel knows
            if not p.prctl(p.PR_CAPBSET_READ, bit):
                continue  # without CAP_SETPCAP, but it is not there anyway
            name = NAMES[bit] if bit < len(NAMES) else f"capability {bit}"
            raise KernelError(
                "drop", name, error.errno or 0, "process.capabilities.bounding"
            ) from None


def _set_ids(plan: ProcessPlan) -> None:
    try:
        os.setgroups(plan["groups"])
    except PermissionError:
        # user_namespaces(7): an unprivileged map denies setgroups; nothing to add is no loss.
        if plan["groups"]:
            raise
    os.setresgid(plan["gid"], plan["gid"], plan["gid"])
    os.setresuid(plan["uid"], plan["uid"], plan["uid"])


def _set_capabilities(sets: Capabilities, extra: int, warn: Callable[[str], None]) -> None:
    held = p.capget()[1]
    permitted = sets["permitted"] & held
    for bit in range(len(NAMES)):
        if (sets["permitted"] & ~held) >> bit & 1:
            warn(f"process.capabilities.permitted: {NAMES[bit]} cannot be granted; left out")
    effective = sets["effective"] & permitted
    inheritable = sets["inheritable"] & (held | permitted)
    extra &= held
    try:
        p.capset(effective | extra, permitted | extra, inheritable)
    except OSError as error:
        raise KernelError("capset", "", error.errno or 0, "process.capabilities") from None
    try:
        p.prctl(p.PR_CAP_AMBIENT, p.PR_CAP_AMBIENT_CLEAR_ALL)
    except OSError:
        return
    for bit in range(len(NAMES)):
        if sets["ambient"] >> bit & 1:
            try:
                p.prctl(p.PR_CAP_AMBIENT, p.PR_CAP_AMBIENT_RAISE, bit)
            except OSError as error:
                text = os.strerror(error.errno or errno.EPERM).lower()
                warn(f"can't raise ambient capability {NAMES[bit]}: {text}")


def _try(op: str, key: str, function: Callable[[], None]) -> None:
    try:
        function()
    except OSError as error:
        raise KernelError(op, "", error.errno or 0, key) from None
