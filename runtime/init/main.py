"""What init does, in order. The conversation with the driver is drawn in runtime/channel.py."""

from __future__ import annotations

import _socket
import os
import select

import runtime.linux.process as p
from runtime import lsm
from runtime.channel import Channel, read_document
from runtime.errors import CrecheError, InitError, KernelError
from runtime.init import console, credentials, devices, masks, mounts, procfs, program, rootfs
from runtime.init.become import become, become_root_inside, join_keyring, report, turn_into
from runtime.init.descriptors import place
from runtime.init.network import loopback_up
from runtime.init.seal import close_import_system
from runtime.jsonio import dumps
from runtime.linux.namespaces import CLONE_NEWCGROUP, CLONE_NEWNS, CLONE_NEWUSER, unshare
from runtime.seccomp import Prepared
from runtime.spec.sysctl import sysctl_key

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Callable
    from typing import TypeVar

    from runtime.launch import Launch
    from runtime.plan.types import LaunchPlan

    T = TypeVar("T")
else:
    import _signal


_CPUS = range(os.sysconf("SC_NPROCESSORS_CONF"))  # possible ones: fixed since boot


class Init:
    """One container's init process; run() never returns."""

    def __init__(self, launch: Launch) -> None:
        self.launch = launch
        self.plan: LaunchPlan = launch.plan
        self.joined = {kind for kind, _, _ in self.plan["join"]}
        self.private_mounts = bool(self.plan["new"] & CLONE_NEWNS) or "mount" in self.joined
        self.user_namespace = bool(self.plan["new"] & CLONE_NEWUSER) or "user" in self.joined
        self.sync = launch.sync
        self.listener = launch.listener
        self.filter: Prepared | None = launch.filter
        self.run_hooks = launch.run_hooks
        self.late: list[int] = []
        self.env: dict[str, str] = {}
        self.path = ""

    def run(self) -> None:
        """Everything from the first instruction to execve(2); exits 1 on failure."""
        try:
            moved = self._make_room()
            self.sync, self.listener = moved[:2]
            sources = dict(zip(self.launch.sources, moved[2:], strict=True))
            program.close_between(len(self.launch.stdio), moved)
            channel = Channel.from_fd(self.sync)
            try:
                self._set_up(channel, sources)
                channel.send({"type": "created"})
                connection = self._wait_for_start(channel)
            except BaseException as error:
                report(channel, error)
                raise
            self._start(*connection)
        except BaseException:  # noqa: BLE001 - reported to the driver
            # Whoever drives us was told; a traceback would only show our insides.
            os._exit(1)

    def _make_room(self) -> list[int]:
        """Up to where our own descriptors are out of the program's way; their new numbers."""
        try:
            _do("join control groups", self._join_cgroups)
            close_import_system()
            if not self.plan["new"] & CLONE_NEWUSER:
                _hide()
            fds = [self.sync, self.listener, *self.launch.sources.values()]
            # Fails, if at all, before anything has changed its number.
            return _do("move descriptors", lambda: place(self.launch.stdio, fds))
        except CrecheError as error:
            report(Channel.from_fd(self.sync), error)
            raise

    def _join_cgroups(self) -> None:
        """First of all, with one thread: the kernel then needs no grace period (manager.py)."""
        for fd in self.launch.join_fds:
            os.write(fd, b"0")
        # The caller may have been pinned (taskset); the cgroup's cpuset is the container's bound.
        os.sched_setaffinity(0, _CPUS)

    def _set_up(self, channel: Channel, sources: dict[str, int]) -> None:
        plan = self.plan
        os.setsid()
        os.umask(0o022)  # the caller's must not decide who can use the mount points we make
        # Still as the caller: the container's root may not be able to reach its own root's path.
        place = rootfs.open_directory(plan["rootfs"])
        if self.user_namespace:
            # It has no ids yet to do anything with.
            staged = self._go(channel)
            become_root_inside()
            proc, null = self._open_own()
        else:
            proc, null = self._open_own()
            staged = self._go(channel)
        if plan["new"] & CLONE_NEWCGROUP:
            _do("unshare cgroup namespace", lambda: unshare(CLONE_NEWCGROUP))
        root = self._make_root(channel, place, sources)
        slave = self._make_devices(channel, root)
        if staged:
            channel.send({"type": "prepared"})
            _, state = self._expect(channel, "hooks-done")
            os.fchdir(root)  # where createContainer hooks start, as runc has it
            if self.run_hooks is not None:
                self.run_hooks("createContainer", _state_for_hook(state))
        self._identity(proc)
        lsm.apply(self.launch.labels, proc)
        masks.make_readonly(root, plan["readonly"])
        masks.mask(root, plan["masked"], null)
        os.close(null)
        os.close(proc)
        self._enter(root)
        os.close(root)
        if self.private_mounts and plan["setup_dev"]:
            devices.reopen_null()
        self._become(channel, slave)

    def _go(self, channel: Channel) -> bool:
        """Wait until the driver has noted who we are; whether it waits for us to be prepared."""
        word, _ = self._expect(channel, "go", "go-through")
        # A caller without privilege could not write the id maps of a hidden process; the child of
        # a privileged one has been hidden all along (runtime/launch.py).
        _hide()
        return word == "go"

    def _open_own(self) -> tuple[int, int]:
        """What is seen by nobody else: network, a procfs, keyring; procfs and the host's null."""
        if self.launch.unshare:
            _do("unshare network namespace", lambda: unshare(self.launch.unshare))
        if self.plan["loopback"]:
            _do("bring up", loopback_up, "lo")
        proc = _do("open a private procfs", procfs.open_private)
        if self.launch.keyring:
            join_keyring(self.launch.keyring, self.launch.labels.selinux, proc)
        return proc, devices.open_host_null()

    def _make_root(self, channel: Channel, place: int, sources: dict[str, int]) -> int:
        plan = self.plan
        if not self.private_mounts:
            return place
        tree = sources.pop("root", None)
        root = rootfs.prepare(plan["rootfs"], place, plan["propagation"], tree)
        os.close(place)
        for op in plan["mounts"]:
            if self.launch.debug:
                what = op["fstype"] or op["kind"]
                channel.send({"type": "debug", "text": f"mount {what} on {op['destination']}"})
            if self.launch.labels.mount and op["kind"] == "filesystem":
                op = {**op, "options": [*op["options"], ("context", self.launch.labels.mount)]}
            kept = mounts.perform(root, op, sources.get(op["key"]), self.launch.cgroup_mounts)
            if kept is not None:
                self.late.append(kept)
        return root

    def _make_devices(self, channel: Channel, root: int) -> int:
        """Nodes and links; the pty's slave, or -1 without a terminal."""
        plan = self.plan
        if self.private_mounts and plan["setup_dev"]:
            devices.make(root, plan["devices"], self.user_namespace)
            devices.link(root)
        process = plan["process"]
        if process is None or not process["terminal"]:
            return -1
        master, slave = console.open_pty(root, process["console_size"])
        if self.private_mounts and plan["setup_dev"]:
            console.bind_console(root, slave)
        channel.send({"type": "console", "name": console.name(master)}, [master])
        os.close(master)
        return slave

    def _identity(self, proc: int) -> None:
        """Names and sysctls of the new namespaces."""
        plan = self.plan
        if plan["hostname"]:
            _do("sethostname", lambda: p.sethostname(plan["hostname"]), plan["hostname"])
        if plan["domainname"]:
            _do("setdomainname", lambda: p.setdomainname(plan["domainname"]), plan["domainname"])
        for path, value in plan["sysctl"]:
            try:
                procfs.write(proc, f"sys/{path}", value)
            except OSError as error:
                raise KernelError(
                    "write", f"/proc/sys/{path}", error.errno or 0, sysctl_key(path)
                ) from None

    def _enter(self, root: int) -> None:
        plan = self.plan
        if not self.private_mounts:
            os.fchdir(root)
            os.chroot(".")
            return
        if self.launch.no_pivot:
            rootfs.move(root)
        else:
            rootfs.pivot(root)
            rootfs.set_final_propagation(plan["propagation"])
        for mount in self.late:
            mounts.make_readonly(mount)
        if plan["root_readonly"]:
            _do("make read-only", lambda: rootfs.make_readonly("/"), "/")

    def _become(self, channel: Channel, slave: int) -> None:
        process = self.plan["process"]
        if process is None:
            return
        program.make_cwd(process["cwd"])

        def warn(text: str) -> None:
            channel.send({"type": "warning", "text": text})

        credentials.set_placement(self.plan["personality"], self.plan["memory_policy"])
        self.path, self.env = become(process, slave, self.filter is not None, warn)

    def _wait_for_start(self, channel: Channel) -> tuple[Channel, dict[str, object]]:
        """Block until the driver says `start`, or whoever connects to the socket of the container.

        Most drivers end, and others follow.
        """
        program.close_between(len(self.launch.stdio), sorted((self.listener, channel.fileno())))
        for number in (_signal.SIGTERM, _signal.SIGINT, _signal.SIGHUP, _signal.SIGQUIT):
            # As pid 1 of a namespace we would not even notice a signal without a handler.
            _signal.signal(number, lambda which, _: os._exit(128 + which))
        listener = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, self.listener)
        poller = select.poll()
        for end in (listener, channel):
            poller.register(end, select.POLLIN)
        while True:
            if (ready := poller.poll()[0][0]) == channel.fileno():
                poller.unregister(ready)
                talking = channel
            else:
                talking = Channel.from_fd(listener._accept()[0])  # type: ignore[attr-defined]
            try:
                received = talking.receive()
                if received is not None and received[0]["type"] == "start":
                    listener.close()
                    return talking, read_document(received[1])
            except (OSError, CrecheError):
                pass
            talking.close()

    def _start(self, channel: Channel, state: dict[str, object]) -> None:
        """startContainer hooks, the seccomp filter, execve(2)."""
        process = self.plan["process"]
        try:
            if process is None:
                raise InitError("process: required to start a container")
            install = self._install_filter if self.filter else None
            if self.run_hooks is not None:
                self.run_hooks("startContainer", _state_for_hook(state), install)
            program.close_between(len(self.launch.stdio), [channel.fileno()])
            if self.launch.tied:
                # Whoever started us in the foreground holds our streams' other ends, and waits for
                # their end if that process is killed (Slurm's step daemon does).
                p.prctl(p.PR_SET_PDEATHSIG, _signal.SIGKILL)
            turn_into(process, self.path, self.env, self.filter, channel)
        except BaseException as error:
            report(channel, error)
            raise

    def _install_filter(self) -> None:
        """In a startContainer hook, before it executes its program."""
        assert self.filter is not None
        self.filter.install()

    @staticmethod
    def _expect(channel: Channel, *kinds: str) -> tuple[object, dict[str, object]]:
        """Which of them came, and the document with it."""
        received = channel.receive()
        if received is None or received[0]["type"] not in kinds:
            raise InitError(f"the runtime went away before {kinds[0]!r}")
        return received[0]["type"], read_document(received[1])


def _state_for_hook(state: dict[str, object]) -> bytes:
    """The state document with our own pid in it, as seen inside (runtime.md#state)."""
    return dumps({**state, "pid": os.getpid()}).encode("utf-8", "surrogateescape")


def _hide() -> None:
    """Let nobody trace or look into this process while it still is the runtime."""
    p.prctl(p.PR_SET_DUMPABLE, 0)


def _do(op: str, function: Callable[[], T], subject: str = "") -> T:
    try:
        return function()
    except OSError as error:
        raise KernelError(op, subject, error.errno or 0) from None
