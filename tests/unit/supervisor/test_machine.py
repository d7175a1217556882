"""The table of states and events, every cell of it."""

from __future__ import annotations

import itertools

import pytest

from supervisor import events, machine, table
from supervisor.machine import Action, Event, State
from supervisor.table import NoStep, Step


@pytest.mark.parametrize(("state", "event"), list(itertools.product(State, Event)))
def test_every_cell_is_decided(state: State, event: Event) -> None:
    """Each cell is a step with a documented report, or says why there is none."""
    cell = table.TABLE[state][event]

    if isinstance(cell, Step):
        report = events.REPORTS[cell.report]
        assert {"old", "new", "status", "cause", "reason"} <= set(report.fields)
        # A step that changes nothing and does nothing would be an event for its own sake; the
        # exception is an exit, which is always told.
        assert cell.next is not state or cell.action is not Action.NONE or event is Event.EXITED
    else:
        assert isinstance(cell, NoStep)


@pytest.mark.parametrize("state", State)
def test_commands_are_possible_in_every_state(state: State) -> None:
    """Nobody asks what state a workload is in before starting, stopping or resetting it.

    Decisions fall at once, so nothing comes between.
    """
    for command in (Event.START, Event.STOP, Event.HURRY, Event.RESET):
        impossible = table.TABLE[state][command] is table.IMPOSSIBLE

        assert impossible == (state is State.DECIDING)


@pytest.mark.parametrize("state", sorted(set(State) - machine.RESTING))
def test_every_state_leads_to_an_end(state: State) -> None:
    """From each state a final one can be reached, and no state leads nowhere."""
    reached, todo = {state}, [state]
    while todo:
        for cell in table.TABLE[todo.pop()].values():
            if isinstance(cell, Step) and cell.next not in reached:
                reached.add(cell.next)
                todo.append(cell.next)

    assert reached & machine.RESTING


@pytest.mark.parametrize("state", sorted(set(State) - {State.IDLE}))
def test_every_state_can_be_reached(state: State) -> None:
    """No state is there in vain."""
    assert any(
        isinstance(cell, Step) and cell.next is state
        for row in table.TABLE.values()
        for cell in row.values()
    )


def test_once_stopped_never_started() -> None:
    """No way leads from a state of stopping back to running."""
    reached, todo = set(), [State.ABORTING, State.STOPPING, State.KILLING, State.STOP_CLEANING]
    while todo:  # but by being asked to from where it then rests
        state = todo.pop()
        reached.add(state)
        if state in machine.RESTING:
            continue
        for event, cell in table.TABLE[state].items():
            if isinstance(cell, Step) and cell.next not in reached:
                assert cell.action not in (Action.CREATE, Action.START), (state, event)
                todo.append(cell.next)

    assert not reached & {State.CREATING, State.STARTING, State.RUNNING, State.BACKOFF}


def test_every_state_has_a_public_status() -> None:
    """And the public ones are fewer."""
    assert set(machine.STATUS) == set(State)
    assert len(set(machine.STATUS.values())) < len(State)
