"""A container that an earlier creched made, looked after again."""

from __future__ import annotations

import errno
from typing import Any

import trio

from runtime.errors import CrecheError, KernelError
from runtime.lifecycle import container as lifecycle
from runtime.lifecycle import protocol as steps
from runtime.lifecycle.request import CreateRequest
from supervisor import exits
from supervisor.container import Exit
from supervisor.containerlog import Log
from supervisor.driver import DrivenContainer, translate
from supervisor.launching import LauncherClient
from supervisor.watch import Watcher

HOOK_TIMEOUT = 30.0
"""Seconds for a hook that says nothing of its own, while nobody knows its workload's settings."""


class AdoptedContainer(DrivenContainer):
    """held: as it was found; its pidfd, or -1 if its first process is gone already.

    started_at: trio time, if its program ran by then.
    """

    def __init__(
        self,
        held: lifecycle.Container,
        layout: Any,
        launcher: LauncherClient,
        watcher: Watcher,
        log: Log,
        started_at: float | None,
    ) -> None:
        state = held.state
        request = CreateRequest(
            held.directory.root, held.directory.id, state["bundle"], state["config"], log
        )
        super().__init__(request, None, layout, launcher, watcher, log, HOOK_TIMEOUT)
        self._held = held
        self.pid = state["pid"] or None
        self.start_time = state["start_time"] or None
        self.started_at = started_at

    @property
    def saved(self) -> str:
        """The status that was saved last: creating, created, running or deleting."""
        return "" if self._held is None else self._held.state["status"]

    @property
    def alive(self) -> bool:
        """Whether its first process was there when it was found."""
        return self._held is not None and self._held.pidfd >= 0

    def ended_as(self, end: Exit) -> None:
        """It is known already how its first process ended."""
        self._exit = end

    def warn(self, text: str) -> None:
        """An event about it."""
        self._log.warning(text)

    async def create(self) -> None:
        """It is there."""
        raise AssertionError("an adopted container has been created")

    async def start(self) -> None:
        """Whatever of it has not been done yet. See supervisor.container.Container."""
        try:
            if not self.alive:
                raise CrecheError("its first process ended while creched was away")
            await self._drive(steps.start())
        except BaseException as error:
            translate(error)
            raise

    async def _perform(self, held: lifecycle.Container, step: steps.Step) -> None:
        match step:
            case steps.ReleaseInit():
                try:
                    held.release_init()
                except KernelError as error:
                    # Init listens no more: it was told already, and whoever told it was killed.
                    if error.number not in (errno.ECONNREFUSED, errno.ENOENT):
                        raise
            case steps.AwaitExec() if held.channel is None:
                if self.started_at is None:
                    self.started_at = trio.current_time()
                held.program_runs()
            case _:
                await super()._perform(held, step)

    async def _ended(self, held: lifecycle.Container) -> Exit:
        if held.pidfd >= 0:
            return await super()._ended(held)
        return exits.ended(held.state["pid"], held.state["start_time"])
