"""One more process inside a container that exists: the part that `exec` and the launcher share.

    caller                helper (child)                      the new process
      | ---- clone ------->|  cgroups, namespaces, clone ------->|
      |<--- {"type": "cloned", "pid": …} ---|                    |
      | ------------------------------- {"type": "go"} --------->|  credentials, execve
      |<------------------------------- end of file -------------|  the program runs

The helper enters the container's namespaces by the pidfd of its init, all at once (Linux 5.8), and
clones the process from inside as its own sibling. That process runs from the sealed interpreter
and cannot be traced from within while it still is the runtime (CVE-2016-9962, CVE-2019-5736). The
caller has one thread; `go` comes once the limits of the new process have been raised.
"""

from __future__ import annotations

import errno
import os

import runtime.linux.namespaces as ns
import runtime.linux.process as p
from runtime import lsm
from runtime.channel import Channel
from runtime.errors import InitError, KernelError
from runtime.init import console, program
from runtime.init.become import become, become_root_inside, join_keyring, report, turn_into
from runtime.init.descriptors import place
from runtime.init.procfs import open_private
from runtime.init.seal import close_import_system

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.plan.types import ProcessPlan
    from runtime.seccomp import Prepared


class Entry:
    """What the helper and the new process need. Descriptors are the caller's, which closes them.

    init: pidfd. flags: CLONE_NEW* of the namespaces to enter. stdio: for 0, 1, 2 and on. sync: the
    channel's other end. join_fds: of version 1 cgroups (Cgroup.self_join_fds); unified: version 2
    ones to clone into, of which the first that takes a process is used. root: where a container
    without a mount namespace was chrooted to, or -1. keyring: name of a session keyring, "" for
    none.
    """

    __slots__ = (
        "filter", "flags", "init", "join_fds", "keyring", "labels", "plan", "root", "stdio", "sync",
        "unified",
    )  # fmt: skip

    def __init__(
        self, plan: ProcessPlan, init: int, flags: int, stdio: list[int], sync: int
    ) -> None:
        self.plan = plan
        self.init = init
        self.flags = flags
        self.stdio = stdio
        self.sync = sync
        self.join_fds: list[int] = []
        self.unified: list[int] = []
        self.root = -1
        self.keyring = ""
        self.filter: Prepared | None = None
        self.labels = lsm.Labels()


def send_helper(entry: Entry, as_sibling: bool) -> int:
    """Clone the helper; its pid. as_sibling: as a child of our parent, as then the new process is.

    What becomes of it is said on the channel. Raises KernelError.
    """
    try:
        helper = ns.clone3(ns.CLONE_PARENT if as_sibling else 0)
    except OSError as error:
        raise KernelError("clone3", "", error.errno or 0) from None
    if helper == 0:
        _help(entry)
    return helper


def open_root(pid: int) -> int:
    """Where a container without a mount namespace was chrooted to. Raises KernelError."""
    try:
        return os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise KernelError("open", f"/proc/{pid}/root", error.errno or 0) from None


def _help(entry: Entry) -> None:
    """In the helper; never returns."""
    channel = Channel.from_fd(entry.sync)
    try:
        close_import_system()
        p.prctl(p.PR_SET_DUMPABLE, 0)
        initial, final = entry.plan["affinity"]
        if initial:
            os.sched_setaffinity(0, initial)
        for fd in entry.join_fds:
            os.write(fd, b"0")
        os.sched_setaffinity(0, final or initial or range(os.sysconf("SC_NPROCESSORS_CONF")))
        # The cgroup namespace comes after the clone: where namespaces are the bounds of what is
        # delegated (nsdelegate, as systemd mounts version 2) nobody moves across one.
        first = entry.flags & ~ns.CLONE_NEWCGROUP
        if first:
            ns.setns(entry.init, first)
        if entry.root >= 0:
            os.fchdir(entry.root)
            os.chroot(".")
        pid = _clone_into(entry.unified)
        if pid == 0:
            _run(entry, channel)
        channel.send({"type": "cloned", "pid": pid})
    except OSError as error:
        report(channel, KernelError("enter the container", "", error.errno or 0))
    finally:
        os._exit(0)


def _clone_into(unified: list[int]) -> int:
    """Clone as a child of our parent, into the first of the cgroups that takes processes."""
    for fd in unified[:-1]:
        try:
            return ns.clone3(ns.CLONE_PARENT, fd)
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
    return ns.clone3(ns.CLONE_PARENT, unified[-1] if unified else None)


def _run(entry: Entry, channel: Channel) -> None:
    """In the new process; never returns."""
    plan = entry.plan
    problem = None
    try:
        try:
            if entry.flags & ns.CLONE_NEWCGROUP:
                ns.setns(entry.init, ns.CLONE_NEWCGROUP)
            (fd,) = place(entry.stdio, [channel.fileno()])
        except OSError as error:
            # Told when it is our turn: the helper's message, with our pid, comes first.
            fd, problem = entry.sync, KernelError("enter the container", "", error.errno or 0)
        program.close_between(len(entry.stdio), [fd])
        channel = Channel.from_fd(fd)
        try:
            received = channel.receive()
            if received is None or received[0]["type"] != "go":
                raise InitError("the runtime went away")
            if problem is not None:
                raise problem
            os.setsid()
            if entry.flags & ns.CLONE_NEWUSER:
                become_root_inside()
            labelled = entry.labels.apparmor or entry.labels.selinux
            proc = open_private() if labelled else -1
            if entry.keyring:
                join_keyring(entry.keyring, entry.labels.selinux, proc)
            slave = _terminal(channel, plan) if plan["terminal"] else -1

            def warn(text: str) -> None:
                channel.send({"type": "warning", "text": text})

            if proc >= 0:
                lsm.apply(entry.labels, proc)
                os.close(proc)
            path, env = become(plan, slave, entry.filter is not None, warn)
            turn_into(plan, path, env, entry.filter, channel)
        except BaseException as error:
            report(channel, error)
            raise
    finally:
        os._exit(255)


def _terminal(channel: Channel, plan: ProcessPlan) -> int:
    root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        master, slave = console.open_pty(root, plan["console_size"])
    finally:
        os.close(root)
    channel.send({"type": "console", "name": console.name(master)}, [master])
    os.close(master)
    return slave
