"""What a keeper does in a step: the actions of supervisor/table.py, begun and not waited for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from supervisor import effects
from supervisor.effects import Timer
from supervisor.machine import Action, Event, State
from supervisor.monitor.types import Monitor, Signal
from supervisor.policy import Cause, History
from supervisor.run import Run

if TYPE_CHECKING:
    from supervisor.keeper import Keeper

_BEGINS = frozenset({Event.CREATED, Event.ADOPT_CREATED, Event.ADOPT_UNREADY, Event.ADOPT_RUNNING})
"""There is a container now: whatever comes of it, it has an end."""


def act(keeper: Keeper, action: Action, event: Event) -> None:
    """Begin what a step asks for."""
    run, tasks = keeper.current, keeper.tasks
    assert tasks is not None
    match action:
        case Action.DELAY:
            assert keeper.next_attempt_at is not None
            after = keeper.next_attempt_at - keeper.now()
            set_timer(keeper, Timer(trio.current_time() + after, Event.DELAY_OVER))
        case Action.RESET:
            keeper.history = History(restarts=keeper.history.restarts)
            keeper.save()
    if run is None:
        return
    if event in _BEGINS:
        tasks.start_soon(effects.wait, run, keeper.post)
    match action:
        case Action.CREATE:
            run.effect = trio.CancelScope()
            tasks.start_soon(effects.create, run, keeper.post)
        case Action.START:
            run.effect = trio.CancelScope()
            on_start = keeper.workload.settings.ready.on == "start"
            good = Event.STARTED if on_start else Event.STARTED_UNREADY
            tasks.start_soon(effects.start, run, good, keeper.post)
        case Action.WATCH:
            monitor(keeper, run)
            _set_start_timeout(keeper, run)
        case Action.CANCEL:
            run.effect.cancel()
        case Action.SIGNAL:
            run.container.signal(keeper.workload.settings.stop.signal)
            limit = keeper.workload.settings.stop.timeout
            reason = f"did not end within {limit:g} s"
            until = trio.current_time() + limit
            set_timer(keeper, Timer(until, Event.TIMEOUT, "timeout", reason))
        case Action.KILL:
            tasks.start_soon(effects.kill, run, keeper.warn)
        case Action.CLEAN | Action.KILL_AND_CLEAN:
            tasks.start_soon(effects.clean, run, keeper.post)
        case Action.HURRY:
            run.container.hurry()


def set_timer(keeper: Keeper, timer: Timer | None) -> None:
    """This is what it waits for now."""
    if keeper.timer is not None:
        keeper.timer.cancel()
    keeper.timer = timer
    if timer is not None:
        assert keeper.tasks is not None
        keeper.tasks.start_soon(timer.run, keeper.post)


def _set_start_timeout(keeper: Keeper, run: Run) -> None:
    limit = keeper.workload.settings.ready.timeout
    if keeper.state is State.UNREADY and limit:
        began = run.container.started_at or trio.current_time()
        cause, reason = Cause.START_TIMEOUT.value, f"was not ready within {limit:g} s"
        set_timer(keeper, Timer(began + limit, Event.START_TIMEOUT, cause, reason))


def monitor(keeper: Keeper, run: Run) -> None:
    """Watch it from now on, as its settings say now."""
    run.monitoring.cancel()
    settings = keeper.workload.settings
    if settings.health is None:
        run.health = None
    elif run.health is None:
        run.health = "starting"
    watcher = keeper.world.engine.monitor(keeper.workload, run.container)
    if watcher is not None:
        run.monitoring = trio.CancelScope()
        assert keeper.tasks is not None
        keeper.tasks.start_soon(_watch, keeper, watcher, run, run.monitoring)


async def _watch(keeper: Keeper, watcher: Monitor, run: Run, scope: trio.CancelScope) -> None:
    with scope:
        await watcher.watch(run.container, lambda signal, text: _told(keeper, run, signal, text))


def _told(keeper: Keeper, run: Run, signal: Signal, text: str) -> None:
    """What the monitor says."""
    if run is not keeper.current or run.exit_seen.is_set():
        return
    if signal in _EVENTS:
        if signal.value != run.health:  # which is told when it changes
            keeper.post(_EVENTS[signal], signal.value, text or signal.value, run)
    elif signal is not Signal.EXTEND:
        run.text = text or signal.value
    elif keeper.timer is not None and keeper.timer.event is not Event.DELAY_OVER:
        keeper.timer.extend(trio.current_time() + int(text) / 1e6)


_EVENTS = {
    Signal.READY: Event.READY,
    Signal.HEALTHY: Event.HEALTHY,
    Signal.UNHEALTHY: Event.UNHEALTHY,
    Signal.WATCHDOG: Event.WATCHDOG,
}
