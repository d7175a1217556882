"""The monitor of one run: notify socket, readiness, health, watchdog, as its settings want it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

import trio

from runtime.errors import CrecheError
from supervisor.container import Container
from supervisor.inside import Unreachable
from supervisor.monitor.health import Health, Thresholds
from supervisor.monitor.message import Message
from supervisor.monitor.notify import NotifySocket
from supervisor.monitor.probes import Failure
from supervisor.monitor.types import Signal, Tell
from supervisor.workload.model import Settings
from supervisor.workload.sections.health import Health as Probing


class Prober(Protocol):
    """Takes one look at a container: supervisor.monitor.probes.Prober, or a simulated one."""

    @property
    def name(self) -> str:
        """What it does."""

    async def probe(self) -> None:
        """Raises Failure, Unreachable."""


def needed(settings: Settings) -> bool:
    """Whether there is anything to watch."""
    return settings.ready.on != "start" or settings.health is not None or listens(settings)


def listens(settings: Settings) -> bool:
    """Whether the container gets a notify socket."""
    return settings.ready.on == "notify" or settings.watchdog is not None


class ContainerMonitor:
    """See supervisor.monitor.types.Monitor. It can be asked more than once, one after the other.

    notify: the container's socket, if it has one. prober: makes what [health] asks for, once the
    container is there.
    """

    def __init__(
        self,
        settings: Settings,
        notify: NotifySocket | None,
        prober: Callable[[Probing], Prober],
    ) -> None:
        self._settings = settings
        self._notify = notify
        self._make_prober = prober
        self._sign = trio.Event()
        self._interval = 0.0 if settings.watchdog is None else settings.watchdog.interval
        self._ready = trio.Event()

    async def watch(self, container: Container, tell: Tell) -> None:
        """See supervisor.monitor.types.Monitor."""
        settings = self._settings
        tasks: list[Callable[[], Awaitable[None]]] = []
        if self._notify is not None:
            tasks.append(lambda: self._listen(tell))
        if settings.health is not None:
            probing = settings.health
            tasks.append(lambda: self._probe(container, probing, tell))
        if settings.ready.on == "delay":
            tasks.append(lambda: self._delay(container, tell))
        if settings.watchdog is not None:
            tasks.append(lambda: self._guard(tell))
        if settings.ready.on == "start" or (self._notify is not None and self._notify.ready):
            self._ready.set()
        async with trio.open_nursery() as nursery:
            for task in tasks:
                nursery.start_soon(task)

    def _become_ready(self, tell: Tell, why: str) -> None:
        if not self._ready.is_set():
            self._ready.set()
            if self._notify is not None:
                self._notify.ready = True
            tell(Signal.READY, why)

    async def _delay(self, container: Container, tell: Tell) -> None:
        await trio.sleep_until(_began(container) + self._settings.ready.delay)
        self._become_ready(tell, f"has run for {self._settings.ready.delay:g} s")

    # --- the notify socket -----------------------------------------------------------------

    async def _listen(self, tell: Tell) -> None:
        assert self._notify is not None
        try:
            self._notify.listen()
        except CrecheError as error:
            tell(Signal.STATUS, f"cannot be heard: {error}")
            return
        async for message in self._notify.messages():
            self._hear(message, tell)

    def _hear(self, message: Message, tell: Tell) -> None:
        for signal, text in message.signals:
            if signal is Signal.READY:
                if self._settings.ready.on == "notify":
                    self._become_ready(tell, "said READY=1")
            else:
                tell(signal, text)
        if self._settings.watchdog is None:
            return
        if message.interval:
            self._interval = message.interval / 1e6
        if message.trigger:
            tell(Signal.WATCHDOG, "said WATCHDOG=trigger")
        if message.alive or message.interval:
            self._sign.set()

    async def _guard(self, tell: Tell) -> None:
        await self._ready.wait()
        while True:
            self._sign = trio.Event()
            interval = self._interval
            with trio.move_on_after(interval):
                await self._sign.wait()
                continue
            tell(Signal.WATCHDOG, f"gave no sign of life within {interval:g} s")
            await self._sign.wait()

    # --- probes ----------------------------------------------------------------------------

    async def _probe(self, container: Container, settings: Probing, tell: Tell) -> None:
        prober = self._make_prober(settings)
        health = Health(Thresholds(settings.start_period, settings.failures, settings.successes))
        began = _began(container)
        while True:
            start = trio.current_time()
            try:
                await prober.probe()
            except Unreachable:
                signal, why = None, ""
            except Failure as error:
                why = str(error)
                signal = health.result(False, trio.current_time() - began)
            else:
                why = prober.name
                signal = health.result(True, trio.current_time() - began)
            if signal is Signal.UNHEALTHY:
                why = f"{health.failed} in a row: {why}" if health.failed > 1 else why
            if signal is not None:
                tell(signal, why)
            if signal is Signal.HEALTHY and self._settings.ready.on == "probe":
                self._become_ready(tell, why)
            await trio.sleep_until(max(start + settings.interval, trio.current_time()))


def _began(container: Container) -> float:
    """When the program was let go: it may run for long already, started by an earlier creched."""
    return trio.current_time() if container.started_at is None else container.started_at
