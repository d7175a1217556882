"""Put the descriptors a process gets in their places, and our own out of the way."""

from __future__ import annotations

import fcntl
import os


def place(wanted: list[int], own: list[int]) -> list[int]:
    """Make wanted[i] descriptor i (inheritable); returns the new numbers of our own, all above.

    wanted: standard input, output, error, then those to preserve; -1 leaves a hole. The sources
    are closed by the caller's later close_between().
    """
    floor = len(wanted)
    moved = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, floor) for fd in own]
    high = [
        fd if fd < 0 or fd == place_ else fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, floor)
        for place_, fd in enumerate(wanted)
    ]
    for target, fd in enumerate(high):
        if fd < 0:
            continue
        if fd == target:
            os.set_inheritable(fd, True)
        else:
            os.dup2(fd, target, inheritable=True)
            os.close(fd)
    return moved
