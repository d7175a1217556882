"""Looks after one workload: one task that waits for events and takes the steps of the table.

Whatever takes time (creating, starting, waiting for the exit, deleting, delays) runs as a child
task and posts an event when it is through; the events are handled one after the other. So the
order of things is that of supervisor/machine.py and nothing else.
"""

from __future__ import annotations

import math
import traceback
from collections.abc import Awaitable, Callable

import trio

from supervisor import machine, policy
from supervisor.container import Container, ContainerError, Engine, Exit
from supervisor.events import EventLog
from supervisor.machine import Action, Event, Result, State
from supervisor.policy import Cause, Ending, History
from supervisor.workload.model import Workload

CLEAN_UP_TIMEOUT = 30.0
"""Seconds that cleaning up after a fault of the supervisor itself may take."""


class Keeper:
    """State, history and result of one workload; `run` is its task."""

    def __init__(
        self,
        workload: Workload,
        engine: Engine,
        log: EventLog,
        jitter: Callable[[], float],
        stop_supervisor: Callable[[str], None],
    ) -> None:
        self.workload = workload
        self.state = State.IDLE
        self.result = Result.NONE
        self.attempt = 0
        self.history = History()
        self._engine = engine
        self._log = log
        self._jitter = jitter
        self._stop_supervisor = stop_supervisor
        self._container: Container | None = None
        self._ending = Ending(Cause.UNKNOWN)
        self._exit: Exit | None = None
        self._exit_seen = trio.Event()
        self._decision: policy.Decision | None = None
        self._delay_until = 0.0
        self._reason = ""
        self._cause = ""
        self._effect = trio.CancelScope()
        self._send, self._inbox = trio.open_memory_channel[tuple[Event, str, str]](math.inf)
        self.post(Event.START)

    def post(self, event: Event, cause: str = "", reason: str = "") -> None:
        """Hand an event to the task; `cause` and `reason` go into what is reported."""
        self._send.send_nowait((event, cause, reason))

    async def run(self) -> None:
        """Until the workload has ended for good. Raises nothing but cancellation."""
        try:
            async with trio.open_nursery() as effects:
                while self.state not in machine.FINAL:
                    event, cause, reason = await self._inbox.receive()
                    self._turn(effects, event, cause, reason)
                effects.cancel_scope.cancel()
        except Exception as error:  # noqa: BLE001  a mistake here must not end the others
            await self._fault(error)

    # --- one step --------------------------------------------------------------------------

    def _turn(self, effects: trio.Nursery, event: Event, cause: str, reason: str) -> None:
        pending: Event | None = event
        while pending is not None:
            cell = machine.TABLE[self.state][pending]
            if cell is machine.IGNORED:
                return
            if not isinstance(cell, machine.Step):
                raise RuntimeError(f"event {pending} is impossible in state {self.state}")
            old, self.state = self.state, cell.next
            if cell.action is Action.CREATE:
                self._prepare()
            if pending is Event.CREATED and self._container is not None:
                # Whatever comes of it, from now on it has an end.
                effects.start_soon(self._wait, self._container)
            self._report(cell.report, old, cause, reason)
            pending = self._act(effects, cell.action)
            if pending is not None:
                cause, reason = self._cause, self._reason

    def _prepare(self) -> None:
        """A new run begins."""
        self.attempt += 1
        self._container = self._engine.container(self.workload, self._log.emit)
        self._ending = Ending(Cause.UNKNOWN)
        self._exit = None
        self._exit_seen = trio.Event()

    def _report(self, name: str, old: State, cause: str, reason: str) -> None:
        """One step, one event."""
        ending, decision = self._ending, self._decision
        restart = decision if isinstance(decision, policy.Restart) else None
        end = self._exit or Exit()
        everything: dict[str, object] = {
            "workload": self.workload.name,
            "container": None if self._container is None else self._container.id,
            "old": old.value,
            "new": self.state.value,
            "status": machine.STATUS[self.state].value,
            "cause": cause or None,
            "reason": reason or None,
            "attempt": self.attempt,
            "pid": None if self._container is None else self._container.pid,
            "code": end.code,
            "signal": None if end.signal is None else policy.signal_name(end.signal),
            "core": end.core,
            "oom_kills": end.oom_kills,
            "uptime": round(ending.uptime, 6),
            "restarts": self.history.restarts,
            "after": None if restart is None else round(restart.after, 6),
            "at": None if restart is None else round(self._log.now() + restart.after, 6),
            "series": self.history.series,
            "action": decision.action.value if isinstance(decision, policy.GiveUp) else None,
            "result": self.result.value,
            "timeout": self.workload.settings.stop.timeout,
            "leftovers": reason or None,
        }
        if name == "stopping":
            everything["signal"] = policy.signal_name(self.workload.settings.stop.signal)
        self._log.emit_from(name, everything)

    def _act(self, effects: trio.Nursery, action: Action) -> Event | None:
        """Begin what the step asks for; an event that follows at once is returned."""
        container = self._container
        if action is Action.DECIDE:
            return self._decide()
        if action is Action.DELAY:
            effects.start_soon(self._delay)
        if container is None:
            return None
        if action in (Action.CREATE, Action.START):
            self._effect = trio.CancelScope()
        if action is Action.CREATE:
            effects.start_soon(self._attempt, container.create, Event.CREATED, Event.CREATE_FAILED)
        elif action is Action.START:
            effects.start_soon(self._attempt, container.start, Event.STARTED, Event.START_FAILED)
        elif action is Action.CANCEL:
            self._effect.cancel()
        elif action is Action.SIGNAL:
            container.signal(self.workload.settings.stop.signal)
            effects.start_soon(self._stop_timeout)
        elif action is Action.KILL:
            effects.start_soon(self._kill, container)
        elif action in (Action.CLEAN, Action.KILL_AND_CLEAN):
            effects.start_soon(self._clean, container)
        elif action is Action.HURRY:
            container.hurry()
        return None

    def _decide(self) -> Event:
        restart = self.workload.settings.restart
        self._decision = policy.decide(
            restart, self.history, self._ending, trio.current_time(), self._jitter()
        )
        self._cause = self._ending.cause.value
        self._reason = self._decision.reason
        if isinstance(self._decision, policy.Restart):
            self.history = self._decision.history
            self._delay_until = self._decision.at
            return Event.RESTART
        if isinstance(self._decision, policy.Done):
            self.result = Result.SUCCESS
            return Event.FINISH
        self.result = Result(self._cause)
        if self._decision.limit_reached:
            self.result = Result.LIMIT
            self._cause = "limit"
            if self._decision.action is policy.OnLimit.STOP_SUPERVISOR:
                self._stop_supervisor(f"{self.workload.name}: {self._decision.reason}")
        return Event.GIVE_UP

    # --- what takes time -------------------------------------------------------------------

    async def _attempt(
        self, operation: Callable[[], Awaitable[None]], good: Event, bad: Event
    ) -> None:
        """Create or start; a STOP cancels it."""
        with self._effect:
            try:
                await operation()
            except ContainerError as error:
                self._ending = Ending(error.cause, text=str(error))
                self.post(bad, error.cause.value, str(error))
            else:
                self.post(good)
            return
        self.post(bad, "request", "cut short")

    async def _wait(self, container: Container) -> None:
        end = await container.wait()
        began = container.started_at
        uptime = 0.0 if began is None else trio.current_time() - began
        self._exit = end
        ending = end.ending(uptime)
        # A failed hook stays the cause of an ending that it brought about.
        if self._ending.cause is Cause.UNKNOWN:
            self._ending = ending
        self._exit_seen.set()
        self.post(Event.EXITED, ending.cause.value, ending.describe())

    async def _stop_timeout(self) -> None:
        timeout = self.workload.settings.stop.timeout
        await trio.sleep(timeout)
        self.post(Event.TIMEOUT, "timeout", f"did not end within {timeout:g} s")

    async def _kill(self, container: Container) -> None:
        try:
            await container.kill()
        except ContainerError as error:
            self._log.emit(
                "container-warning",
                workload=self.workload.name,
                container=container.id,
                message=str(error),
            )

    async def _clean(self, container: Container) -> None:
        try:
            await container.delete()
        except ContainerError as error:
            self.result = Result.SETUP
            self.post(Event.CLEAN_FAILED, error.cause.value, str(error))
            return
        # Deleting kills what still lives: that end is reported before it is.
        await self._exit_seen.wait()
        self.post(Event.CLEANED)

    async def _delay(self) -> None:
        await trio.sleep_until(self._delay_until)
        self.post(Event.DELAY_OVER)

    async def _fault(self, error: Exception) -> None:
        """A mistake in the supervisor: say so, clean up as well as can be, leave it at that."""
        old, self.state = self.state, State.FAILED
        self.result = Result.FAULT
        container = self._container
        self._log.emit(
            "workload-fault",
            workload=self.workload.name,
            container=None if container is None else container.id,
            old=old.value,
            new=self.state.value,
            status=machine.STATUS[self.state].value,
            cause="fault",
            reason="a mistake in creched",
            result=self.result.value,
            error=type(error).__name__,
            message=str(error),
            traceback="".join(traceback.format_exception(error)),
        )
        if container is None:
            return
        with trio.move_on_after(CLEAN_UP_TIMEOUT, shield=True):
            try:
                await container.delete()
            except Exception as second:  # noqa: BLE001  nothing more can be done about it
                self._log.emit(
                    "container-warning",
                    workload=self.workload.name,
                    container=container.id,
                    message=f"could not be removed: {second}",
                )
