"""One container as a driver holds it, and the acts that need no waiting.

Both drivers use these: blocking.py waits with system calls, the supervisor's driver with trio.
"""

from __future__ import annotations

import os

from runtime import startsocket
from runtime.cgroups import Cgroup
from runtime.errors import InitError, KernelError, StateError
from runtime.jsonio import dumps
from runtime.lifecycle import runner
from runtime.linux.pidfd import await_end, signal_quietly
from runtime.state import (
    StateDir,
    current_status,
    oci_state,
    open_init,
    process_start_time,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hooks.types import Hook
    from runtime.cgroups import Layout
    from runtime.channel import Channel
    from runtime.lifecycle.request import CreateRequest, Logger
    from runtime.plan.types import LaunchPlan
    from runtime.spec.types import Spec
    from runtime.state import State
    from runtime.systemd.scope import Scope


class Container:
    """directory, state: as saved. plan, request, layout, scope: only while it is being created.

    console: the pty's master after create, or -1; whoever takes it sets -1. pidfd: of init, or -1.
    """

    __slots__ = (
        "_config", "channel", "console", "console_name", "directory", "layout", "log", "pidfd",
        "plan", "request", "scope", "state",
    )  # fmt: skip

    def __init__(self, directory: StateDir, state: State, log: Logger) -> None:
        self.directory = directory
        self.state = state
        self.log = log
        self.plan: LaunchPlan | None = None
        self.request: CreateRequest | None = None
        self.layout: Layout | None = None
        self.scope: Scope | None = None
        self.channel: Channel | None = None
        self.console = -1
        self.console_name = ""
        self.pidfd = -1
        self._config: tuple[Spec, str] | None = None

    @classmethod
    def open(cls, root: str, container_id: str, log: Logger) -> Container:
        """An existing container. Raises NoSuchContainer, StateError."""
        directory = StateDir(root, container_id)
        return cls(directory, directory.load(), log)

    def status(self) -> str:
        """As runtime.state.current_status."""
        return current_status(self.directory, self.state)

    def lock(self) -> None:
        """Wait for the right to change the container, and read again what changed meanwhile.

        Raises NoSuchContainer if it is gone by then, StateError for a damaged state.
        """
        self.directory.lock()
        try:
            self.state = self.directory.load()
        except BaseException:
            self.directory.unlock()
            raise

    def cgroup(self) -> Cgroup:
        return Cgroup(self.state["cgroup"])

    def planned_cgroup(self) -> Cgroup:
        """What launch() is to make."""
        return Cgroup(self.state["cgroup_planned"])

    def own_cgroup(self, paths: dict[str, str]) -> None:
        """launch() has made these: from here on they go when the container goes."""
        self.state["cgroup"] = paths
        self.state["cgroup_planned"] = {}

    def remove_cgroup(self) -> None:
        """Remove what is ours; of what was only planned, empty directories and no more."""
        for directory in self.state["cgroup_planned"].values():
            try:
                os.rmdir(directory)
            except OSError:
                continue
        if self.state["cgroup"]:
            if "scope" in self.state:
                from runtime.lifecycle import cgroups

                cgroups.stop_scope(self.state, self.log.warning)
            self.cgroup().remove()
        if self.state["resctrl"]:
            from runtime import resctrl

            resctrl.remove(self.state["resctrl"])

    def hooks(self, stage: str) -> list[Hook]:
        """The configuration's hooks of one stage, in order."""
        stages: dict[str, list[Hook]] = dict(self.state["config"].get("hooks", {}))  # type: ignore[arg-type]
        return stages.get(stage, [])

    def has_creation_hooks(self) -> bool:
        """Whether any of the configuration's hooks run between launch and created."""
        return any(map(self.hooks, ("prestart", "createRuntime", "createContainer")))

    def hooks_ended(self, stage: str) -> int:
        """How many hooks of a stage have run, though whoever ran them was killed then."""
        last, count = self.state.get("hooks_ended", ("", 0))
        return count if last == stage else 0

    def hook_directory(self) -> str:
        """Where hooks run: in the bundle; poststop hooks run also after somebody has removed it."""
        bundle = self.state["bundle"]
        return bundle if os.path.isdir(bundle) else "/"

    def note_hooks(self, stage: str, count: int) -> None:
        """So many hooks of the stage have ended: they are not run a second time."""
        self.state["hooks_ended"] = (stage, count)
        try:
            self.directory.save(self.state)
        except KernelError as error:
            self.log.warning(str(error))

    def hook_state(self, status: str) -> dict[str, object]:
        """The state document for hooks; the pid only while there is a process (runtime.md)."""
        pid = 0 if status == "stopped" else self.state["pid"]
        return oci_state(self.state, status, pid)

    def save(self, status: str) -> None:
        """Save what is known; this process is the one that runs hooks from here on."""
        runner.sweep_after(self.state)
        self.state["runner"] = runner.this_process()
        self.state["status"] = status
        config = self.state["config"]
        if self._config is None or self._config[0] is not config:
            self._config = config, dumps(config)
        text = self._config[1]
        if status != "creating":  # which is saved three times on the way; the text is long
            self._config = None
        self.directory.save(self.state, text)

    # -- creating ----------------------------------------------------------------------------

    def listen(self) -> int:
        """The start socket; a descriptor that init accepts on."""
        return startsocket.listen(self.directory.path)

    def adopt_init(self, pid: int) -> None:
        """Note who init is; it is our child, so the pid cannot have been reused yet."""
        self.pidfd = os.pidfd_open(pid)
        self.state["pid"] = pid
        self.state["start_time"] = process_start_time(pid) or 0
        rdt = self.state["config"].get("linux", {}).get("intelRdt")
        if rdt:
            from runtime import resctrl

            self.state["resctrl"] = resctrl.join(
                rdt, self.directory.id, pid, resctrl.mountpoint()
            ).made
        self.directory.save_traces(self.state)

    def cgroup_mounts(self) -> list[tuple[str, str, list[str]]] | None:
        """For a cgroup mount: (name, host directory, links) of each hierarchy; None on v2.

        Asked before launch(), when the cgroups are planned but not yet ours.
        """
        assert self.layout is not None
        if self.layout.mode == "v2":
            return None
        mounts = []
        for name, directory in self.state["cgroup_planned"].items():
            hierarchy = self.layout.hierarchies.get(name)
            if hierarchy is None:
                continue
            base = os.path.basename(hierarchy.mountpoint)
            links = [part for part in hierarchy.controllers() if part != base]
            mounts.append((base, directory, links))
        return mounts

    def keyring(self) -> str:
        assert self.request is not None
        return self.request.keyring()

    def tell(self, kind: str, status: str) -> None:
        """Send init one message; a dead init is reported by the next receive."""
        assert self.channel is not None
        state = self.hook_state(status) if status else None
        try:
            self.channel.send({"type": kind}, document=state)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def understand(self, received: tuple[dict[str, object], list[int]] | None, kind: str) -> bool:
        """Take one message from init; True if it was the expected kind.

        Raises InitError for an error that init reports, and if it died without a word.
        """
        if received is None:
            raise InitError(f"init died before it was {kind}{self._how_init_ended()}")
        message, fds = received
        said = message["type"]
        if said == "console" and len(fds) == 1 and self.console < 0:
            self.console = fds[0]
            self.console_name = str(message.get("name", ""))[:4096]
            return False
        for fd in fds:
            os.close(fd)
        if said == "warning":
            self.log.warning(str(message.get("text", "")))
        elif said == "debug":
            self.log.debug(str(message.get("text", "")))
        elif said == "seccomp":
            self._hand_listener_over(message)
        elif said == "error":
            raise init_error(message)
        elif said != kind:
            raise InitError(f"init said {said!r} where {kind!r} was expected")
        return said == kind

    def _hand_listener_over(self, message: dict[str, object]) -> None:
        """The program is about to run, and its seccomp filter has a listener for an agent."""
        from runtime.seccomp import agent

        profile = self.state["config"].get("linux", {}).get("seccomp", {})
        pidfd = open_init(self.state)
        if pidfd is None or self.channel is None or "listenerPath" not in profile:
            raise InitError("init offers a seccomp listener that nobody asked for")
        try:
            agent.accept(message, self.channel, pidfd, profile, self.hook_state("running"))
        finally:
            os.close(pidfd)

    def _how_init_ended(self) -> str:
        if self.pidfd < 0:
            return ""
        # A dying process closes its descriptors before it can be waited for.
        from select import POLLIN, poll

        poller = poll()
        poller.register(self.pidfd, POLLIN)
        poller.poll(1000)
        try:
            ended = os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except OSError:
            return ""
        if ended is None:
            return ""
        how = "exit status" if ended.si_code == os.CLD_EXITED else "signal"
        return f" ({how} {ended.si_status})"

    def hand_over(self) -> None:
        """Give the engine what it asked for: pid file, terminal, pidfd."""
        request = self.request
        assert request is not None
        from runtime.handover import send_console, send_pidfd, write_pid_file

        if request.pid_file:
            write_pid_file(request.pid_file, self.state["pid"])
        if request.pidfd_socket:
            send_pidfd(request.pidfd_socket, self.pidfd)
        if request.console_socket and self.console >= 0:
            send_console(request.console_socket, self.console, self.console_name)
            os.close(self.console)
            self.console = -1

    # -- starting ----------------------------------------------------------------------------

    def release_init(self) -> None:
        """Tell init to run the program; the answer comes on self.channel. Raises KernelError.

        By the channel that it was created on, if we have that still.
        """
        if self.channel is None or not startsocket.waiting(self.directory.path):
            from runtime.channel import Channel

            self.hang_up()
            self.channel = Channel(startsocket.connect(self.directory.path))
        # Nobody else asks for the state.
        state = self.hook_state("created") if self.hooks("startContainer") else None
        try:
            self.channel.send({"type": "start"}, document=state)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise KernelError("start", "init", error.errno or 0) from None

    def program_runs(self) -> None:
        """The exec has happened: from here on the container counts as running."""
        self.hang_up()
        startsocket.remove(self.directory.path)

    def hang_up(self) -> None:
        if self.channel is not None:
            self.channel.close()
            self.channel = None

    # -- ending ------------------------------------------------------------------------------

    def close(self) -> None:
        """Let go of every descriptor; the container itself stays."""
        self.hang_up()
        if self.scope is not None:
            self.scope.close()
            self.scope = None
        for name in ("console", "pidfd"):
            fd = getattr(self, name)
            if fd >= 0:
                os.close(fd)
                setattr(self, name, -1)
        self.directory.unlock()

    def kill_everything(self) -> None:
        """SIGKILL for every process of the container; waits, up to ten seconds, until gone."""
        pidfd = self.pidfd if self.pidfd >= 0 else open_init(self.state)
        try:
            if pidfd is not None:
                signal_quietly(pidfd, 9)
            gone = not self.state["cgroup"] or self.cgroup().kill_all()
            if pidfd is not None:
                await_end(pidfd)
            if not gone:
                raise StateError(
                    f"processes of container {self.directory.id} cannot be killed "
                    "(they wait in the kernel)"
                )
        finally:
            if pidfd is not None and pidfd != self.pidfd:
                os.close(pidfd)


def init_error(message: dict[str, object]) -> InitError:
    """The error that init reported, with the words that engines know it by."""
    text = str(message.get("text", ""))
    number = message.get("errno")
    kind = str(message.get("kind", ""))
    if kind == "exec":
        text = f"unable to start container process: {text}"
    return InitError(text, number if isinstance(number, int) else 0, kind)
