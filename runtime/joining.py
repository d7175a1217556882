"""Namespaces that exist already: opened, checked, and entered in an order that works."""

from __future__ import annotations

import errno
import os

import runtime.linux.namespaces as ns
from runtime.channel import close_all
from runtime.errors import ConfigError, KernelError
from runtime.linux.paths import filesystem_type
from runtime.spec.sysctl import needs as sysctl_needs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.plan.types import LaunchPlan

    # What kind of namespace, a descriptor of it, the key that asked for it.
    Join = tuple[str, int, str]

NSFS_MAGIC = 0x6E736673


def open_namespace(kind: str, path: str, key: str) -> int:
    """A descriptor of an existing namespace, proved to be one of that kind.

    O_NONBLOCK: a FIFO at the path must not hold us up. Raises KernelError, ConfigError.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError as error:
        raise KernelError("open namespace", path, error.errno or 0, key) from None
    try:
        found = ns.namespace_type(fd) if filesystem_type(fd) == NSFS_MAGIC else 0
    except OSError:
        found = 0
    if found != ns.FLAGS[kind]:
        os.close(fd)
        names = [name for name, flag in ns.FLAGS.items() if flag == found]
        what = f"a {names[0]} namespace" if names else "not a namespace"
        raise ConfigError(key, f"expected a {kind} namespace, but {path} is {what}")
    return fd


def open_namespaces(plan: LaunchPlan) -> list[Join]:
    opened: list[Join] = []
    try:
        for kind, path, key in plan["join"]:
            fd = open_namespace(kind, path, key)
            opened.append((kind, fd, key))
            _refuse_host_sysctl(plan, kind, fd, key)
    except BaseException:
        close_all([fd for _, fd, _ in opened])
        raise
    return opened


def _refuse_host_sysctl(plan: LaunchPlan, kind: str, fd: int, key: str) -> None:
    """A namespace joined by path may be the host's own: its sysctls are not the container's."""
    own = os.stat(f"/proc/self/ns/{ns.PROC_NAMES[kind]}")
    joined = os.fstat(fd)
    if (own.st_dev, own.st_ino) != (joined.st_dev, joined.st_ino):
        return
    for path, _ in plan["sysctl"]:
        if sysctl_needs(path) == kind:
            raise ConfigError("linux.sysctl", f"{path}: {key} is the host's own {kind} namespace")


def enter(joins: list[Join]) -> None:
    """setns(2) in an order that works.

    A namespace may belong to our user namespace or to the one that is joined: first all that we
    may enter as we are, then the user namespace, then what it had to open for us.
    """
    later = []
    for kind, fd, key in joins:
        if kind == "user":
            continue
        try:
            _enter_one(kind, fd, key)
        except KernelError as error:
            if error.number != errno.EPERM:
                raise
            later.append((kind, fd, key))
    for kind, fd, key in [join for join in joins if join[0] == "user"] + later:
        _enter_one(kind, fd, key)


def _enter_one(kind: str, fd: int, key: str) -> None:
    try:
        ns.setns(fd, ns.FLAGS[kind])
    except OSError as error:
        raise KernelError(f"enter {kind} namespace", "", error.errno or 0, key) from None
