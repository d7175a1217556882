"""A creched that has nothing but events: `python -m tests.bench.eventing DIRECTORY COUNT`.

Real are the log, the journal on a disk and the control socket; what the events tell of is not. Says
on standard output when it listens, emits while its standard input says how many the slowest reader
has, and ends when that closes.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import cast

import trio

from supervisor.control.settings import Control, Http
from supervisor.control.start import ControlServer
from supervisor.control.types import Keepers
from supervisor.events import REPORTS, EventLog
from supervisor.logs import open_log
from supervisor.store.journal import Journal

AHEAD = 4000
"""Events that the slowest reader may be behind: fewer than the journal keeps."""

_LIFE = ("creating", "created", "started", "exited", "cleaning", "cleaned", "restart-scheduled")
_VALUES: dict[str, object] = {
    "old": "running",
    "new": "exited",
    "status": "restarting",
    "cause": "exit",
    "reason": "exit status 1",
    "pid": 12345,
    "ready": True,
    "attempt": 7,
    "code": 1,
    "signal": None,
    "core": False,
    "oom_kills": 0,
    "uptime": 12.345678,
    "restarts": 6,
    "series": 6,
    "after": 1.5,
    "at": 123456.789012,
    "output": [],
}


def lives(log: EventLog) -> Iterator[None]:
    """Emits the next event in the life of some workloads."""
    while True:
        for number in range(100):
            name = f"workload-{number}"
            for event in _LIFE:
                values = {**_VALUES, "workload": name, "container": name}
                log.emit(event, **{field: values.get(field) for field in REPORTS[event].fields})
                yield


async def main(directory: str, count: int) -> None:
    """Until standard input ends."""
    with os.fdopen(os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC), "w") as null:
        log = open_log("json", null)
        journal = Journal(f"{directory}/journal", lambda *told: None)
        log.keep(journal)
        nobody = cast(Keepers, None)
        control = ControlServer(Control(), Http(), directory, nobody, journal, log, directory, "/")
        async with trio.open_nursery() as nursery:
            begin = trio.Event()
            begin.set()
            await nursery.start(control.run, begin)
            print("ready", flush=True)
            await _emit(log, count)
            await control.close()
        journal.close()


async def _emit(log: EventLog, count: int) -> None:
    read = 0
    told = b""
    next_event = lives(log)
    async with trio.lowlevel.FdStream(0) as answers:
        while True:
            while log.seq < min(count, read + AHEAD):
                next(next_event)
                await trio.lowlevel.checkpoint()
            received = await answers.receive_some()
            if not received:
                return
            *lines, told = (told + received).split(b"\n")
            if lines:
                read = int(lines[-1])


if __name__ == "__main__":
    trio.run(main, sys.argv[1], int(sys.argv[2]))
