"""launch(): from a plan to a process that waits in its new namespaces.

The same function serves `creche`, in its own process, and the launcher that `creched` keeps warm.
The caller must have one thread and run from a sealed interpreter (runtime/seal.py).
"""

from __future__ import annotations

import os

import runtime.linux.mounts as m
import runtime.linux.namespaces as ns
import runtime.linux.process as p
from runtime import idmap, lsm
from runtime.cgroups import Cgroup
from runtime.channel import close_all
from runtime.errors import CrecheError, KernelError
from runtime.init import hooking
from runtime.init.main import Init
from runtime.init.mounts import open_source
from runtime.init.rootfs import clone_root
from runtime.init.seal import close_import_system
from runtime.joining import enter, open_namespaces
from runtime.linux.files import write_text
from runtime.seccomp import Prepared
from runtime.seccomp.saved import prepared

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.init.hooking import Runner
    from runtime.plan.types import LaunchPlan, MountOp, ProcessPlan
    from runtime.systemd.scope import Scope


class Launch:
    """What init needs beside the plan. Descriptors are the launching process's numbers.

    stdio: standard input, output, error and those to preserve (-1: none there). sync, listener: see
    runtime/channel.py. cgroup_mounts: for a cgroup mount on v1, (name, host directory, links).
    filter: the compiled seccomp profile, if it is there already. run_hooks: see init/hooking.py.
    keyring: name of the session keyring, "" for none. debug: whether init tells what it does.
    tied: whether init dies with its parent. tolerant: see Cgroup.create. scope: have systemd make
    the cgroup. unshare: namespaces that init makes itself, CLONE_NEW*.
    """

    __slots__ = (
        "cgroup_mounts", "debug", "filter", "join_fds", "keyring", "labels", "listener",
        "no_pivot", "plan", "run_hooks", "scope", "sources", "stdio", "sync", "tied", "tolerant",
        "unshare",
    )  # fmt: skip

    def __init__(
        self,
        plan: LaunchPlan,
        stdio: list[int],
        sync: int,
        listener: int,
        *,
        cgroup_mounts: list[tuple[str, str, list[str]]] | None = None,
        no_pivot: bool = False,
        keyring: str = "",
        debug: bool = False,
        tied: bool = False,
        tolerant: bool = True,
        scope: Scope | None = None,
    ) -> None:
        self.plan = plan
        self.stdio = stdio
        self.sync = sync
        self.listener = listener
        self.cgroup_mounts = cgroup_mounts
        self.no_pivot = no_pivot
        self.keyring = keyring
        self.debug = debug
        self.tied = tied
        self.tolerant = tolerant
        self.scope = scope
        self.filter: Prepared | None = None
        self.run_hooks: Runner | None = None
        self.labels = lsm.Labels()
        self.sources: dict[str, int] = {}
        self.unshare = 0
        self.join_fds: list[int] = []


class Launched:
    """pid: of init. helper: pid of a dead process that the parent must reap, or 0."""

    __slots__ = ("helper", "pid")

    def __init__(self, pid: int, helper: int) -> None:
        self.pid = pid
        self.helper = helper


def launch(
    launch_: Launch, cgroup: Cgroup, warn: Callable[[str], None], as_sibling: bool = False
) -> Launched:
    """Make the cgroup, clone init into it and its namespaces, write its id maps.

    as_sibling: make init a child of our parent (CLONE_PARENT). On failure the cgroup is removed
    again. Raises ConfigError, KernelError, StateError.
    """
    plan = launch_.plan
    joins: list[tuple[str, int, str]] = []
    unified: int | None = None
    launch_.run_hooks = hooking.runner(plan)
    launch_.labels = lsm.usable(plan["process"], plan["mount_label"], warn)
    if plan["seccomp"] and launch_.filter is None:
        launch_.filter = prepared(plan["seccomp"], warn)
    try:
        joins = open_namespaces(plan)
        user = plan["new"] & ns.CLONE_NEWUSER or any(kind == "user" for kind, _, _ in joins)
        # The root of a user namespace may not be able to reach these paths itself. Without
        # privilege it is the other way round: only inside may mounts be cloned at all.
        launch_.sources = _open_sources(plan, everything=bool(user) and os.geteuid() == 0)
        if not user and not plan["net_devices"]:
            # A third of a millisecond, in which we get on with what init is going to wait for.
            launch_.unshare = plan["new"] & ns.CLONE_NEWNET
        scope = launch_.scope
        if scope is not None:
            scope.start(plan["cgroup_devices"])
        try:
            for text in cgroup.create(
                plan["cgroup_writes"],
                plan["cgroup_devices"],
                tolerant=launch_.tolerant,
                ours=scope is not None,
            ):
                warn(text)
        except BaseException:
            _abandon_quietly(scope)
            raise
        try:
            if launch_.cgroup_mounts is not None:
                # Only those that could be made: without privilege there may be none.
                made = cgroup.paths.values()
                launch_.cgroup_mounts = [
                    entry for entry in launch_.cgroup_mounts if entry[1] in made
                ]
            _delegate(launch_, cgroup)
            launch_.join_fds = cgroup.self_join_fds()
            # What a user may not do by himself, his manager does.
            unified = None if scope is not None and scope.user else cgroup.unified_fd()
            _hide(0)
            try:
                launched = _clone(launch_, joins, unified, as_sibling)
            finally:
                _hide(1)
            try:
                if scope is not None and scope.user:
                    scope.attach(launched.pid)
                prepare_child(launched.pid, plan)
            except BaseException:
                os.kill(launched.pid, 9)  # ours or our parent's child: not reaped, so not reused
                if not as_sibling:
                    os.waitpid(launched.pid, 0)
                raise
            if scope is not None:
                scope.release()
            return launched
        except BaseException:
            _abandon_quietly(scope)
            _remove_quietly(cgroup)
            raise
    finally:
        close_all([fd for _, fd, _ in joins])
        close_all(list(launch_.sources.values()))
        close_all(launch_.join_fds)
        if unified is not None:
            os.close(unified)


def prepare_child(pid: int, plan: LaunchPlan) -> None:
    """What only the outside may do for a new process: id maps, OOM score, higher limits."""
    for name, entries in (("uid_map", plan["uid_map"]), ("gid_map", plan["gid_map"])):
        if entries:
            idmap.write_map(pid, name, entries)
    if plan["net_devices"]:
        from runtime import netdevices

        netdevices.move_all(pid, plan["net_devices"])
    if plan["process"] is not None:
        raise_limits(pid, plan["process"])


def _delegate(launch_: Launch, cgroup: Cgroup) -> None:
    """Hand the cgroup to the container's root, if it is to manage it.

    Source: config-linux.md#cgroup-ownership.
    Only version 2 is safe to delegate, and only if the container has a namespace that makes the
    cgroup its root, and a writable mount of it.
    """
    plan = launch_.plan
    writable = any(
        op["kind"] == "cgroup" and not op["set"] & m.MOUNT_ATTR_RDONLY for op in plan["mounts"]
    )
    if launch_.cgroup_mounts is not None or not plan["new"] & ns.CLONE_NEWCGROUP or not writable:
        return
    uid, gid = idmap.outside(plan["uid_map"], 0), idmap.outside(plan["gid_map"], 0)
    if uid is not None and gid is not None:
        cgroup.delegate(uid, gid)


def raise_limits(pid: int, process: ProcessPlan) -> None:
    """The OOM score, and hard limits that init may not raise itself (it lowers them exactly)."""
    if process["oom_score_adj"] is not None:
        score = str(process["oom_score_adj"])
        _write_proc(f"/proc/{pid}/oom_score_adj", score, "process.oomScoreAdj")
    for index, (resource, _, hard) in enumerate(process["rlimits"]):
        # Takes CAP_SYS_RESOURCE in the initial user namespace.
        soft_now, hard_now = p.prlimit(pid, resource, None)
        if hard > hard_now:
            try:
                p.prlimit(pid, resource, (soft_now, hard))
            except OSError as error:
                raise KernelError(
                    "raise limit to", str(hard), error.errno or 0, f"process.rlimits[{index}]",
                    f"the hard limit of this process is {hard_now}, and it has no CAP_SYS_RESOURCE",
                ) from None  # fmt: skip


def _open_sources(plan: LaunchPlan, everything: bool) -> dict[str, int]:
    """Mounts that init cannot make itself: idmapped ones, and in a user namespace any bind."""
    sources: dict[str, int] = {}
    try:
        if everything:
            sources["root"] = clone_root(plan["rootfs"])
            m.mount_setattr(sources["root"], propagation=m.MS_SLAVE, recursive=True)
        for op in plan["mounts"]:
            if op["kind"] != "bind":
                continue
            if everything or op["idmap"] is not None:
                sources[op["key"]] = open_outside(op)
    except BaseException:
        close_all(list(sources.values()))
        raise
    return sources


def open_outside(op: MountOp) -> int:
    """A bind mount's source, opened by the launching process: its ids mapped, its own propagation.

    It may be a peer of the host's mounts: what is mounted on it stays inside. Raises KernelError.
    """
    tree = open_source(op)
    try:
        m.mount_setattr(tree, propagation=m.MS_SLAVE, recursive=True)
        if op["idmap"] is not None:
            idmap.apply(tree, op["idmap"], op["key"])
    except BaseException:
        os.close(tree)
        raise
    return tree


def _clone(
    launch_: Launch, joins: list[tuple[str, int, str]], unified: int | None, as_sibling: bool
) -> Launched:
    plan = launch_.plan
    # The cgroup namespace comes later, in init: its root is the cgroup the process is in.
    flags = plan["new"] & ~(ns.CLONE_NEWCGROUP | ns.CLONE_NEWTIME | launch_.unshare)
    parent = ns.CLONE_PARENT if as_sibling else 0
    if joins or plan["new"] & ns.CLONE_NEWTIME:
        return _clone_through_helper(launch_, joins, unified, flags, parent)
    try:
        pid = ns.clone3(flags | parent, unified)
    except OSError as error:
        raise KernelError("clone3", "", error.errno or 0, "linux.namespaces") from None
    if pid == 0:
        _in_child(launch_)
    return Launched(pid, 0)


def _hide(dumpable: int) -> None:
    """What is cloned from us must not be traceable for one instant (CVE-2016-9962).

    Without privilege it has to wait for init itself: a process that is not dumpable owns none of
    its files in /proc, and its id maps could not be written.
    """
    if os.geteuid() == 0:
        p.prctl(p.PR_SET_DUMPABLE, dumpable)


def _in_child(launch_: Launch) -> None:
    try:
        Init(launch_).run()
    finally:
        os._exit(1)


def _clone_through_helper(
    launch_: Launch,
    joins: list[tuple[str, int, str]],
    unified: int | None,
    flags: int,
    parent: int,
) -> Launched:
    """A short-lived process enters the existing namespaces and clones init from inside them.

    Its namespaces are lost with it, ours stay as they are. It clones with CLONE_PARENT, so that
    init becomes the child that a direct clone would have made.
    """
    reader, writer = os.pipe2(os.O_CLOEXEC)
    helper = ns.clone3(parent)
    if helper == 0:
        try:
            os.close(reader)
            close_import_system()
            enter(joins)
            if launch_.plan["new"] & ns.CLONE_NEWTIME:
                ns.unshare(ns.CLONE_NEWTIME)
                _write_time_offsets(launch_.plan)
            pid = ns.clone3(flags | ns.CLONE_PARENT, unified)
            if pid == 0:
                os.close(writer)
                _in_child(launch_)
            os.write(writer, f"pid {pid}".encode())
        except CrecheError as error:
            os.write(writer, f"error {error}".encode())
        except OSError as error:
            os.write(writer, f"error enter namespaces: {error.strerror}".encode())
        finally:
            os._exit(0)
    os.close(writer)
    try:
        word, _, rest = os.read(reader, 65536).decode("utf-8", "replace").partition(" ")
    finally:
        os.close(reader)
        if not parent:
            os.waitpid(helper, 0)
    if word != "pid":
        raise CrecheError(rest or "the process that enters the namespaces died")
    return Launched(int(rest), helper if parent else 0)


def _write_time_offsets(plan: LaunchPlan) -> None:
    for clock, seconds, nanoseconds in plan["time_offsets"]:
        _write_proc(
            "/proc/self/timens_offsets",
            f"{clock} {seconds} {nanoseconds}",
            f"linux.timeOffsets.{clock}",
        )


def _write_proc(path: str, text: str, key: str) -> None:
    try:
        write_text(path, text)
    except OSError as error:
        raise KernelError("write", path, error.errno or 0, key) from None


def _abandon_quietly(scope: Scope | None) -> None:
    """After a failure that is already being reported."""
    try:
        if scope is not None:
            scope.abandon()
    except (CrecheError, OSError):
        pass


def _remove_quietly(cgroup: Cgroup) -> None:
    """After a failure that is already being reported."""
    try:
        cgroup.kill_all()
        cgroup.remove()
    except (CrecheError, OSError):
        pass
