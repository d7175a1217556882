"""The caller's terminal joined to a container's: keystrokes in, output back, the size kept equal.

Neither a reader that stalls nor an input that has ended stops the rest.
"""

from __future__ import annotations

import fcntl
import os
import select
import stat
import struct

from runtime.foreground import forward

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal

    from runtime.foreground import Signals
else:
    import _signal

CHUNK = 65536
# A pipe or a terminal that polls writable takes this much without blocking (PIPE_BUF).
ATOMIC = 4096
# Ctrl-D: what a terminal's line discipline reads as the end of input.
END_OF_INPUT = b"\x04"

TIOCGWINSZ = 0x5413
TIOCSWINSZ = 0x5414
# ioctl_tty(2), Linux 4.13: the slave of this very master, whatever /dev/pts shows.
TIOCGPTPEER = 0x5441


class Session:
    """A terminal's master joined to this process' standard input and output."""

    __slots__ = (
        "_ended",
        "_fresh_line",
        "_input",
        "_master",
        "_output",
        "_peer",
        "_pidfd",
        "_saved",
        "_signals",
        "_stdin",
        "_stdout",
        "_tty",
        "_tty_owned",
    )

    def __init__(self, pidfd: int, signals: Signals, master: int) -> None:
        self._pidfd = pidfd
        self._signals = signals
        self._master = master
        self._peer = -1
        self._stdin: int | None = 0
        self._stdout: int | None = 1
        self._tty, self._tty_owned = find_tty()
        self._saved: list[int | list[bytes | int]] | None = None
        self._input = b""
        self._output = b""
        self._fresh_line = True
        self._ended = False

    def begin(self) -> None:
        """Make the caller's terminal raw and the container's as large."""
        os.set_blocking(self._master, False)
        try:
            # While we hold the slave, a program that closes its terminal and opens it again (a
            # login does) is not taken for the end of the output.
            flags = os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC
            self._peer = fcntl.ioctl(self._master, TIOCGPTPEER, flags)
        except OSError:
            self._peer = -1
        self._stdout = unblocked(1)
        self._resize()
        self._raw()

    def end(self) -> None:
        """Put the caller's terminal back and close what was opened."""
        if self._saved is not None:
            import termios

            try:
                termios.tcsetattr(0, termios.TCSANOW, self._saved)
            except termios.error:
                pass  # the terminal has gone
            self._saved = None
        owned = [self._peer, self._master]
        if self._stdout is not None and self._stdout != 1:
            owned.append(self._stdout)
        if self._tty is not None and self._tty_owned:
            owned.append(self._tty)
        for fd in owned:
            if fd >= 0:
                os.close(fd)

    def relay(self) -> None:
        """Copy both ways until the process has ended and its output is out."""
        while True:
            ready = self._poll()
            if not self._take_signals() and self._ended:
                return
            if ready.get(self._pidfd):
                self._ended = True
            if self._stdin is not None and ready.get(self._stdin):
                self._read_input()
            if self._input and ready.get(self._master, 0) & select.POLLOUT:
                self._write_input()
            drained = False
            if self._ended or ready.get(self._master, 0) & ~select.POLLOUT:
                drained = self._read_output()
            if self._stdout is None or ready.get(self._stdout):
                self._write_output()
            if self._ended and drained and not self._output:
                return

    def _poll(self) -> dict[int, int]:
        poll = select.poll()
        poll.register(self._signals.fd, select.POLLIN)
        if not self._ended:
            poll.register(self._pidfd, select.POLLIN)
        if self._stdin is not None and not self._input and not self._ended:
            poll.register(self._stdin, select.POLLIN)
        wanted = select.POLLOUT if self._input else 0
        if len(self._output) < CHUNK:
            wanted |= select.POLLIN
        if wanted and not self._ended:
            poll.register(self._master, wanted)
        if self._output and self._stdout is not None:
            poll.register(self._stdout, select.POLLOUT)
        if self._ended and not self._output:
            return {}
        return dict(poll.poll())

    def _take_signals(self) -> bool:
        """Forward what has arrived; False if it was a request to end."""
        go_on = True
        for number in self._signals.take():
            if number == _signal.SIGWINCH:
                self._resize()
                continue
            if number == _signal.SIGCONT:
                self._raw()
            if number in {_signal.SIGINT, _signal.SIGTERM, _signal.SIGHUP}:
                go_on = False
            forward(self._pidfd, number)
        return go_on

    def _read_input(self) -> None:
        assert self._stdin is not None
        try:
            data = os.read(self._stdin, ATOMIC)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self._input = data
            return
        if self._saved is None:
            # The input was a file, a pipe or /dev/null: its end is the end of what is typed. In
            # the middle of a line the first Ctrl-D only hands over the line.
            self._input = END_OF_INPUT if self._fresh_line else END_OF_INPUT * 2
        self._stdin = None

    def _write_input(self) -> None:
        try:
            count = os.write(self._master, self._input)
        except BlockingIOError:
            return
        except OSError:
            self._input = b""
            return
        self._fresh_line = self._input[count - 1 : count] == b"\n"
        self._input = self._input[count:]

    def _read_output(self) -> bool:
        """Take what the container wrote; True if there is no more for now."""
        while len(self._output) < CHUNK:
            try:
                data = os.read(self._master, CHUNK)
            except BlockingIOError:
                return True
            except OSError:
                # EIO: nothing holds the slave any more (only without TIOCGPTPEER).
                return True
            if not data:
                return True
            self._output += data
            if not self._ended:
                return False
        return False

    def _write_output(self) -> None:
        if self._stdout is None:
            self._output = b""
            return
        try:
            count = os.write(self._stdout, self._output[:ATOMIC])
        except BlockingIOError:
            return
        except OSError:
            # Nobody reads any more: the container goes on without being heard.
            self._stdout = None
            self._output = b""
            return
        self._output = self._output[count:]

    def _resize(self) -> None:
        if self._tty is None:
            return
        try:
            size = fcntl.ioctl(self._tty, TIOCGWINSZ, bytes(8))
            if size[:4] != bytes(4):
                fcntl.ioctl(self._master, TIOCSWINSZ, size)
        except OSError:
            return

    def _raw(self) -> None:
        """Raw mode, if the terminal is where the input comes from (otherwise Ctrl-C must work)."""
        if not os.isatty(0):
            return
        import termios

        try:
            mode = termios.tcgetattr(0)
        except termios.error:
            return
        if self._saved is None:
            self._saved = [*mode[:6], list(mode[6])]
        mode[0] &= ~(
            termios.IGNBRK
            | termios.BRKINT
            | termios.PARMRK
            | termios.ISTRIP
            | termios.INLCR
            | termios.IGNCR
            | termios.ICRNL
            | termios.IXON
        )
        mode[1] &= ~termios.OPOST
        mode[2] = mode[2] & ~(termios.CSIZE | termios.PARENB) | termios.CS8
        mode[3] &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN)
        mode[6][termios.VMIN] = 1
        mode[6][termios.VTIME] = 0
        try:
            termios.tcsetattr(0, termios.TCSANOW, mode)
        except termios.error:
            return


def find_tty() -> tuple[int | None, bool]:
    """A terminal of the caller's, for its size, and whether it was opened here."""
    for fd in (0, 1, 2):
        if os.isatty(fd):
            return fd, False
    try:
        return os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC), True
    except OSError:
        return None, False


def copy_window(master: int) -> None:
    """Give a pty the size of the caller's terminal, before anybody on it can ask for the size."""
    size = _window()
    if any(size):
        try:
            fcntl.ioctl(master, TIOCSWINSZ, size)
        except OSError:
            pass  # a size is a comfort


def caller_size() -> tuple[int, int] | None:
    """(rows, columns) of the caller's terminal, or None if it has none or does not know."""
    rows, columns, _, _ = struct.unpack("HHHH", _window())
    return (rows, columns) if rows and columns else None


def _window() -> bytes:
    """struct winsize of the caller's terminal; zeroes if there is none (ioctl_tty(2))."""
    tty, opened = find_tty()
    if tty is None:
        return bytes(8)
    try:
        return fcntl.ioctl(tty, TIOCGWINSZ, bytes(8))
    except OSError:
        return bytes(8)
    finally:
        if opened:
            os.close(tty)


def unblocked(fd: int) -> int:
    """A non-blocking descriptor for the same pipe or terminal, else fd itself.

    O_NONBLOCK belongs to the open file, which the caller's shell shares; opening it anew gives
    one of our own.
    """
    try:
        mode = os.fstat(fd).st_mode
        if stat.S_ISFIFO(mode) or (stat.S_ISCHR(mode) and os.isatty(fd)):
            flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
            return os.open(f"/proc/self/fd/{fd}", flags)
    except OSError:
        pass
    return fd
