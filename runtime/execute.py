"""`exec`: one more process in a container that exists.

A helper enters the container's namespaces by the pidfd of its init, all at once (Linux 5.8), and
clones the process from inside, as our own child. It runs from the sealed interpreter and cannot be
traced from within while it still is the runtime (CVE-2016-9962, CVE-2019-5736).
"""

from __future__ import annotations

import errno
import os

import runtime.linux.namespaces as ns
import runtime.linux.process as p
from runtime import lsm
from runtime.cgroups import Cgroup
from runtime.cgroups.within import open_cgroup_of_init, sub_cgroups
from runtime.channel import Channel, close_all, pair
from runtime.errors import CrecheError, InitError, KernelError, StateError
from runtime.init import console, program
from runtime.init.become import become, become_root_inside, join_keyring, report, turn_into
from runtime.init.descriptors import place
from runtime.init.procfs import open_private
from runtime.init.seal import close_import_system
from runtime.launch import raise_limits
from runtime.lifecycle.container import init_error
from runtime.seccomp import Prepared, agent, compile_filter, prepare
from runtime.state import open_init

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from runtime.lifecycle.container import Container
    from runtime.plan.types import ProcessPlan


class Execution:
    """An order for exec. stdio: descriptors for 0, 1, 2 and on; keyring: whether to join one.

    cgroups: as given to --cgroup.
    """

    __slots__ = (
        "cgroups", "container", "filter", "ignore_paused", "keyring", "labels", "plan", "stdio",
    )  # fmt: skip

    def __init__(
        self,
        container: Container,
        plan: ProcessPlan,
        stdio: list[int],
        *,
        ignore_paused: bool = False,
        keyring: bool = True,
        cgroups: Sequence[str] = (),
    ) -> None:
        self.cgroups = cgroups
        self.container = container
        self.plan = plan
        self.stdio = stdio
        self.ignore_paused = ignore_paused
        self.keyring = keyring
        self.filter: Prepared | None = None
        self.labels = lsm.usable(plan, "", container.log.warning)


class Executed:
    """pidfd of the new process, our child; console: its pty's master, or -1, and its name."""

    __slots__ = ("console", "console_name", "pid", "pidfd")

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.pidfd = os.pidfd_open(pid)
        self.console = -1
        self.console_name = ""


def execute(order: Execution) -> Executed:
    """Start the process; returns when its program runs. InitError, StateError, KernelError."""
    container = order.container
    status = container.status()
    if status == "stopped":
        raise StateError("cannot exec in a stopped container")
    if status == "paused" and not order.ignore_paused:
        raise StateError("cannot exec in a paused container (use --ignore-paused to override)")
    init = open_init(container.state)
    if init is None:
        raise StateError("cannot exec in a stopped container")
    profile = container.state["config"].get("linux", {}).get("seccomp")
    if profile:
        compiled = compile_filter(profile)
        order.filter = prepare(compiled.program, compiled.flags)
    ours, theirs = pair()
    try:
        pid = _clone_inside(order, init, theirs)
        theirs.close()
        executed = Executed(pid)
        try:
            raise_limits(pid, order.plan)
            ours.send({"type": "go"})
            _converse(order, executed, ours)
        except BaseException:
            _give_up(executed)
            raise
        return executed
    finally:
        os.close(init)
        ours.close()
        theirs.close()


def _converse(order: Execution, executed: Executed, channel: Channel) -> None:
    """Until the program runs: end of file."""
    while (received := channel.receive()) is not None:
        message, fds = received
        if message["type"] == "console" and len(fds) == 1 and executed.console < 0:
            executed.console = fds[0]
            executed.console_name = str(message.get("name", ""))[:4096]
            continue
        close_all(fds)
        if message["type"] == "warning":
            order.container.log.warning(str(message.get("text", "")))
        elif message["type"] == "error":
            raise init_error(message)
        elif message["type"] == "seccomp":
            container = order.container
            profile = container.state["config"].get("linux", {}).get("seccomp", {})
            state = {**container.hook_state("running"), "pid": container.state["pid"]}
            agent.accept(message, channel, executed.pidfd, profile, state)


def _give_up(executed: Executed) -> None:
    for fd in (executed.console, executed.pidfd):
        if fd >= 0 and fd != executed.pidfd:
            os.close(fd)
    try:
        p.pidfd_send_signal(executed.pidfd, 9)
    except OSError:
        pass
    os.waitid(os.P_PIDFD, executed.pidfd, os.WEXITED)
    os.close(executed.pidfd)


def _namespaces(container: Container) -> int:
    flags = 0
    for namespace in container.state["config"].get("linux", {}).get("namespaces", []):
        flags |= ns.FLAGS[namespace["type"]]
    return flags


def _clone_inside(order: Execution, init: int, sync: Channel) -> int:
    """A helper joins the cgroups and namespaces and clones; the pid of the new process."""
    container = order.container
    cgroup = container.cgroup()
    if order.cgroups:
        cgroup = Cgroup(sub_cgroups(cgroup.paths, order.cgroups))
    flags = _namespaces(container)
    root = -1
    join_fds: list[int] = []
    unified: list[int] = []
    try:
        if not flags & ns.CLONE_NEWNS:
            root = _open_root(container.state["pid"])
        join_fds = cgroup.self_join_fds()
        unified = _unified_fds(cgroup, 0 if order.cgroups else container.state["pid"])
        reader, writer = os.pipe2(os.O_CLOEXEC)
        helper = ns.clone3(0)
        if helper == 0:
            _help(order, init, flags, root, join_fds, unified, sync, writer)
        os.close(writer)
        try:
            word, _, rest = os.read(reader, 65536).decode("utf-8", "replace").partition(" ")
        finally:
            os.close(reader)
            os.waitpid(helper, 0)
    finally:
        close_all(join_fds)
        close_all([fd for fd in (root, *unified) if fd >= 0])
    if word != "pid":
        raise CrecheError(rest or "the process that enters the container died")
    return int(rest)


def _unified_fds(cgroup: Cgroup, init: int) -> list[int]:
    """The version 2 cgroup to clone into, and the one init has moved to (init 0: do not look)."""
    first = cgroup.unified_fd()
    second = open_cgroup_of_init(cgroup.paths, init) if init else None
    return [fd for fd in (first, second) if fd is not None]


def _clone_into(unified: list[int]) -> int:
    """Clone as a child of our parent, into the first of the cgroups that takes processes."""
    for fd in unified[:-1]:
        try:
            return ns.clone3(ns.CLONE_PARENT, fd)
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
    return ns.clone3(ns.CLONE_PARENT, unified[-1] if unified else None)


def _open_root(pid: int) -> int:
    """Where a container without a mount namespace was chrooted to."""
    try:
        return os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise KernelError("open", f"/proc/{pid}/root", error.errno or 0) from None


def _help(
    order: Execution,
    init: int,
    flags: int,
    root: int,
    join_fds: list[int],
    unified: list[int],
    sync: Channel,
    writer: int,
) -> None:
    """In the helper; never returns."""
    try:
        close_import_system()
        p.prctl(p.PR_SET_DUMPABLE, 0)
        initial, final = order.plan["affinity"]
        if initial:
            os.sched_setaffinity(0, initial)
        for fd in join_fds:
            os.write(fd, b"0")
        os.sched_setaffinity(0, final or initial or range(os.sysconf("SC_NPROCESSORS_CONF")))
        if flags:
            ns.setns(init, flags)
        if root >= 0:
            os.fchdir(root)
            os.chroot(".")
        pid = _clone_into(unified)
        if pid == 0:
            os.close(writer)
            _run(order, sync, flags)
        os.write(writer, f"pid {pid}".encode())
    except OSError as error:
        os.write(writer, f"error enter the container: {error.strerror}".encode())
    finally:
        os._exit(0)


def _run(order: Execution, sync: Channel, flags: int) -> None:
    """In the new process; never returns."""
    plan = order.plan
    try:
        (fd,) = place(order.stdio, [sync.fileno()])
        program.close_between(len(order.stdio), [fd])
        channel = Channel.from_fd(fd)
        try:
            received = channel.receive()
            if received is None or received[0]["type"] != "go":
                raise InitError("the runtime went away")
            os.setsid()
            if flags & ns.CLONE_NEWUSER:
                become_root_inside()
            if order.keyring:
                join_keyring(f"_ses.{order.container.directory.id}")
            slave = _terminal(channel, plan) if plan["terminal"] else -1

            def warn(text: str) -> None:
                channel.send({"type": "warning", "text": text})

            if order.labels.apparmor or order.labels.selinux:
                proc = open_private()
                lsm.apply(order.labels, proc)
                os.close(proc)
            filtered = order.filter is not None
            path, env = become(plan, slave, filtered, warn)
            turn_into(plan, path, env, order.filter, channel)
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
