"""The foreground: terminal relay and signal forwarding, with real terminals and processes.

A process of its own attends to a shell on a pseudo-terminal, as `creche run` does to a container.
"""

from __future__ import annotations

import array
import fcntl
import os
import pty
import signal
import socket
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import pytest

import runtime
from runtime.errors import KernelError
from runtime.handover import send_console, send_pidfd
from tests.support.waiting import DEADLINE, read_until

# Starts `sh -c TEXT` (on a terminal if asked), attends to it, exits with the status.
ATTEND = """
import os, sys
sys.path.append(sys.argv[1])
from runtime.start import hold_standard_descriptors
from runtime.foreground import Signals, attend
hold_standard_descriptors()
kind, text = sys.argv[2:4]
signals = Signals()
master = None
if kind == "terminal":
    master, slave = os.openpty()
pid = os.fork()
if pid == 0:
    import signal
    for number in signal.valid_signals():
        try:
            signal.signal(number, signal.SIG_DFL)
        except (OSError, ValueError):
            pass
    os.setsid()
    if master is not None:
        import fcntl, termios
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
        for fd in (0, 1, 2):
            os.dup2(slave, fd)
    os.execv("/bin/sh", ["sh", "-c", text])
if master is not None:
    os.close(slave)
sys.exit(attend(os.pidfd_open(pid), signals, master))
"""

Attended = subprocess.Popen[bytes]


def start(kind: str, text: str, **options: Any) -> Attended:
    root = str(Path(runtime.__file__).parent.parent)
    words: Sequence[str] = [sys.executable, "-I", "-S", "-c", ATTEND, root, kind, text]
    options.setdefault("stdin", subprocess.DEVNULL)
    options.setdefault("stdout", subprocess.PIPE)
    return subprocess.Popen(words, start_new_session=True, **options)


def finish(attended: Attended) -> tuple[bytes, int]:
    out, _ = attended.communicate(timeout=DEADLINE)
    return out, attended.returncode


@pytest.fixture
def outer() -> Iterator[tuple[int, int]]:
    """Give the master and the slave of the terminal that the user sits at."""
    master, slave = pty.openpty()
    yield master, slave
    os.close(master)
    os.close(slave)


def stdout_of(attended: Attended) -> int:
    stream: IO[bytes] | None = attended.stdout
    assert stream is not None
    return stream.fileno()


@pytest.mark.parametrize("kind", ["plain", "terminal"])
@pytest.mark.parametrize(
    ("text", "status"), [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137), ("kill -15 $$", 143)]
)
def test_the_status_is_the_programs(kind: str, text: str, status: int) -> None:
    assert finish(start(kind, text)) == (b"", status)


def test_all_output_arrives_also_what_is_written_last() -> None:
    out, status = finish(start("terminal", "seq 1 20000; echo end"))

    numbers = "".join(f"{number}\r\n" for number in range(1, 20001))
    assert (out.decode(), status) == (numbers + "end\r\n", 0)


def test_the_end_of_the_input_is_the_end_of_what_is_typed() -> None:
    out, status = finish(start("terminal", "stty -echo; cat; echo end"))

    assert (out, status) == (b"end\r\n", 0)


def test_input_from_a_pipe_is_typed() -> None:
    reader, writer = os.pipe()
    os.write(writer, b"one\ntwo")
    os.close(writer)
    attended = start("terminal", 'read a; read b; echo "[$a][$b]"', stdin=reader)
    os.close(reader)
    out, status = finish(attended)

    assert (out[out.rindex(b"[one") :], status) == (b"[one][two]\r\n", 0)


def test_closed_standard_descriptors_do_no_harm() -> None:
    root = str(Path(runtime.__file__).parent.parent)
    words = [sys.executable, "-I", "-S", "-c", ATTEND, root, "terminal", "echo x; exit 4"]
    closing = 'exec "$@" <&- >&-'
    done = subprocess.run(
        ["/bin/sh", "-c", closing, "sh", *words], start_new_session=True, timeout=DEADLINE
    )

    assert done.returncode == 4


def test_a_program_may_close_its_terminal_and_open_it_again() -> None:
    out, status = finish(
        start("terminal", 'tty=$(tty); exec <&- >&- 2>&-; exec >"$tty"; echo again; exit 3')
    )

    assert (out, status) == (b"again\r\n", 3)


def test_a_reader_that_goes_away_does_not_stop_the_program() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    attended = start("terminal", "seq 1 100000; exit 5", stdout=writer)
    os.close(writer)

    assert attended.wait(DEADLINE) == 5


def test_a_reader_that_stalls_does_not_hold_up_signals() -> None:
    reader, writer = os.pipe()
    attended = start("terminal", "trap 'exit 6' TERM; while :; do echo full; done", stdout=writer)
    os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        assert stream.readline() == b"full\r\n"
        attended.send_signal(signal.SIGTERM)
        # Only the end of the shell lets the output end.
        stream.read()

    assert attended.wait(DEADLINE) == 6


@pytest.mark.parametrize("kind", ["plain", "terminal"])
@pytest.mark.parametrize("name", ["HUP", "INT", "QUIT", "TERM", "USR1", "USR2", "ALRM"])
def test_signals_are_forwarded(kind: str, name: str) -> None:
    attended = start(
        kind, f"trap 'echo got {name}; exit 9' {name}; echo ready; while :; do sleep 0.01; done"
    )
    read_until(stdout_of(attended), b"ready")
    attended.send_signal(getattr(signal, f"SIG{name}"))
    out, status = finish(attended)

    assert (f"got {name}" in out.decode(), status) == (True, 9)


def test_realtime_signals_are_forwarded_without_a_handler() -> None:
    attended = start("plain", "echo ready; while :; do sleep 0.01; done")
    read_until(stdout_of(attended), b"ready")
    attended.send_signal(signal.SIGRTMIN + 2)

    assert finish(attended)[1] == 128 + signal.SIGRTMIN + 2


def test_the_users_terminal_is_raw_meanwhile_and_as_before_afterwards(
    outer: tuple[int, int],
) -> None:
    master, slave = outer
    before = termios.tcgetattr(slave)
    attended = start("terminal", "echo ready; read line; echo [$line]", stdin=slave, stdout=slave)
    read_until(master, b"ready")
    during = termios.tcgetattr(slave)
    os.write(master, b"hello\r")
    out = read_until(master, b"[hello]")
    status = attended.wait(DEADLINE)

    assert not during[3] & (termios.ICANON | termios.ECHO | termios.ISIG)
    assert out.count(b"hello") == 2, "echoed once, by the container's terminal"
    assert status == 0
    assert termios.tcgetattr(slave) == before


def test_ctrl_c_is_typed_into_the_container(outer: tuple[int, int]) -> None:
    master, slave = outer
    attended = start(
        "terminal", "trap 'exit 11' INT; echo ready; while :; do sleep 0.01; done",
        stdin=slave, stdout=slave,
    )  # fmt: skip
    read_until(master, b"ready")
    os.write(master, b"\x03")

    assert attended.wait(DEADLINE) == 11


def test_a_terminal_that_only_shows_the_output_keeps_its_mode(outer: tuple[int, int]) -> None:
    master, slave = outer
    before = termios.tcgetattr(slave)
    attended = start("terminal", "echo ready; read line", stdin=subprocess.PIPE, stdout=slave)
    read_until(master, b"ready")
    during = termios.tcgetattr(slave)
    attended.communicate(b"\n", timeout=DEADLINE)

    assert during == before


def test_the_size_is_handed_on_at_once_and_when_it_changes(outer: tuple[int, int]) -> None:
    master, slave = outer
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("4H", 33, 77, 0, 0))
    attended = start(
        "terminal",
        "trap 'stty size; exit' WINCH; while [ \"$(stty size)\" = '0 0' ]; do :; done;"
        "stty size; while :; do sleep 0.01; done",
        stdin=slave,
        stdout=slave,
    )
    first = read_until(master, b"\n")
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("4H", 20, 40, 0, 0))
    attended.send_signal(signal.SIGWINCH)
    second = read_until(master, b"\n")

    assert attended.wait(DEADLINE) == 0
    assert (first, second) == (b"33 77\r\n", b"20 40\r\n")


def test_the_callers_output_stays_blocking(outer: tuple[int, int]) -> None:
    """O_NONBLOCK belongs to the open file, which the user's shell shares."""
    master, slave = outer
    attended = start("terminal", "echo ready; read line", stdin=slave, stdout=slave)
    read_until(master, b"ready")
    during = os.get_blocking(slave)
    os.write(master, b"\r")

    assert attended.wait(DEADLINE) == 0
    assert during


def received(connection: socket.socket) -> tuple[bytes, list[int]]:
    data, ancillary, _, _ = connection.recvmsg(4096, socket.CMSG_SPACE(16))
    fds = array.array("i")
    for _, _, payload in ancillary:
        fds.frombytes(payload)
    return data, list(fds)


@pytest.mark.parametrize("depth", [0, 12], ids=["short path", "longer than sun_path"])
def test_a_console_is_handed_over(tmp_path: Path, depth: int) -> None:
    directory = tmp_path.joinpath(*["directory-name"] * depth)
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "console.sock"
    here = os.open(directory, os.O_PATH)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(f"/proc/self/fd/{here}/console.sock")
        os.close(here)
        server.listen()
        master, slave = pty.openpty()
        send_console(str(path), master, "/dev/pts/0")
        connection, _ = server.accept()
        with connection:
            data, fds = received(connection)
            end = connection.recv(1)
    same = os.fstat(fds[0]).st_rdev == os.fstat(master).st_rdev
    for fd in (master, slave, *fds):
        os.close(fd)

    assert (data, len(fds), same, end) == (b"/dev/pts/0", 1, True, b"")


def test_a_pidfd_is_handed_over(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(str(tmp_path / "s"))
        server.listen()
        own = os.pidfd_open(os.getpid())
        send_pidfd(str(tmp_path / "s"), own)
        os.close(own)
        connection, _ = server.accept()
        with connection:
            data, fds = received(connection)
    text = Path(f"/proc/self/fdinfo/{fds[0]}").read_text()
    os.close(fds[0])

    assert data == b"standard"
    assert f"Pid:\t{os.getpid()}\n" in text


def test_a_missing_socket_is_named(tmp_path: Path) -> None:
    with pytest.raises(KernelError, match=r"--console-socket: .*/none: no such file"):
        send_console(str(tmp_path / "none"), 0, "x")
