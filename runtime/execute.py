"""`exec`: one more process in a container that exists.

How it gets there is drawn in runtime/enter.py.
"""

from __future__ import annotations

import os

import runtime.linux.namespaces as ns
import runtime.linux.process as p
from runtime import lsm
from runtime.cgroups import UNIFIED, Cgroup
from runtime.cgroups.within import open_cgroup_of_init, sub_cgroups
from runtime.channel import Channel, ProtocolError, close_all, pair
from runtime.enter import Entry, open_root, send_helper
from runtime.errors import InitError, StateError
from runtime.launch import raise_limits
from runtime.lifecycle.container import init_error
from runtime.seccomp import Prepared, agent
from runtime.seccomp.saved import prepared
from runtime.state import open_init

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from runtime.lifecycle.container import Container
    from runtime.plan.types import ProcessPlan
    from runtime.spec.types import Spec


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
        order.filter = prepared(profile, lambda _: None)  # `create` has told
    ours, theirs = pair()
    try:
        executed = Executed(_clone_inside(order, init, ours, theirs))
        try:
            if _held_by_a_users_manager(container):
                _attach(order, executed.pid)
            raise_limits(executed.pid, order.plan)
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


def _held_by_a_users_manager(container: Container) -> bool:
    """Whether a systemd that is not the machine's own made the cgroup (runtime/systemd)."""
    return "scope" in container.state and container.state["scope"][1]


def _attach(order: Execution, pid: int) -> None:
    """The user himself may not move a process there from elsewhere; his manager may."""
    from runtime.systemd import scope

    cgroup = order.container.cgroup()
    inner = ""
    if order.cgroups:
        chosen = sub_cgroups(cgroup.paths, order.cgroups).get(UNIFIED, "")
        inner = chosen.removeprefix(cgroup.paths.get(UNIFIED, ""))
    scope.attach(*order.container.state["scope"], pid, inner)


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


def namespaces(config: Spec) -> int:
    """CLONE_NEW* of the namespaces that a container of this configuration is in."""
    flags = 0
    for namespace in config.get("linux", {}).get("namespaces", []):
        flags |= ns.FLAGS[namespace["type"]]
    return flags


def _clone_inside(order: Execution, init: int, ours: Channel, theirs: Channel) -> int:
    """The pid of the new process, which waits for our word. `theirs` is closed."""
    container = order.container
    cgroup = container.cgroup()
    if order.cgroups:
        cgroup = Cgroup(sub_cgroups(cgroup.paths, order.cgroups))
    flags = namespaces(container.state["config"])
    entry = Entry(order.plan, init, flags, order.stdio, theirs.fileno())
    entry.filter = order.filter
    entry.labels = order.labels
    if order.keyring:
        entry.keyring = f"_ses.{container.directory.id}"
    try:
        if not flags & ns.CLONE_NEWNS:
            entry.root = open_root(container.state["pid"])
        entry.join_fds = cgroup.self_join_fds()
        if not _held_by_a_users_manager(container):
            entry.unified = unified_fds(cgroup, 0 if order.cgroups else container.state["pid"])
        helper = send_helper(entry, as_sibling=False)
        theirs.close()
        try:
            received = ours.receive()
        finally:
            os.waitpid(helper, 0)
    finally:
        close_all(entry.join_fds)
        close_all([fd for fd in (entry.root, *entry.unified) if fd >= 0])
    return cloned(received)


def cloned(received: tuple[dict[str, object], list[int]] | None) -> int:
    """The pid in the helper's message. Raises InitError with what it says instead."""
    if received is None:
        raise InitError("the process that enters the container died")
    message, fds = received
    close_all(fds)
    if message["type"] == "error":
        raise init_error(message)
    pid = message.get("pid")
    if message["type"] != "cloned" or not isinstance(pid, int):
        raise ProtocolError("the process that enters the container did not say what it cloned")
    return pid


def unified_fds(cgroup: Cgroup, init: int) -> list[int]:
    """The version 2 cgroup to clone into, and the one init has moved to (init 0: do not look)."""
    first = cgroup.unified_fd()
    second = open_cgroup_of_init(cgroup.paths, init) if init else None
    return [fd for fd in (first, second) if fd is not None]
