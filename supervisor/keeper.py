"""Looks after one workload: one task that waits for events and takes the steps of the table.

Whatever takes time (supervisor/effects.py) runs as a child task and posts an event when it is
through; the events are handled one after the other. So the order of things is that of
supervisor/machine.py and nothing else. The task lives as long as its workload is declared: a
workload that has ended can be started again.
"""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import trio

from supervisor import effects, machine, policy, reporting
from supervisor.container import Engine
from supervisor.effects import Timer
from supervisor.events import EventLog
from supervisor.machine import Action, Event, Result, State
from supervisor.monitor.types import Monitor, Signal
from supervisor.policy import Cause, Ending, History
from supervisor.record import Intent, Records
from supervisor.run import Run
from supervisor.workload.model import Workload

CLEAN_UP_TIMEOUT = 30.0
"""Seconds that cleaning up after a fault of the supervisor itself may take."""


class Message(NamedTuple):
    """An event on its way to the task."""

    event: Event
    cause: str = ""
    reason: str = ""
    token: object = None
    again: bool | None = None


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all keepers of a nursery share."""

    engine: Engine
    log: EventLog
    records: Records
    jitter: Callable[[], float]
    waiting_for: Callable[[str], tuple[str, ...]]
    """What keeps the workload of this name from being started now."""
    woken: Callable[[Keeper], None]
    """It has been sent an event."""
    moved: Callable[[Keeper], None]
    """It has handled one."""
    gave_up: Callable[[Keeper, policy.GiveUp], None]


class Keeper:
    """State, history and result of one workload; `run` is its task."""

    __slots__ = (
        "_again", "_asked", "_decision", "_inbox", "_messages", "_next", "_tasks", "_timer",
        "_world", "attempt", "exit", "history", "intent", "next_attempt_at", "result", "run_",
        "since", "state", "waiting_for", "why", "workload",
    )  # fmt: skip

    def __init__(self, workload: Workload, world: Surroundings) -> None:
        self.workload = workload
        self.state = State.IDLE
        self.result = Result.NONE
        self.intent = Intent.NONE
        self.attempt = 0
        self.history = History()
        self.run_: Run | None = None
        """The current run, or the last one."""
        self.exit: Ending | None = None
        """How the last run ended."""
        self.next_attempt_at: float | None = None
        self.since = world.log.now()
        self.why = ""
        self.waiting_for: tuple[str, ...] = ()
        self._world = world
        self._next: Workload | None = None
        self._decision: policy.Decision | None = None
        self._again: tuple[str, str] | None = None
        self._asked = ("", "")
        self._timer: Timer | None = None
        self._tasks: trio.Nursery | None = None
        self._messages, self._inbox = trio.open_memory_channel[Message](math.inf)

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
        self._world.woken(self)

    def now(self) -> float:
        """Seconds since boot: the clock of events, records and the policy."""
        return self._world.log.now()

    @property
    def boot(self) -> str:
        """Which boot that counts from."""
        return self._world.log.boot

    def save(self) -> None:
        """Have the record say how it stands."""
        self._world.records.save(reporting.record(self))

    def change(self, workload: Workload) -> None:
        """Its settings are others from now on, those of a run that is there included."""
        self.workload = workload
        self._next = None
        if self.state in machine.ALIVE and self.run_ is not None:
            self.run_.monitoring.cancel()
            self._monitor(self.run_)
        self.save()

    def change_at_next_start(self, workload: Workload) -> None:
        """Its settings are others from the next start on."""
        self._next = workload

    @property
    def resting(self) -> bool:
        """Nothing is going on, and nothing will before somebody acts."""
        quiet = self.state in machine.RESTING or self.state is State.WAITING
        return quiet and self._inbox.statistics().current_buffer_used == 0

    async def run(self) -> None:
        """Until cancelled. Raises nothing else."""
        while True:
            try:
                async with trio.open_nursery() as self._tasks:
                    while True:
                        self._take(await self._inbox.receive())
                        self._world.moved(self)
            except Exception as error:  # noqa: BLE001  a mistake here must not end the others
                await self._fault(error)
                self._world.moved(self)

    # --- one step --------------------------------------------------------------------------

    def _take(self, message: Message) -> None:
        event, cause, reason, token, again = message
        if token is not None and token is not self.run_ and token is not self._timer:
            return
        if again is not None:
            self._again = (cause, reason) if again else None
        self._turn(event, cause, reason)
        if self._again is not None and (
            self.state in machine.RESTING or self.state in (State.BACKOFF, State.COOLDOWN)
        ):
            (cause, reason), self._again = self._again, None
            self._turn(Event.START, cause, reason)

    def _turn(self, event: Event, cause: str, reason: str) -> None:
        pending: Event | None = event
        while pending is not None:
            cell = machine.TABLE[self.state][pending]
            if isinstance(cell, machine.Step) and cell.action is Action.CREATE:
                self.waiting_for = self._world.waiting_for(self.workload.name)
                if self.waiting_for:
                    cell = machine.TABLE[self.state][Event.WAIT]
                    cause, reason = "order", f"waits for {', '.join(self.waiting_for)}"
            if cell is machine.IGNORED:
                return
            if not isinstance(cell, machine.Step):
                raise RuntimeError(f"event {pending} is impossible in state {self.state}")
            old, self.state = self.state, cell.next
            if pending in (Event.START, Event.STOP, Event.HURRY):
                self._asked = cause, reason
            elif self.state is State.STOPPED and pending is not Event.RESET:
                cause, reason = self._asked  # which is why it ended
            if old is not self.state:
                self.since = self.now()
                self.why = reason
            if self.state not in machine.TIMED:
                self._set_timer(None)
            self._note(pending, reason)
            if cell.action is Action.CREATE:
                self._prepare()
            self.save()
            self._report(cell.report, old, cause, reason)
            pending = None
            self._act(cell.action)
            if cell.action is Action.DECIDE:
                pending, cause, reason = self._decide()

    def _note(self, event: Event, reason: str) -> None:
        """What an event says about the run, before it is reported."""
        run = self.run_
        if run is None:
            return
        if event in _HELD and self._tasks is not None:
            # Whatever comes of it, from now on it has an end.
            self._tasks.start_soon(effects.wait, run, self.post)
        elif event is Event.STARTED:
            run.ready_at = run.container.started_at
        elif event is Event.READY:
            run.ready_at = trio.current_time()
        elif event in (Event.HEALTHY, Event.UNHEALTHY):
            run.health = event.value
        elif event is Event.EXITED:
            self.exit = run.ending
        if event in _CAUSES and self.state is State.FAILING:
            run.fails(_CAUSES[event], reason)

    def _prepare(self) -> None:
        """A new run begins."""
        if self._next is not None:
            self.workload, self._next = self._next, None
        self.attempt += 1
        self.next_attempt_at = None
        self.run_ = Run(self._world.engine.container(self.workload, self._world.log.emit))

    def _report(self, name: str, old: State, cause: str, reason: str) -> None:
        """One step, one event."""
        values = reporting.values(self, self._decision, old, cause, reason)
        if name == "stopping":
            values["signal"] = policy.signal_name(self.workload.settings.stop.signal)
        self._world.log.emit_from(name, values)

    def _act(self, action: Action) -> None:
        """Begin what the step asks for."""
        run, start = self.run_, self._start
        settings = self.workload.settings
        if action is Action.DELAY:
            assert self.next_attempt_at is not None
            after = self.next_attempt_at - self.now()
            self._set_timer(Timer(trio.current_time() + after, Event.DELAY_OVER))
        elif action is Action.RESET:
            self.history = History(restarts=self.history.restarts)
        elif action is Action.AGAIN:
            self._again = ("request", self.why)
        if run is None:
            return
        if action in (Action.CREATE, Action.START):
            run.effect = trio.CancelScope()
        match action:
            case Action.CREATE:
                operation = run.container.create
                start(effects.attempt, run, operation, Event.CREATED, Event.CREATE_FAILED)
            case Action.START:
                good = Event.STARTED if settings.ready.on == "start" else Event.STARTED_UNREADY
                start(effects.attempt, run, run.container.start, good, Event.START_FAILED)
            case Action.WATCH:
                self._monitor(run)
                if self.state is State.UNREADY and settings.ready.timeout:
                    began = run.container.started_at or trio.current_time()
                    limit = settings.ready.timeout
                    reason = f"was not ready within {limit:g} s"
                    cause = Cause.START_TIMEOUT.value
                    self._set_timer(Timer(began + limit, Event.START_TIMEOUT, cause, reason))
            case Action.CANCEL:
                run.effect.cancel()
            case Action.SIGNAL:
                run.container.signal(settings.stop.signal)
                limit = settings.stop.timeout
                reason = f"did not end within {limit:g} s"
                timer = Timer(trio.current_time() + limit, Event.TIMEOUT, "timeout", reason)
                self._set_timer(timer)
            case Action.KILL:
                assert self._tasks is not None
                self._tasks.start_soon(effects.kill, run, self._warn)
            case Action.CLEAN | Action.KILL_AND_CLEAN:
                start(effects.clean, run)
            case Action.HURRY:
                run.container.hurry()

    def _start(self, effect: Callable[..., object], *arguments: object) -> None:
        assert self._tasks is not None
        self._tasks.start_soon(effect, *arguments, self.post)  # type: ignore[arg-type]

    def _set_timer(self, timer: Timer | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = timer
        if timer is not None:
            self._start(timer.run)

    def _decide(self) -> tuple[Event, str, str]:
        """The policy's answer, as an event with its cause and reason."""
        run = self.run_
        assert run is not None
        self.exit = run.ending
        restart = self.workload.settings.restart
        decision = policy.decide(
            restart, self.history, run.ending, self.now(), self._world.jitter()
        )
        self._decision = decision
        cause = run.ending.cause.value
        match decision:
            case policy.Restart():
                self.history = decision.history
                self.next_attempt_at = decision.at
                return Event.RESTART, cause, decision.reason
            case policy.Done():
                self.result = Result.SUCCESS
                return Event.FINISH, cause, decision.reason
            case policy.GiveUp():
                self.result = Result.LIMIT if decision.limit_reached else Result(cause)
                if decision.limit_reached:
                    self._world.gave_up(self, decision)
                return Event.GIVE_UP, self.result.value, decision.reason

    # --- what the monitor says -------------------------------------------------------------

    def _monitor(self, run: Run) -> None:
        monitor = self._world.engine.monitor(self.workload, run.container)
        if monitor is not None:
            run.monitoring = trio.CancelScope()
            assert self._tasks is not None
            self._tasks.start_soon(self._watch, monitor, run)

    async def _watch(self, monitor: Monitor, run: Run) -> None:
        with run.monitoring:
            await monitor.watch(run.container, lambda signal, text: self._told(run, signal, text))

    def _told(self, run: Run, signal: Signal, text: str) -> None:
        if signal in _EVENTS:
            event = _EVENTS[signal]
            if event.value != run.health:  # health is told when it changes
                self.post(event, event.value, text or event.value, run)
        elif run is self.run_ and signal is Signal.EXTEND:
            if self._timer is not None and self._timer.event is not Event.DELAY_OVER:
                self._timer.extend(trio.current_time() + int(text) / 1e6)
        else:
            run.text = text or signal.value

    # --- what goes wrong -------------------------------------------------------------------

    def _warn(self, message: str) -> None:
        self._world.log.emit(
            "container-warning",
            workload=self.workload.name,
            container=None if self.run_ is None else self.run_.container.id,
            message=message,
        )

    async def _fault(self, error: Exception) -> None:
        """A mistake in the supervisor: say so, clean up as well as can be, leave it at that."""
        old, self.state = self.state, State.FAILED
        self.result, self._again, self._timer = Result.FAULT, None, None
        self.why, self.since = "a mistake in creched", self.now()
        values = reporting.values(self, None, old, "fault", self.why)
        values["error"] = type(error).__name__
        values["message"] = str(error)
        values["traceback"] = "".join(traceback.format_exception(error))
        self._world.log.emit_from("workload-fault", values)
        self.save()
        run, self.run_ = self.run_, None
        if run is None:
            return
        with trio.move_on_after(CLEAN_UP_TIMEOUT, shield=True):
            try:
                await run.container.delete()
            except Exception as second:  # noqa: BLE001  nothing more can be done about it
                self._warn(f"could not be removed: {second}")


_HELD = frozenset({Event.CREATED, Event.ADOPT_CREATED, Event.ADOPT_UNREADY, Event.ADOPT_RUNNING})
_CAUSES = {
    Event.UNHEALTHY: Cause.UNHEALTHY,
    Event.WATCHDOG: Cause.WATCHDOG,
    Event.START_TIMEOUT: Cause.START_TIMEOUT,
}
_EVENTS = {
    Signal.READY: Event.READY,
    Signal.HEALTHY: Event.HEALTHY,
    Signal.UNHEALTHY: Event.UNHEALTHY,
    Signal.WATCHDOG: Event.WATCHDOG,
}
