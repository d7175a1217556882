"""A container in the foreground: the caller's signals go to it, its end is our exit status.

One poll loop, no threads. Signals reach the container's process by its pidfd, so they can never hit
a process that got its number later.
"""

from __future__ import annotations

import os
import select

from runtime.errors import KernelError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from types import FrameType
else:
    import _signal

# Not forwarded: what cannot be caught, what only concerns this process (its children, faults,
# urgent data, broken pipes, job control), as runc does.
NOT_FORWARDED = frozenset(
    (
        _signal.SIGKILL,
        _signal.SIGSTOP,
        _signal.SIGCHLD,
        _signal.SIGURG,
        _signal.SIGPIPE,
        _signal.SIGTSTP,
        _signal.SIGTTIN,
        _signal.SIGTTOU,
        _signal.SIGSEGV,
        _signal.SIGBUS,
        _signal.SIGFPE,
        _signal.SIGILL,
    )
)

# More signals than can be queued between two turns of the loop.
QUEUE = 4096


class Signals:
    """The caller's signals, queued for the poll loop from the moment this object exists.

    Made before the container is, so that a signal that arrives while it is created reaches it
    afterwards. Programs that we start get default handlers from execve(2).
    """

    __slots__ = ("fd",)

    def __init__(self) -> None:
        self.fd, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        _signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for number in _signal.valid_signals():
            if number not in NOT_FORWARDED:
                _signal.signal(number, _queued)

    def take(self) -> bytes:
        """The numbers of the signals since the last call, one a byte."""
        try:
            return os.read(self.fd, QUEUE)
        except BlockingIOError:
            return b""


def _queued(number: int, frame: FrameType | None) -> None:
    """Python wants a handler; the number is in the pipe already."""


def attend(pidfd: int, signals: Signals, master: int | None = None) -> int:
    """Stay with a process until it ends; returns the status a shell would show.

    master: its terminal's master, which is consumed (closed at the end).
    """
    if master is None:
        _wait(pidfd, signals)
    else:
        from runtime.terminal import Session

        session = Session(pidfd, signals, master)
        try:
            session.begin()
            session.relay()
        finally:
            session.end()
    return exit_status(pidfd)


def exit_status(pidfd: int) -> int:
    """Reap our own child: its exit status, or 128 and the signal that killed it.

    Raises KernelError.
    """
    try:
        ended = os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
    except OSError as error:
        raise KernelError("wait for", "the container's process", error.errno or 0) from None
    assert ended is not None
    return ended.si_status if ended.si_code == os.CLD_EXITED else 128 + ended.si_status


def forward(pidfd: int, number: int) -> None:
    """Send a signal on, unless the process has ended or may not be signalled."""
    try:
        _signal.pidfd_send_signal(pidfd, number)
    except OSError:
        return


def _wait(pidfd: int, signals: Signals) -> None:
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    poll.register(signals.fd, select.POLLIN)
    while True:
        ready = dict(poll.poll())
        for number in signals.take():
            if number != _signal.SIGWINCH:
                forward(pidfd, number)
        if pidfd in ready:
            return
