"""What all containers of one creched share: launcher, watcher, state root, embedded roots.

ROOT is a state root like that of `creche`, so `creche --root ROOT list` shows what creched runs.
ROOT/.creched is creched's own: a lock, and the embedded root file systems.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self

from runtime.cgroups import discover, resolve_paths
from runtime.errors import CrecheError, NoSuchContainer
from runtime.lifecycle import blocking
from runtime.lifecycle.request import CreateRequest
from runtime.plan.compile import compile_plan
from runtime.state import make_root
from supervisor.container import Container, Report
from supervisor.delegation import HOLDER, settle
from supervisor.driver import DrivenContainer, Log
from supervisor.launching import LauncherClient, Plan, raise_descriptor_limit
from supervisor.monitor.types import Monitor
from supervisor.watch import Watcher
from supervisor.workload import rootfs
from supervisor.workload.model import Workload

DEFAULT_ROOT = "/run/creche"
DEFAULT_STATE = "/var/lib/creche"
ANNOTATION = "org.creche.workload"
"""Marks a container as made by creched; its value is the workload directory."""


class Engine:
    """Use with `async with`; nothing of it is left afterwards. Raises CrecheError, OSError."""

    def __init__(self, root: str) -> None:
        self.root = os.path.abspath(root)
        self.own = f"{self.root}/.creched"
        self._mark = f"{self.own}/made-root"
        self.scratch = f"{self.own}/rootfs"
        self._made_root = not os.path.isdir(self.root)
        self._launcher = LauncherClient()
        self._watcher = Watcher()
        self._stack = AsyncExitStack()
        self._layout = discover()
        self._delegated: str | None = None
        self._plans: dict[str, tuple[Workload, Plan]] = {}
        self._lock = -1
        self._stdin = -1

    async def __aenter__(self) -> Self:
        raise_descriptor_limit()
        make_root(self.root)
        make_root(self.own)
        if self._made_root:
            # Should we be killed, the next one still knows that the directory may go.
            os.close(os.open(self._mark, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        self._lock = os.open(f"{self.own}/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise CrecheError(
                f"another creched uses {self.root} (choose another with --root)"
            ) from None
        self._delegated = settle(self._layout)
        self._stdin = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        await self._stack.enter_async_context(self._watcher)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._launcher.close()
        await self._stack.aclose()
        rootfs.remove(self.scratch)
        if not self._cgroup().endswith(HOLDER):  # that one is systemd's
            for base in resolve_paths(self._cgroup(), "unused", self._layout).values():
                _remove_directory(base)
        made_root = _remove_file(self._mark)
        os.unlink(f"{self.own}/lock")
        os.close(self._lock)
        os.close(self._stdin)
        _remove_directory(self.own)
        if made_root:
            _remove_directory(self.root)

    @property
    def watcher(self) -> Watcher:
        """The one inotify descriptor."""
        return self._watcher

    def prepare(self, workloads: Iterable[Workload], report: Report) -> None:
        """Remove what an earlier creched that was killed has left."""
        workloads = list(workloads)
        for workload in workloads:
            self._sweep(workload, report)
        rootfs.remove(self.scratch)

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
        spec["annotations"] = {**spec.get("annotations", {}), ANNOTATION: workload.directory}
        spec["linux"] = {"cgroupsPath": f"{self._cgroup()}/{name}", **spec.get("linux", {})}
        if "process" in spec:
            # Not what creched's unit has set to protect creched: every child inherits that.
            spec["process"] = {"oomScoreAdj": 0, **spec["process"]}
        # What the container writes goes where our messages go; events have standard output alone.
        request = CreateRequest(
            self.root, name, workload.directory, spec, log, stdio=[self._stdin, 2, 2]
        )
        planned, plan = self._plans.get(name, (None, None))
        if planned is not workload:
            plan = None
            try:
                compiled = compile_plan(spec, self._layout, workload.directory, log.warning)
                plan = Plan(compiled)
                self._plans[name] = workload, plan
            except CrecheError:
                pass  # create compiles again, and then the error has its place
        return DrivenContainer(
            request,
            plan,
            self._layout,
            self._launcher,
            self._watcher,
            log,
            workload.settings.hooks.timeout,
        )

    def monitor(self, workload: Workload, container: Container) -> Monitor | None:
        """See supervisor.container.Engine."""
        return None

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

    def _sweep(self, workload: Workload, report: Report) -> None:
        """A container of this workload that nobody looks after any more cannot be taken over."""
        log = Log(workload.name, workload.name, report)
        try:
            left = blocking.open_container(self.root, workload.name, log)
            if ANNOTATION not in left.state["annotations"]:
                return
            blocking.delete(left, force=True)
            log.warning("a container that an earlier creched left behind was removed")
        except NoSuchContainer:
            return
        except (CrecheError, OSError) as error:
            log.warning(f"left by an earlier creched, cannot be removed: {error}")


def _remove_file(path: str) -> bool:
    """Whether it was there."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    return True


def _remove_directory(path: str) -> None:
    try:
        os.rmdir(path)
    except OSError:
        pass
