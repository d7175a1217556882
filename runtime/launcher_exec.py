"""Orders to the launcher about containers that run: to start a program in one, to make a socket of
its network, to look for a file. None waits for anything that a container could hold up.

    {"type": "exec", "digest": …, "cgroup": {…}, "flags": …, "pid": …, "with_plan": …}
     descriptors: sync, pidfd of init, stdin, stdout, stderr, document (see runtime/launcher.py)
    -> {"type": "cloning", "helper": …}          the rest is said on sync (runtime/enter.py)

    {"type": "socket", "family": …}
     descriptors: pidfd of init
    -> {"type": "socket"} and a stream socket that belongs to the container's network namespace

    {"type": "look", "pid": …, "path": …}
     descriptors: pidfd of init
    -> {"type": "looking", "helper": …}          its exit status: FOUND, MISSING, or FAILED

The document of `exec` is {"process": ProcessPlan, "seccomp": profile or null, "keyring": name}.
Helpers are children of the launcher's parent.
"""

from __future__ import annotations

import _socket
import os

import runtime.linux.namespaces as ns
import runtime.linux.process as p
from runtime import lsm
from runtime.cgroups import Cgroup
from runtime.channel import ProtocolError, close_all
from runtime.enter import Entry, open_root, send_helper
from runtime.errors import KernelError
from runtime.execute import unified_fds
from runtime.linux.paths import RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS, openat2
from runtime.seccomp.saved import prepared

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from runtime.launcher_plans import Known

FOUND, MISSING, FAILED = 0, 1, 2
EXEC_FDS = 5


def run(order: dict[str, Any], known: Known, fds: list[int]) -> dict[str, object]:
    """Carry out an `exec`. Raises CrecheError."""
    document, profile = known.document, known.profile
    if document["seccomp"] and profile.filter is None:
        profile.filter = prepared(document["seccomp"], lambda text: None)  # the launch has told
    entry = Entry(document["process"], fds[1], order["flags"], fds[2:EXEC_FDS], fds[0])
    entry.filter = profile.filter
    entry.keyring = document["keyring"]
    entry.labels = lsm.usable(entry.plan, "", lambda text: None)
    cgroup = Cgroup(order["cgroup"])
    try:
        if not entry.flags & ns.CLONE_NEWNS:
            entry.root = open_root(order["pid"])
        entry.join_fds = cgroup.self_join_fds()
        entry.unified = unified_fds(cgroup, 0)
        helper = send_helper(entry, as_sibling=True)
    finally:
        close_all(entry.join_fds)
        close_all([fd for fd in (entry.root, *entry.unified) if fd >= 0])
    return {"type": "cloning", "helper": helper}


def make_socket(order: dict[str, Any], init: int, own: int) -> int:
    """A TCP socket of the container's network namespace. own: descriptor of the launcher's own.

    A socket belongs to the namespace that it was made in, wherever it is used. KernelError.
    """
    families = {"inet": _socket.AF_INET, "inet6": _socket.AF_INET6}
    if order["family"] not in families:
        raise ProtocolError("an address family that the launcher does not know")
    try:
        ns.setns(init, ns.CLONE_NEWNET)
        try:
            kind = _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK
            return _socket.socket(families[order["family"]], kind, 0).detach()
        finally:
            _return_to(own)
    except OSError as error:
        raise KernelError("make a socket in its network", "", error.errno or 0) from None


def _return_to(own: int) -> None:
    try:
        ns.setns(own, ns.CLONE_NEWNET)
    except OSError:
        os._exit(1)  # the next container would be in this one's network; another launcher follows


def look(order: dict[str, Any], init: int) -> dict[str, object]:
    """Send a helper to see whether a path is there, in the container's root. KernelError.

    The path may lead through a file system that never answers; the helper can be killed.
    """
    try:
        helper = ns.clone3(ns.CLONE_PARENT)
    except OSError as error:
        raise KernelError("clone3", "", error.errno or 0) from None
    if helper == 0:
        status = FAILED
        try:
            status = _look(order["pid"], order["path"], init)
        finally:
            os._exit(status)
    return {"type": "looking", "helper": helper}


def _look(pid: int, path: str, init: int) -> int:
    root = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    p.pidfd_send_signal(init, 0)  # raises if the number may have meant another process by then
    try:
        openat2(root, path, os.O_PATH, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)
    except OSError:
        return MISSING
    return FOUND
