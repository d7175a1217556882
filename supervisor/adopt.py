"""What an earlier creched has left, sorted out: what runs on is adopted, what is half done is
finished or undone.

Truth lies in four places, each written before the act that it announces: the container's own state
(runtime/state.py), its workload's record, the journal of events, and the kernel. A container whose
program runs, or may run any moment, is adopted as it is. One that was being made or removed is
removed, with the poststop hooks that have not run. An end that the journal does not tell of has yet
to be reported, whatever the record says: records are saved first.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace

import trio

from supervisor import machine
from supervisor.adopted import AdoptedContainer
from supervisor.container import ContainerError, Exit
from supervisor.machine import State
from supervisor.record import Record, Resumed
from supervisor.resume import STOPPING

UNDOING = 10.0
"""Seconds after which hooks of a container that is being removed get no more time: others wait."""
_NOTHING_HELD = (
    frozenset({State.IDLE, State.WAITING, State.DECIDING, State.BACKOFF, State.COOLDOWN})
    | machine.RESTING
)
_AFTER_EXIT = frozenset({State.EXITED_EARLY, State.CLEANING, State.STOP_CLEANING})
_TOLD = (b'"exited"', b'"creating"', b'"workload-loaded"', b'"workload-removed"')


class Told:
    """What the journal tells of runs: the last attempt of each workload, which have ended, and
    which workloads were removed since."""

    def __init__(self, lines: Iterable[bytes], boot: str) -> None:
        self.attempts: dict[str, int] = {}
        self.removed: set[str] = set()
        self._ended: set[tuple[str, int]] = set()
        for line in lines:
            if not any(name in line for name in _TOLD):
                continue
            event = json.loads(line)
            if event["boot"] != boot or f'"{event["event"]}"'.encode() not in _TOLD:
                continue
            name = event["workload"]
            if event["event"] == "workload-removed":
                self.removed.add(name)
                continue
            if event["event"] == "workload-loaded":
                self.removed.discard(name)
                continue
            attempt = self.attempts[name] = event["attempt"]
            if event["event"] == "exited":
                self._ended.add((name, attempt))
            else:
                # A workload that was removed and has come back counts its attempts anew.
                self._ended.discard((name, attempt))

    def ended(self, record: Record) -> bool:
        """Whether the end of the record's run has been reported."""
        return (record.name, record.attempt) in self._ended


async def resume(
    containers: Mapping[str, AdoptedContainer], records: Mapping[str, Record], told: Told
) -> dict[str, Resumed]:
    """How every workload stands that has a container or a record, by name.

    What cannot be adopted is removed first: all of it at once, and hooks are not waited for long.
    """
    found: dict[str, Resumed] = {}
    async with trio.open_nursery() as nursery:
        for name in {**records, **containers}:
            container = containers.get(name)
            record = records.get(name) or Record(name)
            if container is None:
                found[name] = _without(record, told)
            elif _half_done(container, record, told):
                nursery.start_soon(_remove, container)
                found[name] = _without(replace(record, state=_after(record.state)), told)
            else:
                found[name] = _with(container, record, told)
    return found


def _half_done(container: AdoptedContainer, record: Record, told: Told) -> bool:
    """It was being made; or it has ended, which has been reported, and is not removed yet."""
    if container.saved == "creating" or told.ended(record):
        return True
    known = record.attempt > 0  # there is a record
    return container.saved == "deleting" if not known else record.state in _NOTHING_HELD


def _after(state: State) -> State:
    """Where its removal leads to."""
    if state in _NOTHING_HELD:
        return state
    if state in STOPPING:
        return State.STOPPED
    return State.IDLE if state is State.CREATING else State.DECIDING


def _without(record: Record, told: Told) -> Resumed:
    """Nothing is there."""
    if record.state in _NOTHING_HELD or record.state is State.CREATING:
        return Resumed(record)
    if told.ended(record):
        return Resumed(replace(record, state=_after(record.state)))
    if record.state is State.ABORTING:
        return Resumed(replace(record, state=State.STOPPED))
    return Resumed(record, exit=known_exit(record) or Exit())


def _with(container: AdoptedContainer, record: Record, told: Told) -> Resumed:
    """It runs, or it has ended and nobody has said so: the keeper goes on with it."""
    if not record.attempt:
        created = container.saved == "created"
        record = replace(
            record,
            state=State.STARTING if created else State.RUNNING,
            attempt=told.attempts.get(record.name, 1),
        )
    end = known_exit(record)
    if end is not None:
        container.ended_as(end)
    return Resumed(record, container)


def known_exit(record: Record) -> Exit | None:
    """How its run ended, if the record says so."""
    ending = record.ending
    if record.state not in _AFTER_EXIT or ending is None:
        return None
    if ending.code is None and ending.signal is None:
        return None
    return Exit(ending.code, ending.signal, ending.core, ending.oom_kills)


async def _remove(container: AdoptedContainer) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_hurry, container)
        try:
            await container.delete()
        except ContainerError as error:
            container.warn(f"left by an earlier creched, cannot be removed: {error}")
        nursery.cancel_scope.cancel()


async def _hurry(container: AdoptedContainer) -> None:
    await trio.sleep(UNDOING)
    container.hurry()
