"""Which version of each workload a creched that was just started begins with."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import replace
from typing import Protocol

from supervisor.directories.generations import Generations, Kept
from supervisor.workload.directory import Reading, assemble
from supervisor.workload.errors import WorkloadError
from supervisor.workload.files import open_directory
from supervisor.workload.model import Workload


class Remembers(Protocol):
    """What is found out on the way."""

    rejected: dict[str, str]

    def unproven(self, name: str, good: Workload) -> None:
        """Its version has still to stand its probation; `good` is what to go back to."""


def settle_start(
    path: str,
    scratch: str,
    readings: dict[str, Reading | None],
    alive: Collection[str],
    generations: Generations,
    memory: Remembers,
) -> list[str]:
    """Put kept versions into `readings` where they count; names that have to be looked at again.

    * Files that are not in order: the last version that was.
    * A version that has failed its probation: the one before.
    * A container that runs (`alive`): the version it was made from, until what is there now has
      been compared with it. That may be that there is nothing any more.
    """
    again = []
    for name in sorted({*readings, *alive}):
        reading = readings.get(name)
        kept = generations.current(name)
        if kept is None:
            continue
        new = None if reading is None else reading.workload
        if kept.rejected:
            memory.rejected[name] = kept.rejected
        digest = kept.source.digest()
        if new is not None and new.digest == digest:
            if not kept.proven:
                _unproven(path, scratch, name, generations, memory)
            continue
        wanted = name in alive or (new is None and reading is not None)
        if not wanted and not (new is not None and new.digest == kept.rejected):
            continue
        workload = _made(path, scratch, name, kept)
        if workload is None:
            continue
        error = None if reading is None else reading.error
        readings[name] = Reading(name, workload, kept.source, error)
        if name in alive:
            again.append(name)
    return again


def _unproven(
    path: str, scratch: str, name: str, generations: Generations, memory: Remembers
) -> None:
    good = generations.good(name)
    workload = None if good is None else _made(path, scratch, name, good)
    if workload is not None:
        memory.unproven(name, workload)


def _made(path: str, scratch: str, name: str, kept: Kept) -> Workload | None:
    """The workload of a kept version, if its directory still lets it be one."""
    directory = f"{path}/{name}"
    try:
        fd = open_directory(directory, directory)
    except (OSError, WorkloadError):
        return None
    try:
        made = assemble(kept.source, fd, directory, name, scratch)
        return replace(made, generation=kept.generation)
    except (OSError, WorkloadError):
        return None
    finally:
        os.close(fd)
