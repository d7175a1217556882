"""creche events ID."""

from __future__ import annotations

import os
import time

from runtime.cli.call import emit
from runtime.cli.options import Command, Flag
from runtime.errors import CrecheError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.cgroups.oom import OomWatch
    from runtime.cli.call import Call
    from runtime.lifecycle.container import Container

COMMAND = Command(
    "events",
    "show what a container uses, and when it runs out of memory",
    flags=(
        Flag("interval", "time between two statistics", "duration", 5.0),
        Flag("stats", "print the statistics once, then exit"),
    ),
    about="""\
   One JSON object a line: {"type":"stats",...} after every interval, {"type":"oom",...}
   as soon as the kernel runs out of the container's memory. Ends by itself, with
   status 0, when the container has ended.""",
)


def run(call: Call) -> int:
    """Print one line, or lines until the container ends."""
    from runtime.lifecycle.blocking import open_container
    from runtime.state import open_init

    interval = call.flags.seconds("interval")
    container = open_container(call.root, call.id, call.log)
    if interval <= 0:
        raise CrecheError("duration interval must be greater than 0")
    pidfd = open_init(container.state)
    if pidfd is None:
        raise CrecheError(f"container with id {call.id} is not running")
    try:
        if call.flags.on("stats"):
            show_stats(container)
        else:
            follow(container, pidfd, interval)
    finally:
        os.close(pidfd)
    return 0


def show_stats(container: Container) -> None:
    """One line of statistics."""
    from runtime.cgroups.stats import collect

    show(container, "stats", {"data": collect(container.state["cgroup"])})


def show(container: Container, kind: str, more: dict[str, object]) -> None:
    """One event, as one write so that no reader sees half a line."""
    from runtime.jsonio import dumps

    emit(dumps({"type": kind, "id": container.directory.id, **more}) + "\n")


def follow(container: Container, pidfd: int, interval: float) -> None:
    """Statistics every interval (seconds) and OOM events, until init ends.

    The intervals do not add up the time that the statistics take; those missed while the machine
    or the reader of the lines was too slow are not made up for.
    """
    from runtime.cgroups.oom import OomWatch

    watch = OomWatch(container.state["cgroup"])
    try:
        due = time.monotonic() + interval
        while not _wait(watch, pidfd, due):
            if watch.take():
                show(container, "oom", {})
            now = time.monotonic()
            if now >= due:
                show_stats(container)
                due = due + interval if due + interval > now else now + interval
        # What killed init may have been this very event.
        if watch.take():
            show(container, "oom", {})
    finally:
        watch.close()


def _wait(watch: OomWatch, pidfd: int, due: float) -> bool:
    """Until something happens or it is `due` (time.monotonic()); True when init has ended."""
    import select

    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    if watch.fileno() >= 0:
        poller.register(watch.fileno(), select.POLLIN)
    # Rounded up, so that it does not wake a moment too early; some years are the most poll takes.
    left = min(max(0.0, due - time.monotonic()) * 1000, 0x7FFFFFFE)
    return any(fd == pidfd for fd, _event in poller.poll(int(left) + 1))
