"""Real containers: drives runtime.lifecycle's generators from trio.

The order of things, and what is undone when, stand in runtime/lifecycle/protocol.py. Here stands
only how each step is done without blocking: launches go to the launcher, hooks run under cancel
scopes, ends are waited for on pidfds and cgroup events.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable
from typing import Any

import trio

from hooks.concurrent import run_hooks
from hooks.errors import HookError
from runtime.cgroups.within import is_member
from runtime.channel import pair
from runtime.errors import CrecheError, InitError, NoSuchContainer
from runtime.jsonio import dumps
from runtime.lifecycle import container as lifecycle
from runtime.lifecycle import protocol as steps
from runtime.lifecycle.claim import claim
from runtime.lifecycle.request import CreateRequest
from runtime.notify import make_directory
from supervisor import limits
from supervisor.container import ContainerError, Exit
from supervisor.containerlog import Log
from supervisor.exits import close_pidfd, process_exit
from supervisor.gate import Gate
from supervisor.inside import Inside
from supervisor.launching import LauncherClient, Plan
from supervisor.limits import Limits
from supervisor.monitor.notify import NotifySocket
from supervisor.output.lines import STREAMS
from supervisor.output.run import RunOutput
from supervisor.policy import Cause
from supervisor.systemd.descriptors import Descriptors, name_of
from supervisor.watch import Watcher, read_counters

KILL_TIMEOUT = 10.0
"""Seconds until processes that were killed and are still there count as stuck in the kernel."""


class DrivenContainer:
    """One run of one workload (supervisor.container.Container)."""

    def __init__(
        self,
        request: CreateRequest,
        plan: Plan | None,
        layout: Any,
        launcher: LauncherClient,
        watcher: Watcher,
        log: Log,
        hook_timeout: float,
    ) -> None:
        self.id = request.id
        self.pid: int | None = None
        self.start_time: int | None = None
        self.started_at: float | None = None
        self._request = request
        self._plan = plan
        self._layout = layout
        self._launcher = launcher
        self._watcher = watcher
        self._log = log
        self._hook_timeout = hook_timeout
        self._held: lifecycle.Container | None = None
        self._exit: Exit | None = None
        self._reaping = trio.Lock()
        self._hooks = trio.CancelScope()
        self._hurried = False
        self._removed = False
        self.gate = Gate()
        """Whatever is under way with a container is inside."""
        self.descriptors: Descriptors | None = None
        """Where its first process's is kept, for the next creched."""
        self.output = RunOutput()
        self.prepare: Callable[[], Awaitable[None]] | None = None
        """What has to be there before it is created. Raises CrecheError."""
        self.notify: NotifySocket | None = None
        self.limits: Limits | None = None
        """None: not known, or not creched's to change."""

    # --- what the supervisor calls ---------------------------------------------------------

    async def create(self) -> None:
        """See supervisor.container.Container."""
        try:
            # Once the id is claimed only the protocol knows how to give it back.
            async with self.gate.inside():
                if self.prepare is not None:
                    await self.prepare()
                await self._claim_and_create()
        except BaseException as error:
            self._close()
            translate(error)
            raise

    async def _claim_and_create(self) -> None:
        plan = None if self._plan is None else self._plan.plan
        self._held = claim(self._request, self._layout, plan)
        if self._request.notify:
            make_directory(self._held.directory.path)
        for number, fd in enumerate(self.output.give(), 1):
            if fd >= 0:
                self._request.stdio[number] = fd
        if self._plan is None:
            self._plan = Plan(self._held.plan)
        await self._drive_inside(steps.create(self._held.has_creation_hooks()))

    async def start(self) -> None:
        """See supervisor.container.Container."""
        try:
            if self.notify is not None:
                self.notify.listen()  # before anybody can have something to say
            await self._drive(steps.start())
        except BaseException as error:
            translate(error)
            raise

    async def wait(self) -> Exit:
        """See supervisor.container.Container."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch_memory)
            end = await self._reap()
            nursery.cancel_scope.cancel()
        await self.output.ended()
        return end

    def signal(self, number: int) -> None:
        """See supervisor.container.Container."""
        if self._exit is None and self._held is not None and self._held.pidfd >= 0:
            try:
                signal.pidfd_send_signal(self._held.pidfd, number)
            except ProcessLookupError:
                pass

    async def kill(self) -> None:
        """See supervisor.container.Container."""
        try:
            await self._kill_everything()
        except BaseException as error:
            translate(error)
            raise

    async def delete(self) -> None:
        """See supervisor.container.Container."""
        if self._held is None or self._removed:
            self._close()
            return
        try:
            with trio.CancelScope(shield=True):
                await self._drive(steps.destroy())
        except NoSuchContainer:
            pass  # somebody else was faster: `creche delete`
        except BaseException as error:
            translate(error)
            raise
        self._close()

    def hurry(self) -> None:
        """See supervisor.container.Container."""
        self._hurried = True
        self._hooks.cancel()

    def last_output(self) -> list[str]:
        """See supervisor.container.Container."""
        return self.output.last()

    def limit(self, new: Limits | None) -> None:
        """These limits hold from now on."""
        old, self.limits = self.limits, new
        if old is not None and new is not None and self._held is not None:
            limits.change(self._held, old, new, self._log)

    # --- what monitors need ----------------------------------------------------------------

    def inside(self) -> Inside:
        """The way in, once it has been created."""
        held = self._held
        assert held is not None
        state = held.state
        return Inside(
            self._launcher,
            state["pid"],
            held.pidfd,
            state["config"],
            held.cgroup(),
            self._request.keyring(),
            held.hook_state("running"),
            self.gate,
        )

    def has(self, pid: int) -> bool:
        """Whether this process, in our pid namespace, is one of the container's."""
        return self._held is not None and is_member(pid, self._held.cgroup().paths, self._layout)

    def keep_notify(self, fd: int) -> None:
        """Keep its notify socket: what it says while there is no creched waits in there."""
        if self._held is not None and self.descriptors is not None:
            self.descriptors.keep(name_of("notify", self._held.state), fd)

    # --- the driver ------------------------------------------------------------------------

    async def _drive(self, protocol: steps.Steps) -> None:
        """Perform every step; a failure goes into the protocol, which undoes what has to be.

        What is done then is not to be cancelled again: only hooks can be hurried.
        """
        async with self.gate.inside():
            await self._drive_inside(protocol)

    async def _drive_inside(self, protocol: steps.Steps) -> None:
        held = self._held
        assert held is not None
        # Somebody else may hold the lock for as long as a hook of his takes. Shielded, because once
        # the id is claimed only the protocol knows how to give it back.
        if not held.directory.lock(wait=False):
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(held.directory.lock)
        undoing = False
        try:
            step = next(protocol)
            while True:
                try:
                    with trio.CancelScope(shield=undoing):
                        await self._perform(held, step)
                except BaseException as error:  # noqa: BLE001  thrown on, into the protocol
                    undoing = True
                    step = protocol.throw(error)
                else:
                    step = protocol.send(None)
        except StopIteration:
            return
        finally:
            held.directory.unlock()

    async def _perform(self, held: lifecycle.Container, step: steps.Step) -> None:
        match step:
            case steps.SaveState():
                held.save(step.status)
            case steps.Launch():
                await self._launch(held)
            case steps.Tell():
                held.tell(step.kind, step.status)
            case steps.Expect():
                while not held.understand(await _receive(held), step.kind):
                    pass
            case steps.RunHooks():
                await self._run_hooks(held, step)
            case steps.HandOver():
                pass
            case steps.ReleaseInit():
                held.release_init()
            case steps.AwaitExec():
                while (received := await _receive(held)) is not None:
                    held.understand(received, "")
                self.started_at = trio.current_time()
                held.program_runs()
            case steps.Kill():
                held.hang_up()
                await self._kill_everything()
            case steps.RemoveCgroup():
                await self._remove_cgroup(held)
            case steps.RemoveState():
                held.directory.remove()
                self._removed = True
            case steps.Warn():
                self._log.warning(step.text)
            case _:
                raise AssertionError(f"unknown step {step!r}")

    async def _launch(self, held: lifecycle.Container) -> None:
        """Through the launcher. The new process is a child of ours."""
        plan = self._plan
        assert plan is not None
        ours, theirs = pair()
        owned = [theirs.fileno()]
        try:
            owned.append(held.listen())
            answer = await self._launcher.order(
                {
                    "type": "launch",
                    "cgroup": held.planned_cgroup().paths,
                    "cgroup_mounts": held.cgroup_mounts(),
                    "no_pivot": False,
                    "keyring": held.keyring(),
                },
                [*owned, *self._request.stdio],
                plan,
            )
            held.own_cgroup(answer["cgroup"])
            held.adopt_init(answer["pid"])
            held.channel = ours
            if self.descriptors is not None:
                self.descriptors.keep(name_of("pid", held.state), held.pidfd)
                for stream, fd in self.output.descriptors().items():
                    self.descriptors.keep(name_of(stream, held.state), fd)
            self.output.given()
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
            for fd in owned[1:]:
                os.close(fd)
        self.pid = held.state["pid"]
        self.start_time = held.state["start_time"]
        for text in answer["warnings"]:
            self._log.warning(str(text))
        if answer["helper"]:
            await _reap_helper(answer["helper"])

    async def _run_hooks(self, held: lifecycle.Container, step: steps.RunHooks) -> None:
        hooks = held.hooks(step.stage)
        if not hooks:
            return
        state = dumps(held.hook_state(step.status)).encode()
        with trio.CancelScope() as self._hooks:
            if self._hurried:
                self._hooks.cancel()
            errors = await run_hooks(
                step.stage,
                hooks,
                state,
                cwd=held.hook_directory(),
                default_timeout=self._hook_timeout,
                keep_going=step.keep_going,
                first=held.hooks_ended(step.stage),
                ended=lambda count: held.note_hooks(step.stage, count),
            )
            for error in errors:
                self._log.hook_failed(error)
        if self._hooks.cancelled_caught:
            self._log.warning(f"{step.stage} hooks were cut short")

    async def _reap(self) -> Exit:
        """How init ended, once: the first to ask reaps it, whoever comes later is told."""
        async with self._reaping:
            if self._exit is None:
                assert self._held is not None
                end = await self._ended(self._held)
                # Before anything of it is removed, or the count is gone.
                oom_kills = self._held.cgroup().oom_kills()
                self._exit = Exit(end.code, end.signal, end.core, oom_kills)
            return self._exit

    async def _ended(self, held: lifecycle.Container) -> Exit:
        return await process_exit(held.pidfd, held.state["pid"], held.state["start_time"])

    async def _kill_everything(self) -> None:
        held = self._held
        assert held is not None
        self.signal(signal.SIGKILL)
        cgroup = held.cgroup()
        stuck = False
        if cgroup.paths and cgroup.populated():
            # Where there is no cgroup.kill this freezes first, and waits for that.
            await trio.to_thread.run_sync(cgroup.signal_all, int(signal.SIGKILL))
        with trio.move_on_after(KILL_TIMEOUT) as limit:
            if held.pidfd >= 0:
                await self._reap()
            events = cgroup.events_files().get("cgroup.events") if cgroup.paths else None
            if events is not None:
                with self._watcher.following(events) as changes:
                    while cgroup.populated():
                        await changes.wait()
        stuck = limit.cancelled_caught
        if cgroup.paths and not stuck and not cgroup.kill_all(0.0):
            stuck = not await trio.to_thread.run_sync(cgroup.kill_all, KILL_TIMEOUT)
        if stuck:
            raise CrecheError(f"processes of {self.id} cannot be killed (they wait in the kernel)")

    async def _remove_cgroup(self, held: lifecycle.Container) -> None:
        try:
            if held.state["cgroup"]:
                held.cgroup().remove(0.0)
        except CrecheError:
            await trio.to_thread.run_sync(held.remove_cgroup)
        else:
            held.remove_cgroup()

    async def _watch_memory(self) -> None:
        """Tell of OOM kills while it runs (cgroup v2; on v1 the count is read at the end)."""
        assert self._held is not None
        path = self._held.cgroup().events_files().get("memory.events")
        if path is None:
            return
        seen = 0
        with self._watcher.following(path) as changes:
            while True:
                await changes.wait()
                count = read_counters(path).get("oom_kill", 0)
                if count > seen:
                    seen = count
                    self._log.oom(count)

    def _close(self) -> None:
        held, self._held = self._held, None
        if held is not None and self.descriptors is not None:
            for kind in (*STREAMS, "notify"):
                self.descriptors.drop(name_of(kind, held.state))
        self.output.close()
        if self.notify is not None:
            self.notify.close()
        if held is None:
            return
        if held.pidfd >= 0:
            if self.descriptors is not None:
                self.descriptors.drop(name_of("pid", held.state))
            close_pidfd(held.pidfd)
            held.pidfd = -1
        held.close()


async def _receive(held: lifecycle.Container) -> tuple[dict[str, object], list[int]] | None:
    channel = held.channel
    assert channel is not None
    await trio.lowlevel.wait_readable(channel.fileno())
    return channel.receive()


async def _reap_helper(pid: int) -> None:
    """The process that entered other namespaces to clone from there; it is dead or about to be."""
    pidfd = os.pidfd_open(pid)
    try:
        with trio.CancelScope(shield=True):
            await process_exit(pidfd)
    finally:
        close_pidfd(pidfd)


def translate(error: BaseException) -> None:
    """Raise what the runtime and hooks raise as what the supervisor knows."""
    if isinstance(error, HookError):
        raise ContainerError(Cause.HOOK, str(error)) from error
    if isinstance(error, NoSuchContainer):
        raise ContainerError(Cause.SETUP, "somebody else has deleted the container") from error
    if isinstance(error, InitError) and str(error).startswith("error running"):
        raise ContainerError(Cause.HOOK, str(error)) from error
    if isinstance(error, (CrecheError, OSError)):
        raise ContainerError(Cause.SETUP, str(error)) from error
