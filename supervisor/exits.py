"""How a process ended: our child, or one that an earlier creched left behind.

Of a child, waitid(2) tells. An adopted container's first process is the child of whoever takes in
orphans (process 1, or a subreaper), and the kernel tells its status
* while it is a zombie, in /proc/PID/stat: until its parent reaps it, which where process 1 is no
  real init may be never;
* from Linux 6.15 on, once it has been reaped, by its pidfd (PIDFD_GET_INFO).
Where neither can be had, nobody knows, and that is what is said.
"""

from __future__ import annotations

import os
import select

import trio

from runtime.linux import pidfd as kernel
from supervisor.container import Exit

_WALL = 0x40000000
"""__WALL of wait(2): a container's first process may have been cloned without an exit signal."""
REAPING = 10.0
"""Seconds that a parent is given to reap, where /proc does not tell."""


async def process_exit(pidfd: int, pid: int = 0, start_time: int = 0) -> Exit:
    """Wait for the end of the process behind `pidfd`; reap it if it is our child.

    pid and start_time (clock ticks after boot) say which process it is, for one that is no child.
    A pidfd is readable once its process is a zombie (pidfd_open(2)); only reaping tells the status.
    """
    while True:
        await trio.lowlevel.wait_readable(pidfd)
        try:
            # With WNOHANG it does not block.
            info = os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG | _WALL)  # noqa: ASYNC222
        except ChildProcessError:
            return await _foreign_exit(pidfd, pid, start_time)
        if info is None:
            # A thread group whose leader is gone but other threads are not yet: de_thread.
            await trio.lowlevel.checkpoint()
            continue
        if info.si_code == os.CLD_EXITED:
            return Exit(code=info.si_status)
        return Exit(signal=info.si_status, core=info.si_code == os.CLD_DUMPED)


def ended(pid: int, start_time: int, pidfd: int = -1) -> Exit:
    """How a process ended that has done so already, as far as it can be known."""
    status = kernel.zombie_status(pid, start_time)
    if status is None and pidfd >= 0:
        try:
            status = kernel.reaped_status(pidfd)
        except (kernel.Unsupported, OSError):
            pass
    return _exit(status)


async def _foreign_exit(pidfd: int, pid: int, start_time: int) -> Exit:
    """Of a process that has ended and is somebody else's to reap."""
    end = ended(pid, start_time, pidfd)
    if end == Exit():
        # Reaped between the two questions; or a zombie of which /proc may not tell us.
        try:
            with trio.move_on_after(REAPING):
                await _reaped(pidfd)
            return _exit(kernel.reaped_status(pidfd))
        except (kernel.Unsupported, OSError):
            pass
    return end


async def _reaped(pidfd: int) -> None:
    """Until it has been reaped. Raises Unsupported where that cannot be waited for.

    A pidfd hangs up at that moment, and epoll always tells that, also if asked for nothing; trio
    does not wait for it by itself, but for the epoll.
    """
    if kernel.reaped_status(pidfd) is not None:
        return
    with select.epoll() as poller:
        poller.register(pidfd, 0)
        try:
            await trio.lowlevel.wait_readable(poller.fileno())
        finally:
            trio.lowlevel.notify_closing(poller.fileno())


def _exit(status: int | None) -> Exit:
    if status is None:
        return Exit()
    if os.WIFSIGNALED(status):
        return Exit(signal=os.WTERMSIG(status), core=os.WCOREDUMP(status))
    return Exit(code=os.WEXITSTATUS(status))


def close_pidfd(pidfd: int) -> None:
    """Close a descriptor trio may be waiting for, so that no waiter is left stranded."""
    trio.lowlevel.notify_closing(pidfd)
    os.close(pidfd)
