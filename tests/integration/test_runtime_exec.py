"""Terminals handed over or attended to, and `exec` side by side with runc."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import struct
import subprocess
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.bundle import Bundle
from tests.support.inside import (
    IDLE,
    ask,
    ask_running,
    launched,
    message,
    namespaces,
    parse_status,
)
from tests.support.runtimes import Result, Runtime
from tests.support.waiting import DEADLINE, read_until, wait_exit

pytestmark = pytest.mark.root

Bundles = Callable[..., Bundle]


# Terminals ----------------------------------------------------------------------------------------


@contextmanager
def console_socket(directory: Path) -> Iterator[tuple[str, Callable[[], tuple[int, str]]]]:
    """An engine's socket: its path, and a function that takes the descriptor and the payload."""
    path = str(directory / "console")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(path)
        listener.listen(1)
        listener.settimeout(DEADLINE)

        def take() -> tuple[int, str]:
            connection, _ = listener.accept()
            with connection:
                data, fds, _, _ = socket.recv_fds(connection, 4096, 2)
                assert len(fds) == 1
                assert connection.recv(1) == b""
            return fds[0], data.decode()

        yield path, take


def test_a_console_socket(
    runtime: Runtime, bundle: Bundles, container_id: str, tmp_path: Path
) -> None:
    """One descriptor, the pty's master; inside it is everything a terminal is."""
    made = bundle(
        {"process": {"terminal": True, "consoleSize": {"height": 31, "width": 97}}},
        sh="stty size; tty; for n in 0 1 2; do readlink /proc/$$/fd/$n; done;"
        " stat -c '%u:%g %a' $(tty);"
        " test -c /dev/console && echo console; read line; echo got $line; exit 6",
    )
    user = {"uid": 1000, "gid": 1000}
    made.patch({"process": {"user": user}})
    with console_socket(tmp_path) as (path, take):
        runtime.run(["create", "--console-socket", path, "-b", made, container_id]).ok()
        master, payload = take()
    try:
        assert os.isatty(master)
        assert payload.startswith("/dev/")
        runtime.run(["start", container_id]).ok()
        text = read_until(master, b"console").decode().split()
        assert text == ["31", "97", *["/dev/pts/0"] * 4, "1000:5", "620", "console"]
        os.write(master, b"words\n")
        read_until(master, b"got words")
    finally:
        os.close(master)


def test_exec_with_a_console_socket(
    runtime: Runtime, bundle: Bundles, container_id: str, tmp_path: Path
) -> None:
    launched(runtime, container_id, bundle(sh=IDLE))
    with console_socket(tmp_path) as (path, take):
        words = ["exec", "-d", "-t", "--console-socket", path, container_id]
        runtime.run([*words, "sh", "-c", "tty; read x"]).ok()
        master, _ = take()
    try:
        assert b"/dev/pts/0" in read_until(master, b"\n")
        os.write(master, b"\n")
    finally:
        os.close(master)


def test_a_console_socket_without_a_terminal_is_refused(
    runtime: Runtime, bundle: Bundles, container_id: str, tmp_path: Path
) -> None:
    words = ["create", "--console-socket", str(tmp_path / "x"), "-b", str(bundle()), container_id]

    assert "cannot use console socket if" in message(runtime.run(words).failed(1))


def test_a_console_socket_that_nobody_listens_at_undoes_all(
    runtime: Runtime, bundle: Bundles, container_id: str, tmp_path: Path
) -> None:
    made = bundle({"process": {"terminal": True}})
    words = ["create", "--console-socket", str(tmp_path / "none"), "-b", str(made), container_id]
    runtime.run(words).failed(1)

    assert not runtime.exists(container_id)


def _size(fd: int, height: int, width: int) -> None:
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))


def test_the_foreground_on_a_terminal(runtime: Runtime, bundle: Bundles, container_id: str) -> None:
    """The window's size at the start and when it changes; keys; signals; the old modes back."""
    script = (
        "trap 'echo size $(stty size)' WINCH; trap 'echo usr1' USR1; stty size; echo ready;"
        " while read line; do echo line $line; test $line != end || exit 5; done"
    )
    # A trap interrupts read, so the shell is asked again until it hears `end`.
    script = script.replace("while read line; do", "while :; do read line || continue;")
    made = bundle({"process": {"terminal": True}}, sh=script)
    master, slave = os.openpty()
    _size(slave, 33, 77)
    modes = termios.tcgetattr(slave)
    process = runtime.popen(
        ["run", "-b", made, container_id],
        stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
    )  # fmt: skip
    try:
        first = read_until(master, b"ready")
        assert b"33 77" in first or runtime.name == "runc"  # which sets it a little too late
        _size(slave, 44, 88)
        process.send_signal(signal.SIGWINCH)
        read_until(master, b"size 44 88")
        process.send_signal(signal.SIGUSR1)
        read_until(master, b"usr1")
        os.write(master, b"hello\nend\n")
        read_until(master, b"line end")
        assert process.wait(DEADLINE) == 5
        assert termios.tcgetattr(slave)[:4] == modes[:4]
    finally:
        process.kill()
        process.wait()
        os.close(master)
        os.close(slave)


def test_a_pidfd_socket(
    creche: Runtime, bundle: Bundles, container_id: str, tmp_path: Path
) -> None:
    """runc has it since 1.2."""
    with console_socket(tmp_path) as (path, take):
        creche.run(["create", "--pidfd-socket", path, "-b", bundle(), container_id]).ok()
        pidfd, _ = take()
    try:
        info = Path(f"/proc/self/fdinfo/{pidfd}").read_text()
        assert f"Pid:\t{creche.pid(container_id)}\n" in info
    finally:
        os.close(pidfd)


# exec ---------------------------------------------------------------------------------------------


@pytest.fixture
def both(creche: Runtime, runc: Runtime, bundle: Bundles) -> Callable[..., list[Result]]:
    """Run one `exec` in equal containers of both runtimes; creche's answer first."""
    pairs = [(creche, "crt-ours"), (runc, "crt-theirs")]
    for runtime, name in pairs:
        launched(runtime, name, bundle(sh=IDLE))

    def run(options: list[str], command: list[str], **more: Any) -> list[Result]:
        return [runtime.run(["exec", *options, name, *command], **more) for runtime, name in pairs]

    return run


def test_exec_answers_as_runc_does(both: Callable[..., list[Result]], tmp_path: Path) -> None:
    """Environment, user, groups, directory, limits, names: one question after the other."""
    process = tmp_path / "process.json"
    document = {
        "args": ["/bin/sh", "-c", "id; pwd; umask; /bin/env | sort; exit 7"],
        "cwd": "/tmp",
        "env": ["A=1"],
        "user": {"uid": 1000, "gid": 1000, "additionalGids": [5]},
    }
    process.write_text(json.dumps(document))
    status = ["grep", "-E", "^(Cap|NoNewPrivs|Seccomp:|Sig|Groups)", "/proc/self/status"]
    questions: list[tuple[list[str], list[str]]] = [
        ([], ["env"]),
        (["-e", "A=1", "-e", "B=x=y"], ["env"]),
        (["--user", "1000:1000"], ["id"]),
        (["--user", "1000"], ["id"]),
        (["-u", "1000:1001", "-g", "5", "-g", "77"], ["id", "-G"]),
        (["--cwd", "/etc"], ["pwd"]),
        (["--cap", "CAP_NET_ADMIN"], status),
        (["--no-new-privs"], status),
        ([], status),
        ([], ["cat", "/proc/self/limits"]),
        ([], ["hostname"]),
        ([], ["sh", "-c", "exit 9"]),
        ([], ["sh", "-c", "kill -TERM $$"]),
        ([], ["ls", "/proc/self/fd"]),
        (["--process", str(process)], []),
        ([], ["cat"]),
    ]
    for options, command in questions:
        ours, theirs = both(options, command, stdin=b"typed\n")
        if "--cap" in options:
            # runc 1.1 makes it inheritable and ambient as well (CVE-2022-29162).
            names = ("CapPrm", "CapEff", "CapBnd")
            mine, other = parse_status(ours.stdout), parse_status(theirs.stdout)
            assert [mine[n] for n in names] == [other[n] for n in names]
            continue
        if command == ["env"] or "--process" in options:
            assert sorted(ours.stdout.split()) == sorted(theirs.stdout.split()), options
        else:
            assert ours.stdout == theirs.stdout, (options, command)
        assert (ours.rc, ours.stderr) == (theirs.rc, theirs.stderr), (options, command)


def test_exec_refuses_as_runc_does(both: Callable[..., list[Result]]) -> None:
    for options, command, expected in (
        ([], ["nope"], 'exec: "nope": executable file not found in $PATH'),
        ([], ["/nope"], 'exec: "/nope": stat /nope: no such file or directory'),
        ([], ["/etc/passwd"], 'exec: "/etc/passwd": permission denied'),
        (["--cwd", "/nowhere/at/all"], ["true"], "nowhere"),
        ([], [], "process args cannot be empty"),
        (["--process", "/nowhere.json"], [], "/nowhere.json"),
        (["--user", "frob"], ["true"], ""),
    ):
        ours, theirs = both(options, command)
        assert expected in message(ours), ours.describe()
        if "--cwd" not in options:  # runc 1.1 makes the directory; creche does not outside create
            assert ours.rc == theirs.rc == 255, (ours.describe(), theirs.describe())


def test_exec_is_in_every_namespace_and_cgroup(
    runtime: Runtime, bundle: Bundles, container_id: str
) -> None:
    pid = launched(runtime, container_id, bundle(sh=IDLE))
    inside = ask_running(
        runtime,
        container_id,
        ns='for n in /proc/self/ns/*; do echo "${n##*/} $(readlink $n)"; done',
        cgroup="cat /proc/self/cgroup",
        root="ls /; cat /proc/self/mountinfo | wc -l; wc -l </proc/1/mountinfo",
        parent="cut -d' ' -f4 /proc/self/stat",
    )
    found = dict(line.split(" ", 1) for line in inside["ns"].splitlines())

    assert {k: v for k, v in found.items() if not k.endswith("_for_children")} == namespaces(pid)
    for line in inside["cgroup"].splitlines():
        if runtime.name == "creche" or not line.startswith("0:"):
            assert line.endswith(f"/{container_id}"), line
    assert len(set(inside["root"].split()[-2:])) == 1


def test_exec_into_a_created_container(
    runtime: Runtime, bundle: Bundles, container_id: str
) -> None:
    runtime.run(["create", "-b", bundle(sh="exit 4"), container_id]).ok()
    assert runtime.run(["exec", container_id, "hostname"]).ok().stdout == "crt\n"
    assert runtime.status(container_id) == "created"


def test_exec_into_a_stopped_container(
    runtime: Runtime, bundle: Bundles, container_id: str
) -> None:
    pid = launched(runtime, container_id, bundle(sh=IDLE))
    runtime.run(["kill", container_id, "KILL"]).ok()
    wait_exit(pid)
    result = runtime.run(["exec", container_id, "true"]).failed(255)

    assert "cannot exec in a" in message(result)
    assert "stopped" in message(result)


def test_exec_waits_for_a_paused_container_if_asked(
    runtime: Runtime, bundle: Bundles, container_id: str
) -> None:
    launched(runtime, container_id, bundle(sh=IDLE))
    runtime.run(["pause", container_id]).ok()
    process = runtime.popen(["exec", "--ignore-paused", container_id, "echo", "late"])
    refused = runtime.run(["exec", container_id, "true"]).failed(255)
    assert "cannot exec in a paused container (use --ignore-paused to override)" in message(refused)
    assert process.poll() is None
    runtime.run(["resume", container_id]).ok()
    out, err = process.communicate(timeout=DEADLINE)

    assert (process.returncode, out) == (0, b"late\n"), err


def test_exec_forwards_signals_and_hands_on_descriptors(
    runtime: Runtime, bundle: Bundles, container_id: str, tmp_path: Path
) -> None:
    launched(runtime, container_id, bundle(sh=IDLE))
    # What runs in the background must not hold on to the output.
    waiting = "while :; do sleep 1000 >/dev/null 2>&1 & wait; done"
    script = f"trap 'echo got; exit 8' TERM; echo ready; {waiting}"
    process = runtime.popen(["exec", container_id, "sh", "-c", script])
    assert process.stdout is not None
    read_until(process.stdout.fileno(), b"ready")
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=DEADLINE)
    assert (process.returncode, out) == (8, b"got\n"), err

    words = runtime.argv(["exec", "--preserve-fds", "1", container_id])
    words += ["sh", "-c", "echo three >&3"]
    shell = ["/bin/sh", "-c", 'exec 3>"$0" && exec "$@"', str(tmp_path / "three"), *words]
    subprocess.run(shell, check=True)
    assert (tmp_path / "three").read_text() == "three\n"


def test_what_exec_leaves_running_goes_with_the_container(
    runtime: Runtime, bundle: Bundles, container_id: str, tmp_path: Path
) -> None:
    launched(runtime, container_id, bundle(sh=IDLE))
    pid_file = tmp_path / "pid"
    words = ["exec", "-d", "--pid-file", str(pid_file), container_id, "sleep", "1000"]
    runtime.run(words).ok()
    pid = int(pid_file.read_text())
    assert pid in runtime.run(["ps", "-f", "json", container_id]).ok().json()
    runtime.run(["delete", "--force", container_id]).ok()
    wait_exit(pid)


def test_the_executed_program_cannot_see_the_runtime(
    runtime: Runtime, bundle: Bundles, container_id: str
) -> None:
    """No descriptor, no variable, no interpreter: /proc/self/exe is the program's own."""
    inside = ask(
        runtime,
        bundle(),
        container_id,
        exe="readlink /proc/self/exe /proc/1/exe",
        maps="grep -c python /proc/self/maps /proc/1/maps",
        env="tr '\\0' '\\n' </proc/1/environ",
    )

    assert "python" not in inside["exe"]
    assert all(line.endswith(":0") for line in inside["maps"].splitlines())
    assert "PYTHON" not in inside["env"]
