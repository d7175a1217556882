"""What all containers of one creched share: launcher, watcher, state root, embedded roots.

ROOT is a state root like that of `creche`, so `creche --root ROOT list` shows what creched runs.
ROOT/.creched is creched's own: a lock, and the embedded root file systems.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Mapping
from contextlib import AsyncExitStack
from functools import partial
from types import TracebackType
from typing import Any, Self

import trio

from runtime.cgroups import Cgroup, discover, resolve_paths
from runtime.cgroups.layout import UNIFIED
from runtime.errors import CrecheError, NoSuchContainer
from runtime.lifecycle import container as lifecycle
from runtime.lifecycle.request import CreateRequest
from runtime.notify import DIRECTORY, pass_in
from runtime.plan.compile import compile_plan
from runtime.state import StateDir, list_ids, make_root, open_init
from supervisor import limits
from supervisor.adopted import AdoptedContainer
from supervisor.container import Container, Report
from supervisor.containerlog import Log
from supervisor.delegation import HOLDER, settle
from supervisor.driver import DrivenContainer
from supervisor.gate import Gate
from supervisor.launching import LauncherClient, Plan, end_former, raise_descriptor_limit
from supervisor.monitor.notify import NotifySocket
from supervisor.monitor.probes import Prober
from supervisor.monitor.types import Monitor
from supervisor.monitor.watching import ContainerMonitor, listens, needed
from supervisor.network.service import Networks
from supervisor.output.lines import STREAMS
from supervisor.output.service import Output
from supervisor.record import Record
from supervisor.systemd.descriptors import Descriptors, name_of
from supervisor.systemd.notify import Notifier
from supervisor.watch import Watcher
from supervisor.workload import oci, rootfs
from supervisor.workload.model import Workload

DEFAULT_ROOT = "/run/creche"
DEFAULT_STATE = "/var/lib/creche"
ANNOTATION = "org.creche.workload"
"""Marks a container as made by creched; its value is the workload directory."""


class Engine:
    """Use with `async with`; nothing of it is left afterwards but what `.creched` remembers.

    Raises CrecheError, OSError.
    """

    def __init__(
        self, root: str, descriptors: Descriptors | None = None, state: str = DEFAULT_STATE
    ) -> None:
        self.root = os.path.abspath(root)
        self.own = f"{self.root}/.creched"
        self.scratch = f"{self.own}/rootfs"
        self._launcher = LauncherClient(f"{self.own}/launcher")
        self._watcher = Watcher()
        self.output = Output(f"{self.own}/output", f"{os.path.abspath(state)}/logs")
        self._stack = AsyncExitStack()
        self._layout = discover()
        self._delegated: str | None = None
        self._plans: dict[str, tuple[Workload, str, Plan]] = {}
        self._lock = -1
        self._null = -1
        self.gate = Gate()
        self.networks: Networks | None = None
        self.descriptors = descriptors or Descriptors(Notifier(""))
        self.leaving = False
        """Containers, and what they need, stay: another creched takes them over."""

    async def __aenter__(self) -> Self:
        raise_descriptor_limit()
        make_root(self.root)
        make_root(self.own)
        self._lock = os.open(f"{self.own}/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise CrecheError(
                f"another creched uses {self.root} (choose another with --root)"
            ) from None
        end_former(f"{self.own}/launcher")
        self._delegated = settle(self._layout)
        self._null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        await self._stack.enter_async_context(self._watcher)
        await self._stack.enter_async_context(self.output)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._launcher.close()
        await self._stack.aclose()
        os.close(self._null)
        if not self.leaving:
            rootfs.remove(self.scratch)
            if not self._cgroup().endswith(HOLDER):  # that one is systemd's
                for base in resolve_paths(self._cgroup(), "unused", self._layout).values():
                    _remove_directory(base)
        os.close(self._lock)

    @property
    def watcher(self) -> Watcher:
        """The one inotify descriptor."""
        return self._watcher

    async def hang_up(self) -> None:
        """Have the launcher end; the next order starts another one."""
        self.output.flush()
        await self._launcher.close()

    def left(
        self, records: Mapping[str, Record], report: Report, now: float
    ) -> dict[str, AdoptedContainer]:
        """The containers that an earlier creched has left, by name. now: on the records' clock.

        What is left of one whose own state is damaged is removed.
        """
        found = {}
        for name in list_ids(self.root):
            log = Log(name, name, report)
            try:
                held = lifecycle.Container.open(self.root, name, log)
            except NoSuchContainer:
                continue
            except (CrecheError, OSError) as error:
                if name in records:
                    self._discard(name, log, str(error))
                continue
            if ANNOTATION in held.state["annotations"]:
                found[name] = self._adopt(held, log, records.get(name), now)
        self.output.sweep(found)
        return found

    def _adopt(
        self, held: lifecycle.Container, log: Log, record: Record | None, now: float
    ) -> AdoptedContainer:
        state = held.state
        held.pidfd = self.descriptors.take(name_of("pid", state))
        if held.pidfd < 0:
            pidfd = open_init(state)
            if pidfd is not None:
                held.pidfd = pidfd
                self.descriptors.keep(name_of("pid", state), pidfd)
        began = None
        if record is not None and record.started_at is not None and record.pid == state["pid"]:
            began = record.started_at - now + trio.current_time()
        adopted = AdoptedContainer(held, self._layout, self._launcher, self._watcher, log, began)
        adopted.gate, adopted.descriptors = self.gate, self.descriptors
        kept = {s: self.descriptors.take(name_of(s, state)) for s in STREAMS}
        found = {stream: fd for stream, fd in kept.items() if fd >= 0}
        adopted.output = self.output.adopt(state["id"], log.warning, found)
        if os.path.isdir(f"{held.directory.path}/{DIRECTORY}"):
            adopted.notify = NotifySocket(
                f"{held.directory.path}/{DIRECTORY}",
                adopted.has,
                adopted.keep_notify,
                self.descriptors.take(name_of("notify", state)),
            )
            adopted.notify.ready = record is not None and record.ready
        return adopted

    def _discard(self, name: str, log: Log, reason: str) -> None:
        """Nobody knows what this container was, but where its processes are."""
        log.warning(f"{reason}; what is left of the container is removed")
        cgroup = Cgroup(resolve_paths(f"{self._cgroup()}/{name}", name, self._layout))
        try:
            cgroup.kill_all()
            cgroup.remove()
        except (CrecheError, OSError) as error:
            log.warning(str(error))
        StateDir(self.root, name).remove()

    def container(self, workload: Workload, report: Report) -> DrivenContainer:
        """See supervisor.container.Engine."""
        name = workload.name
        log = Log(name, name, report)
        if workload.embedded_root and not os.path.isdir(f"{self.scratch}/{name}"):
            try:
                rootfs.make(f"{self.scratch}/{name}")
            except OSError as error:  # create says that there is no root
                log.warning(f"make the embedded root {self.scratch}/{name}: {error.strerror}")
        spec: Any = dict(workload.config)
        told = ""
        if self.networks is not None:
            spec = self.networks.joined(workload, spec)
            told = self.networks.told(workload)
        spec["annotations"] = {**spec.get("annotations", {}), ANNOTATION: workload.directory}
        spec["linux"] = {"cgroupsPath": f"{self._cgroup()}/{name}", **spec.get("linux", {})}
        if workload.settings.container is not None and workload.settings.container.oom_group:
            if self._layout.find("memory") == UNIFIED:
                spec["linux"] = oci.ended_whole(spec["linux"])
            else:
                log.warning("oom-group: cgroup version 1 limits memory here, and cannot do that")
        if "process" in spec:
            # Not what creched's unit has set to protect creched: every child inherits that.
            spec["process"] = {"oomScoreAdj": 0, **spec["process"]}
        state = f"{self.root}/{name}"
        notify = self._pass_notify_in(workload, spec, state, log)
        request = CreateRequest(
            self.root,
            name,
            workload.directory,
            spec,
            log,
            stdio=[self._null] * 3,
            notify=notify,
        )
        planned, same, plan = self._plans.get(name, (None, "", None))
        if planned is not workload or same != told:
            plan = None
            try:
                compiled = compile_plan(spec, self._layout, workload.directory, log.warning)
                plan = Plan(compiled)
                self._plans[name] = workload, told, plan
            except CrecheError:
                pass  # create compiles again, and then the error has its place
        made = DrivenContainer(
            request,
            plan,
            self._layout,
            self._launcher,
            self._watcher,
            log,
            workload.settings.hooks.timeout,
        )
        made.gate, made.descriptors = self.gate, self.descriptors
        made.output = self.output.open(workload, log.warning)
        if self.networks is not None:
            made.prepare = partial(self.networks.attach, workload)
        made.limits = limits.declared(workload)
        if notify:
            made.notify = NotifySocket(f"{state}/{DIRECTORY}", made.has, made.keep_notify)
        return made

    def _pass_notify_in(self, workload: Workload, spec: Any, state: str, log: Log) -> bool:
        """Whether the container gets a notify socket."""
        if not listens(workload.settings):
            return False
        if not pass_in(spec, state):
            log.warning("it has no mount namespace of its own, and so no notify socket")
            return False
        watchdog = workload.settings.watchdog
        if watchdog is not None:
            spec["process"]["env"].append(f"WATCHDOG_USEC={round(watchdog.interval * 1e6)}")
        return True

    def monitor(self, workload: Workload, container: Container) -> Monitor | None:
        """See supervisor.container.Engine."""
        if not isinstance(container, DrivenContainer):
            return None
        container.output.change(workload.settings.logs)
        if self.networks is not None:
            self.networks.changed(workload)
        container.limit(limits.declared(workload))
        if not needed(workload.settings):
            return None
        return ContainerMonitor(
            workload.settings,
            container.notify,
            lambda settings: Prober(settings, container.inside()),
        )

    def forget(self, workload: Workload) -> None:
        """See supervisor.container.Engine."""
        self._plans.pop(workload.name, None)
        rootfs.remove(f"{self.scratch}/{workload.name}")

    def _cgroup(self) -> str:
        """The cgroup all containers' cgroups are in. Two creched have two roots, hence two."""
        if self._delegated:
            return self._delegated
        if self.root == DEFAULT_ROOT:
            return "/creched"
        return f"/creched-{hashlib.sha256(self.root.encode()).hexdigest()[:12]}"


def _remove_directory(path: str) -> None:
    try:
        os.rmdir(path)
    except OSError:
        pass
