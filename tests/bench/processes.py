"""What processes use, read from procfs."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass


def pss(pids: Iterable[int]) -> float:
    """KiB of memory, where each page that n processes share counts as an n-th."""
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
            total += sum(int(line.split()[1]) for line in file if line.startswith("Pss:"))
    return float(total)


@dataclass(frozen=True)
class Activity:
    """nanoseconds: on a processor; switches: how often a task went to sleep or had to give way."""

    nanoseconds: int = 0
    switches: int = 0

    def __sub__(self, before: Activity) -> Activity:
        return Activity(self.nanoseconds - before.nanoseconds, self.switches - before.switches)


def activity(pids: Iterable[int], all_tasks: bool = True) -> Activity:
    """Of the tasks of these processes, or of the first of each, since each began (one that has
    ended does not count)."""
    nanoseconds = switches = 0
    for pid in pids:
        for task in os.listdir(f"/proc/{pid}/task") if all_tasks else [pid]:
            with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as file:
                nanoseconds += int(file.read().split()[0])
            with open(f"/proc/{pid}/task/{task}/status", encoding="ascii") as file:
                switches += sum(int(line.split()[1]) for line in file if "ctxt_switches" in line)
    return Activity(nanoseconds, switches)
