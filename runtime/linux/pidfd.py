"""Ending processes by their pidfd; how one ended that is not our child (pidfd, /proc)."""

from __future__ import annotations

import _struct as struct
import errno
import fcntl
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
else:
    import _signal

_PIDFD_GET_INFO = 0xC040FF0B
"""_IOWR(0xFF, 11, 64 bytes): struct pidfd_info as it was first (Linux 6.13); kernels that know a
longer one take this as well (<linux/pidfd.h>)."""
_INFO = struct.Struct("=Q52xi")  # mask, what is not needed here, exit_code
_PIDFD_INFO_EXIT = 1 << 3  # Linux 6.15

_STATE, _START_TIME, _EXIT_CODE = 0, 19, 49
"""Fields of /proc/PID/stat, counted from the one after the name (proc_pid_stat(5))."""


class Unsupported(Exception):
    """This kernel does not know PIDFD_GET_INFO."""


def reaped_status(pidfd: int) -> int | None:
    """The wait status of a process that has been reaped, by whomever; None: it has not been yet.

    Raises Unsupported; OSError (ESRCH) where the kernel knows the call but not the status (6.13,
    6.14). A zombie still counts as alive here.
    """
    buffer = bytearray(_INFO.size)
    _INFO.pack_into(buffer, 0, _PIDFD_INFO_EXIT, 0)
    try:
        fcntl.ioctl(pidfd, _PIDFD_GET_INFO, buffer, True)
    except OSError as error:
        # Older kernels have no ioctl on pidfds (ENOTTY), or another one (EINVAL on 6.12).
        if error.errno in (errno.ENOTTY, errno.EINVAL):
            raise Unsupported from None
        raise
    mask, status = _INFO.unpack(buffer)
    return status if mask & _PIDFD_INFO_EXIT else None


def zombie_status(pid: int, start_time: int) -> int | None:
    """The wait status of a process that has ended and not been reaped; None: there is none such.

    start_time: clock ticks after boot, so that a reused pid is not taken for it. Needs
    CAP_SYS_PTRACE (or the same user): without, the kernel says 0, which is why 0 is not believed
    then.
    """
    fields = _stat(pid)
    if fields is None or fields[_STATE] not in ("Z", "X") or int(fields[_START_TIME]) != start_time:
        return None
    status = int(fields[_EXIT_CODE])
    return status if status or _may_trace() else None


def zombie(pid: int, start_time: int) -> bool:
    """Whether the very process has ended and waits to be reaped."""
    fields = _stat(pid)
    return (
        fields is not None
        and fields[_STATE] in ("Z", "X")
        and int(fields[_START_TIME]) == start_time
    )


def _stat(pid: int) -> list[str] | None:
    try:
        fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        text = os.read(fd, 4096).decode("utf-8", "replace")
    except OSError:
        return None
    finally:
        os.close(fd)
    fields = text.rpartition(")")[2].split()
    return fields if len(fields) > _EXIT_CODE else None


def _may_trace() -> bool:
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        for line in file:
            if line.startswith("CapEff:"):
                return bool(int(line.split()[1], 16) & 1 << 19)
    return False


def signal_quietly(pidfd: int, number: int) -> None:
    """Send a signal; fine if the process is gone."""
    try:
        _signal.pidfd_send_signal(pidfd, number)
    except OSError:
        pass  # gone already


def await_end(pidfd: int) -> None:
    """Wait until the process behind a killed pidfd is gone; reap it if it is our child."""
    from select import POLLIN, poll

    poller = poll()
    poller.register(pidfd, POLLIN)
    poller.poll(10_000)
    try:
        os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG)
    except OSError:
        pass  # ECHILD: somebody else's child
