"""What has to be known of a workload after creched was killed, and where it is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from typing import Any, Protocol

from supervisor.container import Container, Exit
from supervisor.machine import Result, State
from supervisor.policy import Cause, Ending, History


class Intent(StrEnum):
    """What the operator has asked for by hand; it outlives creched, and DOWN outlives a reboot."""

    NONE = "none"
    UP = "up"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class Record:
    """How a workload stands. Times are seconds on the clock of `EventLog.now` (since boot).

    `pid` and `start_time` (clock ticks, proc_pid_stat(5)) name a process of the boot `boot` only.
    """

    name: str
    intent: Intent = Intent.NONE
    state: State = State.IDLE
    result: Result = Result.NONE
    attempt: int = 0
    history: History = field(default_factory=History)
    container: str | None = None
    pid: int | None = None
    start_time: int | None = None
    boot: str = ""
    started_at: float | None = None
    ready_at: float | None = None
    ready: bool = False
    health: str | None = None
    ending: Ending | None = None
    next_attempt_at: float | None = None
    again: bool = False
    why: str = ""
    since: float | None = None
    generation: int = 0
    directory: str = ""

    def to_json(self) -> dict[str, object]:
        """As JSON has it; `from_json` reads it back."""
        # Not dataclasses.asdict, which copies deeply: this is done at each step of each workload.
        values = _plain(self)
        values["history"] = _plain(self.history)
        values["ending"] = None if self.ending is None else _plain(self.ending)
        return values

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Record:
        """Raises KeyError, TypeError or ValueError if it is none."""
        known = {item.name: values[item.name] for item in fields(cls) if item.name in values}
        record = cls(**known)
        history, ending = values["history"], values["ending"]
        return replace(
            record,
            intent=Intent(record.intent),
            state=State(record.state),
            result=Result(record.result),
            history=History(**{**history, "recent": tuple(history["recent"])}),
            ending=None
            if ending is None
            else Ending(**{**ending, "cause": Cause(ending["cause"])}),
        )


def _plain(value: Record | History | Ending) -> dict[str, object]:
    return {name: getattr(value, name) for name in value.__slots__}


@dataclass(frozen=True, slots=True)
class Resumed:
    """How an earlier creched left a workload.

    `container`: it is there, adopted, to be waited for (its end may be known already). Without one
    `exit` is how it ended, if it had one and that has not been decided upon.
    """

    record: Record
    container: Container | None = None
    exit: Exit | None = None


class Records(Protocol):
    """Where records are kept. Called before each act, so it must not wait for a disk."""

    def save(self, record: Record) -> None:
        """Replace the workload's record."""

    def forget(self, name: str) -> None:
        """The workload has been removed."""


class MemoryRecords:
    """Records that are lost with the process."""

    def __init__(self) -> None:
        self.kept: dict[str, Record] = {}

    def save(self, record: Record) -> None:
        """See Records."""
        self.kept[record.name] = record

    def forget(self, name: str) -> None:
        """See Records."""
        self.kept.pop(name, None)
