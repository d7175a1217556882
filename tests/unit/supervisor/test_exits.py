"""How processes ended that are not our children: what the kernel tells, and nothing made up."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
import trio
import trio.testing

from runtime.linux import pidfd as kernel
from runtime.state import process_start_time
from supervisor.container import Exit
from supervisor.exits import close_pidfd, ended, process_exit
from tests.support.waiting import wait_pidfd

PARENT = """
import os, sys
onto = [(os.POSIX_SPAWN_DUP2, int(sys.argv[2]), 0)]
pid = os.posix_spawn("/bin/sh", ["sh", "-c", sys.argv[1]], {}, file_actions=onto)
print(pid, flush=True)
sys.stdin.readline()
os.waitpid(pid, 0)
print("reaped", flush=True)
sys.stdin.readline()
"""


class Foreign:
    """A shell whose parent is not us. It runs the script once told to; reaped when asked for."""

    def __init__(self, script: str) -> None:
        self._go, theirs = os.pipe()[::-1]
        self._parent = subprocess.Popen(
            [sys.executable, "-c", PARENT, f"read line; {script}", str(theirs)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            pass_fds=[theirs],
        )
        os.close(theirs)
        self.pid = int(self._answer())
        self.start_time = process_start_time(self.pid) or 0
        self.pidfd = os.pidfd_open(self.pid)

    def _answer(self) -> str:
        assert self._parent.stdout is not None
        return self._parent.stdout.readline()

    def go(self) -> None:
        """Let it come to its end."""
        os.write(self._go, b"go\n")

    def reap(self) -> None:
        """Have it reaped, and wait for that."""
        assert self._parent.stdin is not None
        self._parent.stdin.write("now\n")
        self._parent.stdin.flush()
        assert self._answer() == "reaped\n"

    def close(self) -> None:
        os.close(self._go)
        self._parent.communicate("now\nover\n")
        close_pidfd(self.pidfd)


def tells_reaped() -> bool:
    """Whether this kernel does (Linux 6.15)."""
    pid = os.posix_spawn("/bin/true", ["true"], {})
    pidfd = os.pidfd_open(pid)
    os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
    try:
        return kernel.reaped_status(pidfd) is not None
    except (kernel.Unsupported, OSError):
        return False
    finally:
        os.close(pidfd)


CASES = [
    ("exit 0", Exit(code=0)),
    ("exit 37", Exit(code=37)),
    ("kill -KILL $$", Exit(signal=signal.SIGKILL)),
]


@pytest.mark.parametrize(("script", "end"), CASES)
async def test_a_zombie_that_nobody_reaps(script: str, end: Exit) -> None:
    """Where process 1 is no real init, for example: /proc has the status."""
    foreign = Foreign(script)
    try:
        foreign.go()
        assert await process_exit(foreign.pidfd, foreign.pid, foreign.start_time) == end
        assert kernel.zombie(foreign.pid, foreign.start_time)
        assert ended(foreign.pid, foreign.start_time) == end
        assert ended(foreign.pid, foreign.start_time + 1) == Exit()
        foreign.reap()
        assert not kernel.zombie(foreign.pid, foreign.start_time)
    finally:
        foreign.close()


@pytest.mark.parametrize(("script", "end"), CASES)
async def test_reaped_by_its_parent(script: str, end: Exit) -> None:
    """The pidfd has the status, where the kernel keeps it; else nobody knows."""
    foreign = Foreign(script)
    try:
        foreign.go()
        await trio.to_thread.run_sync(foreign.reap)
        known = end if tells_reaped() else Exit()
        assert await process_exit(foreign.pidfd, foreign.pid, foreign.start_time) == known
        assert ended(foreign.pid, foreign.start_time, foreign.pidfd) == known
        assert ended(foreign.pid, foreign.start_time) == Exit()
    finally:
        foreign.close()


@pytest.mark.parametrize(("script", "end"), CASES)
async def test_reaped_while_waiting(script: str, end: Exit) -> None:
    """Of a zombie without a status in /proc (here: looked for under a wrong number), the reaping
    is waited for."""
    if not tells_reaped():
        pytest.skip("Linux 6.15 tells how a process ended that has been reaped")
    foreign = Foreign(script)
    ends = []

    async def wait() -> None:
        ends.append(await process_exit(foreign.pidfd))

    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            foreign.go()
            await trio.to_thread.run_sync(wait_pidfd, foreign.pidfd)
            await trio.testing.wait_all_tasks_blocked()
            assert ends == []
            await trio.to_thread.run_sync(foreign.reap)
        assert ends == [end]
    finally:
        foreign.close()
