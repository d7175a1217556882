"""The service manager that runs creched, if one does: what it is told, and when."""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from collections.abc import Callable, Iterable

import trio

from supervisor import machine, reexec
from supervisor.status import WorkloadStatus
from supervisor.store.journal import Journal
from supervisor.systemd.descriptors import Descriptors
from supervisor.systemd.environment import close_on_exec, take
from supervisor.systemd.notify import Notifier

QUIET = 0.5
"""Seconds at least between two status lines."""
STOP_MARGIN = 60.0
"""Seconds that stopping may take, besides the longest time that a workload is given."""
REPLACING = 120.0
"""Seconds without a sign of life that a program which is just being started is given."""
_ASKING = 20.0


Statuses = Callable[[], Iterable[WorkloadStatus]]


class Manager:
    """Read from the environment, which is changed: nothing of it is left for children."""

    def __init__(self) -> None:
        handed = take(os.environ, os.getpid())
        close_on_exec(handed)
        before = reexec.taken_over(os.environ)
        self.executed_anew = before is not None
        self.notifier = Notifier(handed.notify)
        self.descriptors = Descriptors(self.notifier, (*(before or ()), *handed.descriptors))
        self._watchdog = handed.watchdog
        self._lasting = handed.lasting
        self._unit = unit_of(_own_cgroup()) if handed.notify else ""

    async def run(self, journal: Journal, statuses: Statuses) -> None:
        """Feed the watchdog, and keep the status line true. Until cancelled."""
        async with trio.open_nursery() as tasks:
            tasks.start_soon(self.notifier.run)
            if self.executed_anew:
                self.replaced()
            tasks.start_soon(self.notifier.feed_watchdog, self._watchdog)
            if self.notifier:
                tasks.start_soon(self._tell_status, journal, statuses)

    async def _tell_status(self, journal: Journal, statuses: Statuses) -> None:
        told = ""
        while True:
            last = journal.last
            text = summary(statuses())
            if text != told:
                told = text
                self.notifier.status(text)
            await journal.beyond(last)
            await trio.sleep(QUIET)

    def stopping(self, longest: float) -> None:
        """creched stops its workloads; `longest`: seconds one of them may take."""
        self.notifier.stopping(longest + STOP_MARGIN)

    async def restarting(self) -> bool:
        """Whether the signal to end came since the unit is being restarted, not stopped."""
        if not self._unit:
            return False
        words = ["systemctl", "list-jobs", "--full", "--no-legend", "--no-pager", self._unit]
        try:
            with trio.fail_after(_ASKING):
                asked = await trio.run_process(
                    words, capture_stdout=True, stderr=subprocess.DEVNULL, check=False
                )
        except (OSError, trio.TooSlowError):
            return False
        return is_restart(asked.stdout.decode(errors="replace"), self._unit)

    async def before_replacing(self) -> None:
        """Have the watchdog wait for the new program, and everything sent that is to be told."""
        if self._watchdog:
            self.notifier.watchdog(max(self._watchdog, REPLACING))
        with trio.move_on_after(_ASKING):
            await self.notifier.sent()

    def replace(self) -> None:
        """Execute creched anew, with what is kept. Raises KernelError if that fails."""
        reexec.replace(self.descriptors.all(), self._lasting)

    def replaced(self) -> None:
        """Or not, if that has failed: the watchdog is what it was before."""
        if self._watchdog:
            self.notifier.watchdog(self._watchdog)

    def close(self) -> None:
        """Nothing more to tell."""
        self.notifier.close()


def summary(statuses: Iterable[WorkloadStatus]) -> str:
    """`7/8 running, 1 failed`: how many run of those that are meant to, and who does not.

    Those that have done their work, or are not to run, are not counted as missing.
    """
    counts = Counter(machine.Status(status.status) for status in statuses)
    done = counts[machine.Status.DONE] + counts[machine.Status.STOPPED]
    total = sum(counts.values())
    text = f"{counts[machine.Status.RUNNING]}/{total - done} running"
    rest = [
        f"{counts[status]} {status.value}"
        for status in machine.Status
        if counts[status] and status is not machine.Status.RUNNING
    ]
    return ", ".join([text, *rest])


def is_restart(jobs: str, unit: str) -> bool:
    """Whether a list of `systemctl list-jobs --no-legend` has a restart of the unit.

    While a unit is being stopped in order to be started again, its job is called `restart`.
    """
    for line in jobs.splitlines():
        words = line.split()
        if len(words) >= 3 and words[1] == unit:
            return words[2] in ("restart", "try-restart", "reload-or-start")
    return False


def unit_of(cgroup: str) -> str:
    """The service that a cgroup path belongs to; "" if none."""
    for part in reversed(cgroup.split("/")):
        if part.endswith(".service"):
            return part
    return ""


def _own_cgroup() -> str:
    try:
        with open("/proc/self/cgroup", encoding="utf-8", errors="surrogateescape") as file:
            lines = file.read().splitlines()
    except OSError:
        return ""
    # Version 2's line, or systemd's own hierarchy where there are others.
    for prefix in ("0::", "1:name=systemd:"):
        for line in lines:
            if line.startswith(prefix) and unit_of(line):
                return line
    return ""
