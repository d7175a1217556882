"""Signals for all processes of a cgroup, and waiting until there are none."""

from __future__ import annotations

import errno
import os
import time

from . import freezer, tree
from .writes import write_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

SIGKILL = 9


def kill_tree_v2(directory: str) -> bool:
    """SIGKILL for all, frozen or forking, at one stroke: `cgroup.kill`, Linux 5.14.

    False where the kernel has no such file.
    """
    try:
        write_file(directory, "cgroup.kill", "1")
    except OSError as error:
        if error.errno == errno.ENODEV:
            return True
        if error.errno == errno.ENOENT:
            return not os.path.isdir(directory)
        if error.errno == errno.EOPNOTSUPP:  # threaded
            return False
        raise
    return True


def signal(pids: Iterable[int], number: int) -> int:
    """Send to each; returns how many there were. Those who are gone are passed over."""
    count = 0
    for pid in pids:
        if pid <= 0:
            continue
        try:
            os.kill(pid, number)
            count += 1
        except ProcessLookupError:
            pass
    return count


def kill_until_empty(directories: list[str], deadline: float) -> bool:
    """SIGKILL until nobody is left, however fast they fork, for where there is no cgroup.kill.

    No event tells about a version 1 cgroup, so this looks again and again, ever less often.
    False if somebody is left at the deadline (time.monotonic()).
    """
    delay = 0.0005
    while True:
        left = 0
        for directory in directories:
            left += signal(tree.procs(directory), SIGKILL)
        if not left:
            return True
        if time.monotonic() >= deadline:
            return False
        time.sleep(delay)
        delay = min(delay * 1.5, 0.05)


def wait_empty_v2(directory: str, deadline: float) -> bool:
    """Wait for `populated 0`."""
    left = max(0.0, deadline - time.monotonic())
    return freezer.wait_event(directory, "populated", "0", left)
