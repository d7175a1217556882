"""A parent for pytest that does what process 1 of a machine does: take in orphans and reap them.

A detached container's init loses its parent when the command that made it returns. Whoever takes
it in has to collect it promptly, and everything that was started in its pid namespace from outside:
the kernel lets the init of a pid namespace end only when all others in it have been reaped. On the
real machine the orphans would go to process 1, about which nothing is known here (in a container it
often does not reap at all). So pytest forks before the first test: the child goes on as pytest, the
parent is a subreaper (PR_SET_CHILD_SUBREAPER, prctl(2)) and tells by a pipe how each orphan ended.
When pytest has ended, however it did, the reaper ends what is left of all that the tests started.
"""

from __future__ import annotations

import ctypes
import os
import signal
from types import FrameType

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36

_CLEAR_UP = 120  # seconds that pytest has after SIGTERM
_DIE = 10  # seconds within which what was killed has to be gone

_libc = ctypes.CDLL(None, use_errno=True)


def continue_below_a_reaper() -> int:
    """Fork; return in the child only, with the end of the pipe to read (see ``Exits``)."""
    read_end, write_end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    if _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0:
        raise OSError(ctypes.get_errno(), "prctl PR_SET_CHILD_SUBREAPER")
    parent = os.getpid()
    child = os.fork()
    if child:
        try:
            os.close(read_end)
            _reap_until_gone(child, write_end)
        finally:
            os._exit(1)  # never back into pytest
    os.close(write_end)
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
    return read_end


def _reap_until_gone(child: int, report: int) -> None:
    """Reap everything, and end as pytest ended."""

    def forward(number: int, _: FrameType | None) -> None:
        os.kill(child, number)
        signal.alarm(_CLEAR_UP)

    def lose_patience(_number: int, _: FrameType | None) -> None:
        os.kill(child, signal.SIGKILL)

    # The terminal's Ctrl-C reaches pytest by itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGQUIT, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, forward)
    signal.signal(signal.SIGALRM, lose_patience)
    while True:
        pid, status = os.waitpid(-1, 0)
        code = os.waitstatus_to_exitcode(status)
        if pid == child:
            _end_what_is_left()
            if code < 0:
                if -code != signal.SIGKILL:  # whose action nobody can set
                    signal.signal(-code, signal.SIG_DFL)
                os.kill(os.getpid(), -code)
            os._exit(abs(code))
        try:
            os.write(report, f"{pid} {code}\n".encode())
        except BlockingIOError:  # nobody reads: so nobody asks either
            pass


def _end_what_is_left() -> None:
    """Kill the orphans, then those who became orphans by that, and so on."""
    signal.signal(signal.SIGALRM, lambda *_: os._exit(1))  # one that cannot even be killed
    signal.alarm(_DIE)
    while True:
        for orphan in _children():
            os.kill(orphan, signal.SIGKILL)  # not reaped yet, so the number is still its own
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            break
    signal.alarm(0)


def _children() -> list[int]:
    own = os.getpid()
    with open(f"/proc/self/task/{own}/children") as file:
        return [int(word) for word in file.read().split()]


class Exits:
    """How adopted orphans ended, as the reaper tells it: code, or minus signal."""

    def __init__(self) -> None:
        self.fd = -1
        self._known: dict[int, int] = {}
        self._rest = b""

    def listen(self, fd: int) -> None:
        """Read from this pipe from now on."""
        self.fd = fd

    def drain(self) -> None:
        """Take in what has been told so far."""
        if self.fd < 0:
            return
        while True:
            try:
                chunk = os.read(self.fd, 65536)
            except BlockingIOError:
                return
            if not chunk:
                return
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            for line in lines:
                pid, code = line.split()
                self._known[int(pid)] = int(code)

    def forget(self) -> None:
        """Drop what belongs to earlier tests: process numbers come round again."""
        self.drain()
        self._known.clear()

    def take(self, pid: int) -> int | None:
        """Return how a process ended, once; None if that is not known."""
        self.drain()
        return self._known.pop(pid, None)


exits = Exits()
