"""What the engines' drivers share: a place, calling a client, a daemon, a pseudo-terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import shutil
import signal
import struct
import subprocess
import tempfile
import termios
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.mountinfo import cgroup_mounts, mounts
from tests.support.runtimes import CRECHE, PATH_VARIABLE, Result
from tests.support.waiting import (
    DEADLINE,
    read_all,
    read_until,
    wait_exit,
    wait_path,
    wait_readable,
)

IMAGE = "localhost/crt-busybox:latest"
PAUSE_IMAGE = "localhost/crt-pause:latest"  # a pod's own process
ENVIRONMENT = {"PATH": PATH_VARIABLE, "HOME": "/root"}


def need(*programs: str) -> None:
    """Skip where an engine is not installed."""
    for program in programs:
        if shutil.which(program, path=PATH_VARIABLE) is None:
            pytest.skip(f"needs {program}: ./dev engines installs it")


def program(runtime: str) -> str:
    """Return the path of a runtime's program."""
    if runtime == "creche":
        return str(CRECHE)
    found = shutil.which(runtime, path=PATH_VARIABLE)
    if found is None:
        pytest.skip(f"{runtime} is not installed")
    return found


def call(
    argv: Sequence[str],
    *,
    stdin: bytes | None = None,
    env: Mapping[str, str] = ENVIRONMENT,
    cwd: Path | str | None = None,
    timeout: float = DEADLINE,
) -> Result:
    """Call a client and wait for it; its output goes to files, so a daemonised child is no bother.

    stdin is what to send, through a pipe; None is /dev/null.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        done = subprocess.run(
            argv,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            stdout=out,
            stderr=err,
            env=dict(env),
            cwd=cwd,
            timeout=timeout,
        )
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode(errors="replace"))
    return Result(list(argv), done.returncode, texts[0], texts[1])


class Terminal:
    """A client that runs in a pseudo-terminal of its own, as at somebody's prompt."""

    def __init__(self, master: int, process: subprocess.Popen[bytes]) -> None:
        self.master = master
        self.process = process
        self._unread = b""

    def resize(self, rows: int, columns: int) -> None:
        """Change the window's size; the kernel sends SIGWINCH to the client."""
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))

    def type(self, text: str) -> None:
        """Send keys."""
        os.write(self.master, text.encode())

    def read_until(self, marker: str) -> str:
        """Return what the terminal shows, up to a marker and no further."""
        wanted = marker.encode()
        while wanted not in self._unread:
            if not wait_readable(self.master):
                raise TimeoutError(f"no {marker!r}, only {self._unread!r}")
            self._unread += os.read(self.master, 65536)
        shown, found, self._unread = self._unread.partition(wanted)
        return (shown + found).decode(errors="replace")

    def wait(self) -> int:
        """Wait for the client's end and return its exit status."""
        return self.process.wait(DEADLINE)


@contextmanager
def terminal(
    argv: Sequence[str], *, rows: int = 30, columns: int = 100, env: Mapping[str, str] = ENVIRONMENT
) -> Iterator[Terminal]:
    """Start a client in a terminal of the given size."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))

    def lead() -> None:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    process = subprocess.Popen(
        argv,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**env, "TERM": "xterm"},
        start_new_session=True,
        preexec_fn=lead,
    )
    os.close(slave)
    try:
        yield Terminal(master, process)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        os.close(master)


@contextmanager
def follow(
    argv: Sequence[str], env: Mapping[str, str] = ENVIRONMENT
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a client that goes on (logs -f, events …); its stdout is a pipe."""
    process = subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=env
    )
    assert process.stdout is not None
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stdout.close()


class Process:
    """A client in the background; its stdout and stderr come through one pipe."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        self.process = process
        self._out = process.stdout.fileno()
        self._unread = b""

    def read_until(self, marker: str) -> str:
        """Return the output from here, up to a marker and no further."""
        wanted = marker.encode()
        while wanted not in self._unread:
            if not wait_readable(self._out):
                raise TimeoutError(f"no {marker!r}, only {self._unread!r}")
            if not (chunk := os.read(self._out, 65536)):
                raise EOFError(f"no {marker!r} before the end, only {self._unread!r}")
            self._unread += chunk
        shown, found, self._unread = self._unread.partition(wanted)
        return (shown + found).decode(errors="replace")

    def read_rest(self) -> str:
        """Return the output up to its end."""
        return (self._unread + read_all(self._out)).decode(errors="replace")

    def wait(self) -> int:
        """Wait for the client's end and return its exit status."""
        return self.process.wait(DEADLINE)


@contextmanager
def background(argv: Sequence[str], env: Mapping[str, str] = ENVIRONMENT) -> Iterator[Process]:
    """Start a client whose output and exit status are of interest later."""
    out = subprocess.PIPE
    process = subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, env=dict(env)
    )
    try:
        yield Process(process)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def read_line_with(process: subprocess.Popen[bytes], marker: str) -> str:
    """Read a followed client's output up to a marker."""
    assert process.stdout is not None
    return read_until(process.stdout.fileno(), marker.encode()).decode(errors="replace")


def read_rest(process: subprocess.Popen[bytes]) -> str:
    """Read a followed client's output to its end."""
    assert process.stdout is not None
    return read_all(process.stdout.fileno()).decode(errors="replace")


class Daemon:
    """A daemon that a test started, and ends by its process number."""

    def __init__(self, argv: Sequence[str], socket: Path, log: Path) -> None:
        self.argv, self.socket, self.log = list(argv), socket, log
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, env: Mapping[str, str] = ENVIRONMENT) -> None:
        """Start it and wait until its socket is there."""
        self.socket.unlink(missing_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=dict(env),
                cwd=self.log.parent,  # Slurm's step daemon may leave a core there
                start_new_session=True,
            )
        try:
            wait_path(self.socket)
        except TimeoutError:
            raise AssertionError(self.tail()) from None

    def tail(self) -> str:
        """Return the last words of its log."""
        return self.log.read_text(errors="replace")[-4000:]

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Ask it to end, or make it, and wait for that."""
        if self.process is None:
            return
        pid = self.process.pid
        if self.process.poll() is None:
            self.process.send_signal(number)
            try:
                wait_exit(pid, 30)
            except TimeoutError:
                self.process.kill()
        self.process.wait()
        self.process = None


IDLE = "trap 'exit 3' TERM; echo ready; while :; do sleep 1000 & wait; done"
STUBBORN = "trap '' TERM; echo ready; while :; do sleep 1000; done"

# Eats memory when told to: a shim that is not done with a container's start misses what happens.
HUNGRY = "mkfifo /tmp/f; echo ready; read x </tmp/f; dd if=/dev/zero of=/dev/null bs=100M; "
FEED = ("/bin/sh", "-c", "echo >/tmp/f")


def own_cgroups(pid: int) -> dict[str, Path]:
    """Return the directories of a process's control groups, by controller ("" is version 2)."""
    tops = cgroup_mounts()
    found = {}
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, names, path = line.split(":", 2)
        for name in names.split(","):
            if names in tops:
                found[name] = tops[names] / path.lstrip("/")
    return found


def parent_of(pid: int) -> int:
    """Return a process's parent."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@dataclass
class Place:
    """Where one engine with one runtime lives."""

    runtime: str
    directory: Path  # on disk
    run: Path  # on the session's tmpfs
    cgroup: str  # below the root of every hierarchy, without a leading slash
    image_tar: Path
    allowed_in_run: set[str] = field(default_factory=set)  # what an engine puts into /run itself
    daemons: list[Daemon] = field(default_factory=list)

    @property
    def program(self) -> str:
        """Return the path of the runtime's program."""
        return program(self.runtime)

    @contextmanager
    def another(self, directory: Path) -> Iterator[Place]:
        """Give a place for a second daemon, in the same control group."""
        run = self.run.with_name(f"{self.run.name}-2")
        run.mkdir()
        place = Place(self.runtime, directory, run, self.cgroup, self.image_tar)
        try:
            yield place
        finally:
            place.end()
            shutil.rmtree(run)

    def end(self) -> None:
        """Stop every daemon, the youngest first; unmount what it kept mounted while it ran."""
        for daemon in reversed(self.daemons):
            daemon.stop()
        targets = [mount.target for mount in mounts() if mount.target.startswith(f"{self.run}/")]
        for target in sorted(targets, reverse=True):
            call(["umount", target]).ok()
