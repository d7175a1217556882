"""Freezing and thawing, and waiting until a cgroup says so.

Version 2 (Linux 5.2) freezes by `cgroup.freeze` and reports in `cgroup.events`, which wakes a
poll(2); frozen processes can still be killed. Version 1 has `freezer.state`, no event, and
nothing but thawing helps a frozen process die.
"""

from __future__ import annotations

import errno
import os
import time

from runtime.errors import KernelError

from .writes import read_file, write_file

# Seconds. Only a process that hangs in the kernel (state D) takes longer.
FREEZE_TIMEOUT = 10.0


def wait_event(directory: str, field: str, value: str, timeout: float) -> bool:
    """Wait until `cgroup.events` has this value; False if it has not after timeout seconds.

    A cgroup that is gone counts as empty and thawed. The kernel delays an event that comes within
    10 ms of the one before (CGROUP_FILE_NOTIFY_MIN_INTV), though not what is read: hence the first
    looks are taken without waiting for the event that long. (A container of few milliseconds is
    populated and empty in one such interval.)
    """
    import select

    deadline = time.monotonic() + timeout
    look = 0.5  # milliseconds
    try:
        fd = os.open(directory + "/cgroup.events", os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return value == "0"
    try:
        poller = select.poll()
        poller.register(fd, select.POLLPRI)
        while True:
            # Reading arms the next event (kernfs), hence before each poll.
            try:
                if _field(os.pread(fd, 4096, 0), field) == value:
                    return True
            except OSError as error:
                if error.errno == errno.ENODEV:
                    return value == "0"
                raise
            left = (deadline - time.monotonic()) * 1000
            if left <= 0:
                return False
            poller.poll(min(left, look) if look < 10 else left)
            look *= 2
    finally:
        os.close(fd)


def event(directory: str, field: str) -> str | None:
    """The present value in `cgroup.events`; None where there is no such file or field."""
    try:
        return _field(read_file(directory, "cgroup.events").encode(), field)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENODEV):
            return None
        raise


def _field(data: bytes, field: str) -> str | None:
    for line in data.decode("ascii", "replace").splitlines():
        name, _blank, value = line.partition(" ")
        if name == field:
            return value
    return None


def freeze_v2(directory: str, timeout: float = FREEZE_TIMEOUT) -> None:
    """Freeze and wait for it. Takes the order back if it is not carried out in time."""
    write_file(directory, "cgroup.freeze", "1")
    if not wait_event(directory, "frozen", "1", timeout):
        write_file(directory, "cgroup.freeze", "0")
        raise KernelError(
            "freeze cgroup", directory, errno.ETIMEDOUT, hint="a process hangs in the kernel"
        )


def thaw_v2(directory: str, timeout: float = FREEZE_TIMEOUT) -> None:
    """Thaw and wait for it, unless a cgroup above is frozen too."""
    write_file(directory, "cgroup.freeze", "0")
    if not wait_event(directory, "frozen", "0", timeout):
        raise KernelError(
            "thaw cgroup", directory, errno.ETIMEDOUT, hint="a cgroup above it is frozen as well"
        )


def state_v1(directory: str) -> str:
    """THAWED, FREEZING or FROZEN; THAWED where there is no such cgroup."""
    try:
        return read_file(directory, "freezer.state").strip()
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENODEV):
            return "THAWED"
        raise


def freeze_v1(directory: str, timeout: float = FREEZE_TIMEOUT) -> None:
    """Freeze and wait for it.

    FREEZING stays FREEZING if a process forks at the wrong time (seen up to Linux 5.x); writing
    the order again, and at times thawing in between, gets it out. There is no event to wait for.
    """
    deadline = time.monotonic() + timeout
    attempt = 0
    while True:
        write_file(directory, "freezer.state", "FROZEN")
        if state_v1(directory) == "FROZEN":
            return
        if time.monotonic() >= deadline:
            write_file(directory, "freezer.state", "THAWED")
            raise KernelError(
                "freeze cgroup", directory, errno.ETIMEDOUT, hint="a process hangs in the kernel"
            )
        attempt += 1
        if attempt % 50 == 0:
            write_file(directory, "freezer.state", "THAWED")
        time.sleep(0.001 if attempt < 50 else 0.01)


def thaw_v1(directory: str) -> None:
    """Thaw; done when the write returns."""
    write_file(directory, "freezer.state", "THAWED")


def thaw_v1_below(directory: str) -> None:
    """Thaw this and every cgroup in it, so that its processes can die."""
    todo = [directory]
    while todo:
        step = todo.pop()
        try:
            if state_v1(step) != "THAWED":
                thaw_v1(step)
            with os.scandir(step) as entries:
                todo += [each.path for each in entries if each.is_dir(follow_symlinks=False)]
        except FileNotFoundError:
            continue
