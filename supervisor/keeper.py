"""Looks after one workload: one task that waits for events and takes the steps of the table.

Whatever takes time (supervisor/effects.py) runs as a child task and posts an event when it is
through; the events are handled one after the other. So the order of things is that of
supervisor/table.py and nothing else. The task lives as long as its workload is declared: a
workload that has ended can be started again.
"""

from __future__ import annotations

import math
import traceback
from typing import NamedTuple

import trio

from supervisor import actions, effects, policy, reporting
from supervisor.effects import Timer
from supervisor.machine import ALIVE, QUIET, RESTING, TIMED, Action, Event, Result, State
from supervisor.policy import Cause, Ending, History
from supervisor.record import Intent
from supervisor.run import Run
from supervisor.table import IGNORED, TABLE, Step
from supervisor.workload.model import Workload
from supervisor.world import World

CLEAN_UP_TIMEOUT = 30.0
"""Seconds that cleaning up after a fault of the supervisor itself may take."""


class Message(NamedTuple):
    """An event on its way to the task."""

    event: Event
    cause: str = ""
    reason: str = ""
    token: object = None
    again: bool | None = None


class Keeper:
    """State, history and result of one workload; `run` is its task."""

    __slots__ = (
        "_asked", "_inbox", "_messages", "_next", "again", "attempt", "current", "decision", "exit",
        "history", "intent", "left", "next_attempt_at", "result", "since", "state", "tasks",
        "timer", "why", "workload", "world",
    )  # fmt: skip

    def __init__(self, workload: Workload, world: World) -> None:
        self.workload = workload
        self.world = world
        self.state = State.IDLE
        self.result = Result.NONE
        self.intent = Intent.NONE
        self.attempt = 0
        self.history = History()
        self.current: Run | None = None
        """The run that is there, or was the last one."""
        self.exit: Ending | None = None
        """How the last run ended."""
        self.decision: policy.Decision | None = None
        self.next_attempt_at: float | None = None
        self.again: tuple[str, str] | None = None
        """It is started again once it has ended: cause and reason."""
        self.since = world.log.now()
        self.why = ""
        self.left: tuple[State, float, str] | None = None
        """State, `since` and `why` as an earlier creched left them: still true if it goes on so."""
        self.timer: Timer | None = None
        self.tasks: trio.Nursery | None = None
        self._asked = ("", "")
        self._next: Workload | None = None
        self._messages, self._inbox = trio.open_memory_channel[Message](math.inf)

    @property
    def name(self) -> str:
        """Of the workload."""
        return self.workload.name

    def post(
        self,
        event: Event,
        cause: str = "",
        reason: str = "",
        token: object = None,
        again: bool | None = None,
    ) -> None:
        """Hand an event to the task.

        `cause` and `reason` go into what is reported. With a `token`, a run or a timer, the event
        is dropped if that is not the current one any more. `again`: whether it is to be started
        once it has ended.
        """
        self._messages.send_nowait(Message(event, cause, reason, token, again))
        self.world.woken(self)

    def now(self) -> float:
        """Seconds since boot: the clock of events, records and the policy."""
        return self.world.log.now()

    def save(self) -> None:
        """Have the record say how it stands."""
        self.world.records.save(reporting.record(self))

    def change(self, workload: Workload) -> None:
        """Its settings are others from now on, those of a run that is there included."""
        self.workload = workload
        self._next = None
        if self.state in ALIVE and self.current is not None:
            actions.monitor(self, self.current)
            if self.state is State.UNREADY and workload.settings.ready.on == "start":
                self.post(Event.READY, "change", "its settings have changed", self.current)
        self.save()

    def change_at_next_start(self, workload: Workload) -> None:
        """Its settings are others from the next start on."""
        self._next = workload

    @property
    def quiet(self) -> bool:
        """Nothing is going on, and nothing will before somebody or something else acts."""
        settled = self.state in QUIET and not self.again
        return settled and self._inbox.statistics().current_buffer_used == 0

    async def run(self) -> None:
        """Until cancelled. Raises nothing else."""
        while True:
            try:
                async with trio.open_nursery() as self.tasks:
                    while True:
                        self._take(await self._inbox.receive())
                        self.world.moved(self)
            except Exception as error:  # noqa: BLE001  a mistake here must not end the others
                await self._fault(error)
                self.world.moved(self)

    # --- one step --------------------------------------------------------------------------

    def _take(self, message: Message) -> None:
        event, cause, reason, token, again = message
        if token is not None and token is not self.current and token is not self.timer:
            return
        if again is not None:
            # What is stopped by hand is not started by what happens to others.
            self.again = (cause, reason) if again and self.intent is not Intent.DOWN else None
        self._turn(event, cause, reason)
        if self.again and (self.state in RESTING or self.state in (State.BACKOFF, State.COOLDOWN)):
            (cause, reason), self.again = self.again, None
            self._turn(Event.START, cause, reason)

    def _turn(self, event: Event, cause: str, reason: str) -> None:
        pending: Event | None = event
        while pending is not None:
            cell = TABLE[self.state][pending]
            if isinstance(cell, Step) and cell.action is Action.CREATE:
                if self._next is not None:
                    self.workload, self._next = self._next, None
                waiting_for = self.world.waiting_for(self)
                if waiting_for:
                    cell = TABLE[self.state][Event.WAIT]
                    cause, reason = "order", f"waits for {', '.join(waiting_for)}"
            if cell is IGNORED:
                return
            if not isinstance(cell, Step):
                raise RuntimeError(f"event {pending} is impossible in state {self.state}")
            if pending in (Event.STOP, Event.HURRY):
                self._asked = cause, reason
            elif cell.report == "stopped":
                cause, reason = self._asked  # which is why it ended
                if pending is Event.CLEANED and self.exit is not None:
                    good = policy.succeeded(self.workload.settings.restart, self.exit)
                    self.result = Result.SUCCESS if good else Result(self.exit.cause.value)
            self._step(cell, pending, cause, reason)
            pending = None
            if cell.action is Action.DECIDE:
                pending, cause, reason = self._decide()

    def _step(self, step: Step, event: Event, cause: str, reason: str) -> None:
        old, self.state = self.state, step.next
        if old is not step.next:
            left, self.left = self.left, None
            goes_on = left is not None and left[0] is step.next
            self.since, self.why = left[1:] if left and goes_on else (self.now(), reason)
        if step.next not in TIMED:
            actions.set_timer(self, None)
        if step.next not in (State.BACKOFF, State.COOLDOWN):
            self.next_attempt_at = None  # it is there, waits for others, or does not come
        self._note(event, reason)
        if step.action is Action.CREATE:
            self._prepare()
        elif step.action is Action.AGAIN:
            self.again = cause, reason
        self.save()
        values = reporting.values(self, old, cause, reason)
        if step.report == "stopping":
            values["signal"] = policy.signal_name(self.workload.settings.stop.signal)
        told = self.world.log.emit_from(step.report, values)
        actions.act(self, step.action, event)
        decision = self.decision
        if event is Event.GIVE_UP and isinstance(decision, policy.GiveUp):
            self.world.gave_up(self, decision, told)
        self.world.moved(self)

    def _note(self, event: Event, reason: str) -> None:
        """What an event says about the run, before it is reported."""
        run = self.current
        if run is None:
            return
        if event is Event.STARTED:
            run.ready_at = run.container.started_at
        elif event is Event.READY:
            run.ready_at = trio.current_time()
        elif event in (Event.HEALTHY, Event.UNHEALTHY):
            run.health = event.value
        elif event in (Event.EXITED, Event.CREATE_FAILED, Event.START_FAILED):
            self.exit = run.ending
        if event in _CAUSES and self.state is State.FAILING:
            run.fails(_CAUSES[event], reason)

    def _prepare(self) -> None:
        """A new run begins."""
        self.attempt += 1
        left = self.current if self.current is not None and self.current.left_behind else None
        container = self.world.engine.container(self.workload, self.world.log.emit)
        self.current = Run(container, left)

    def _decide(self) -> tuple[Event, str, str]:
        """The policy's answer, as an event with its cause and reason."""
        ending = self.exit or Ending(Cause.UNKNOWN)
        restart, cause = self.workload.settings.restart, ending.cause.value
        decision = policy.decide(restart, self.history, ending, self.now(), self.world.jitter())
        decision = self.decision = self.world.review(self, decision)
        self.result = Result(cause)
        match decision:
            case policy.Restart():
                self.history, self.next_attempt_at = decision.history, decision.at
                return Event.RESTART, cause, decision.reason
            case policy.CoolDown():
                self.history, self.next_attempt_at = decision.history, decision.at
                self.result = Result.LIMIT
                return Event.COOL_DOWN, cause, decision.reason
            case policy.Done():
                self.result = Result.SUCCESS
                return Event.FINISH, cause, decision.reason
            case policy.GiveUp():
                if decision.limit_reached:
                    self.result = Result.LIMIT
                return Event.GIVE_UP, self.result.value, decision.reason

    # --- what goes wrong -------------------------------------------------------------------

    def warn(self, message: str) -> None:
        """Report something about its container."""
        self.world.log.emit(
            "container-warning",
            workload=self.name,
            container=None if self.current is None else self.current.container.id,
            message=message,
        )

    async def _fault(self, error: Exception) -> None:
        """A mistake in the supervisor: say so, clean up as well as can be, leave it at that."""
        old, self.state = self.state, State.FAILED
        self.result, self.again, self.timer = Result.FAULT, None, None
        self.why, self.since = "a mistake in creched", self.now()
        values = reporting.values(self, old, "fault", self.why)
        values["error"] = type(error).__name__
        values["message"] = str(error)
        values["traceback"] = "".join(traceback.format_exception(error))
        self.world.log.emit_from("workload-fault", values)
        self.save()
        run, self.current = self.current, None
        if run is None:
            return
        with trio.move_on_after(CLEAN_UP_TIMEOUT, shield=True):
            try:
                await effects.remove(run)
            except Exception as second:  # noqa: BLE001  nothing more can be done about it
                self.warn(f"could not be removed: {second}")


_CAUSES = {
    Event.UNHEALTHY: Cause.UNHEALTHY,
    Event.WATCHDOG: Cause.WATCHDOG,
    Event.START_TIMEOUT: Cause.START_TIMEOUT,
}
