"""Namespaces and the calls that make or enter them: clone3(2), unshare(2), setns(2)."""

from __future__ import annotations

import fcntl
from _struct import Struct

from runtime.linux.libc import number, syscall, syscall_holding_gil

CLONE_NEWTIME = 0x00000080
CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

CLONE_PARENT = 0x00008000
CLONE_INTO_CGROUP = 0x200000000

NR_CLONE3 = 435
NS_GET_NSTYPE = 0xB703
SIGCHLD = 17

# The names of config.json's linux.namespaces[].type, and of /proc/PID/ns/ for each.
FLAGS = {
    "user": CLONE_NEWUSER,
    "mount": CLONE_NEWNS,
    "network": CLONE_NEWNET,
    "ipc": CLONE_NEWIPC,
    "uts": CLONE_NEWUTS,
    "pid": CLONE_NEWPID,
    "cgroup": CLONE_NEWCGROUP,
    "time": CLONE_NEWTIME,
}
PROC_NAMES = {
    "user": "user",
    "mount": "mnt",
    "network": "net",
    "ipc": "ipc",
    "uts": "uts",
    "pid": "pid",
    "cgroup": "cgroup",
    "time": "time",
}


# flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size,
# cgroup (include/uapi/linux/sched.h, CLONE_ARGS_SIZE_VER2, Linux 5.7)
_CLONE_ARGS = Struct("=11Q")
_NR_SETNS = number("setns")
_NR_UNSHARE = number("unshare")


def clone3(flags: int, cgroup: int | None = None) -> int:
    """Clone this single-threaded process; 0 in the child, the child's pid in the parent.

    flags: CLONE_* bits; cgroup: descriptor of a cgroup v2 directory the child starts in.
    With CLONE_PARENT the child takes the caller's own exit signal, so none may be given.
    """
    exit_signal = 0 if flags & CLONE_PARENT else SIGCHLD
    if cgroup is not None:
        flags |= CLONE_INTO_CGROUP
    args = _CLONE_ARGS.pack(flags, 0, 0, 0, exit_signal, 0, 0, 0, 0, 0, cgroup or 0)
    return syscall_holding_gil("clone3", NR_CLONE3, args, len(args))


def unshare(flags: int) -> None:
    """Leave namespaces for new ones: unshare(2)."""
    syscall("unshare", _NR_UNSHARE, flags)


def setns(fd: int, flags: int) -> None:
    """Enter the namespace behind fd, or those of a process when fd is a pidfd (Linux 5.8)."""
    syscall("setns", _NR_SETNS, fd, flags)


def namespace_type(fd: int) -> int:
    """The CLONE_NEW* flag of an open namespace file; OSError ENOTTY if it is not one."""
    return fcntl.ioctl(fd, NS_GET_NSTYPE)
