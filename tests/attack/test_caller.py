"""What the caller of the runtime has, and the container must not get: its terminal, its signals,
its umask, its environment, its sockets, and what it has put into the configuration as a secret.
"""

from __future__ import annotations

import os
import pty
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.attack.lab import CANARY, Lab
from tests.support.bundle import PATH_VARIABLE
from tests.support.inside import parse_status
from tests.support.runtimes import Result, Runtime
from tests.support.waiting import DEADLINE, read_until, wait_path

pytestmark = pytest.mark.root

Peer = Callable[[Callable[[Runtime], str]], str]

# The terminal -------------------------------------------------------------------------------------

# What is typed with TIOCSTI at the caller's shell needs its terminal to be the controlling one, and
# so does opening /dev/tty.
REACH = (
    "if (: <>/dev/tty) 2>/dev/null; then echo reached; else echo held; fi >/said; mv /said /verdict"
)


def terminal(lab: Lab, runtime: Runtime, command: str) -> str:
    """Somebody types the command in a terminal; the container has that as its standard streams."""
    made = lab.bundle(sh=REACH if command == "run" else "sleep 1000")
    os.mknod(made.rootfs / "dev/tty", 0o20666, os.makedev(5, 0))
    made.patch({"mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}]})
    name = lab.name()
    words = ["run", "-d", "-b", str(made), name]
    if command == "exec":
        runtime.run(words).ok()
        words = ["exec", name, "/bin/sh", "-c", REACH]
    child, master = pty.fork()
    if child == 0:
        try:
            # The shell leads the session and stays: with it, the terminal would go.
            argv = ["sh", "-c", '"$@"; echo "done: $?"; read line', "sh", *runtime.argv(words)]
            os.execv("/bin/sh", argv)
        finally:
            os._exit(127)
    try:
        assert b"done: 0" in read_until(master, b"done: ", DEADLINE)
        wait_path(made.rootfs / "verdict")
        runtime.run(["delete", "--force", name])
    finally:
        os.write(master, b"\n")
        os.waitpid(child, 0)
        os.close(master)
    said = (made.rootfs / "verdict").read_text().strip()
    return "the caller's terminal was reached" if said == "reached" else ""


@pytest.mark.parametrize("command", ["run", "exec"])
def test_the_callers_terminal_is_out_of_reach(lab: Lab, creche: Runtime, command: str) -> None:
    assert terminal(lab, creche, command) == ""


@pytest.mark.parametrize("command", ["run", "exec"])
def test_a_mutant_reaches_the_callers_terminal(lab: Lab, command: str) -> None:
    assert terminal(lab, lab.creche("no-session"), command)


@pytest.mark.parametrize("command", ["run", "exec"])
def test_peers_terminal(lab: Lab, peer: Peer, command: str) -> None:
    peer(lambda runtime: terminal(lab, runtime, command))


# Signals, umask, environment ----------------------------------------------------------------------

LOOK = """
grep -E '^(Sig|Shd)' /proc/self/status
echo "Umask: $(umask)"
echo "Variables: "$(/bin/busybox env | /bin/busybox cut -d= -f1)
"""
CLEAN = {"SigBlk": "0000000000000000", "SigIgn": "0000000000000000", "Umask": "0022"}


def oddly(runtime: Runtime, words: list[str]) -> Result:
    """A call by somebody who ignores and blocks signals, with an odd umask and environment."""

    def make_odd() -> None:
        os.umask(0)
        for number in (signal.SIGINT, signal.SIGPIPE, signal.SIGUSR1):
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGCHLD, signal.SIGUSR2])

    argv = runtime.argv(words)
    done = subprocess.run(
        argv,
        preexec_fn=make_odd,
        env={"CALLER": "1", "LC_CTYPE": "C.UTF-8", "PATH": "/bin"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    return Result(argv, done.returncode, done.stdout, done.stderr)


def inherited(lab: Lab, runtime: Runtime, command: str) -> str:
    made = lab.bundle(sh=LOOK if command == "run" else "sleep 1000")
    name = lab.name()
    words = ["run", "-b", str(made), name]
    if command == "exec":
        runtime.run(["run", "-d", *words[1:]]).ok()
        words = ["exec", name, "/bin/sh", "-c", LOOK]
    found = parse_status(oddly(runtime, words).ok().stdout)
    wrong = {key: found[key] for key in CLEAN if found[key] != CLEAN[key]}
    names = found["Variables"].split()
    if not set(names) <= {"HOME", "PATH", "TERM", "SHLVL", "PWD"}:
        wrong["Variables"] = str(names)
    return f"{wrong}" if wrong else ""


@pytest.mark.parametrize("command", ["run", "exec"])
def test_nothing_of_the_caller_is_inherited(lab: Lab, creche: Runtime, command: str) -> None:
    assert inherited(lab, creche, command) == ""


@pytest.mark.parametrize(
    ("mutant", "what"),
    [("callers-signals", "SigIgn"), ("callers-umask", "Umask"), ("callers-environment", "CALLER")],
)
def test_a_mutant_inherits(lab: Lab, mutant: str, what: str) -> None:
    assert what in inherited(lab, lab.creche(mutant), "run")


@pytest.mark.parametrize("command", ["run", "exec"])
def test_peers_inherited(lab: Lab, peer: Peer, command: str) -> None:
    peer(lambda runtime: inherited(lab, runtime, command))


# Sockets passed to somebody else ------------------------------------------------------------------


def listens(lab: Lab, runtime: Runtime) -> str:
    """LISTEN_FDS in the environment was meant for another process: LISTEN_PID says so."""
    made = lab.bundle(sh="cat <&3")
    environment = {"LISTEN_FDS": "1", "LISTEN_PID": "1", "PATH": "/bin"}
    argv = runtime.argv(["run", "-b", str(made), lab.name()])
    words = ["/bin/sh", "-c", 'file=$1; shift; exec "$@" 3<"$file"', "sh", str(lab.canary), *argv]
    result = subprocess.run(
        words, env=environment, capture_output=True, text=True, timeout=DEADLINE
    )
    return "the descriptor came along" if CANARY in result.stdout else ""


def test_sockets_of_another_process_do_not_come_along(lab: Lab, creche: Runtime) -> None:
    assert listens(lab, creche) == ""
    assert listens(lab, lab.creche("listens-for-others"))


def test_peers_sockets(lab: Lab, peer: Peer) -> None:
    peer(lambda runtime: listens(lab, runtime))


# /dev/null as a standard stream -------------------------------------------------------------------


@contextmanager
def own_null(lab: Lab) -> Iterator[Path]:
    """A null device that stands in for the machine's, so that a mutant may spoil it."""
    node = lab.host / "null"
    os.mknod(node, 0o20666, os.makedev(1, 3))
    lab.prepared()
    yield node


def chowned(lab: Lab, runtime: Runtime) -> str:
    """`exec --user` with /dev/null as standard streams: whose is it afterwards?"""
    name = lab.name()
    runtime.run(["run", "-d", "-b", lab.bundle(args=["/bin/sleep", "1000"]), name]).ok()
    with own_null(lab) as node:
        fd = os.open(node, os.O_RDWR)
        try:
            runtime.run(["exec", "--user", "1000:1000", name, "/bin/true"], stdin=fd).ok()
        finally:
            os.close(fd)
        return lab.damage()


def test_the_null_device_keeps_its_owner(lab: Lab, creche: Runtime) -> None:
    assert chowned(lab, creche) == ""
    assert " 1000 " in chowned_anew(lab)


def chowned_anew(lab: Lab) -> str:
    (lab.host / "null").unlink()
    return chowned(lab, lab.creche("chowns-null"))


def test_peers_null(lab: Lab, peer: Peer) -> None:
    peer(lambda runtime: chowned(lab, runtime))


def reopened(lab: Lab, runtime: Runtime, how: str) -> str:
    """CVE-2026-88265: the image's /dev/null is a link to a file; does standard input become it?

    The link leads to a file of the image, which stands for any.
    """
    volume = lab.directory / f"dev{lab.name()}"
    volume.mkdir()
    (volume / "null").symlink_to("/chosen")
    made = lab.bundle(sh="readlink /proc/self/fd/0; stat -c 'owner %u' /chosen")
    (made.rootfs / "chosen").write_text("chosen by the image\n")
    bind = {"destination": "/dev", "type": "bind", "source": str(volume), "options": ["bind"]}
    mounts = [{"destination": "/proc", "type": "proc", "source": "proc"}, bind]
    made.patch({"mounts": mounts, "process": {"user": {"uid": 1000, "gid": 1000}}})
    argv = runtime.argv(["run", "-b", str(made), lab.name()])
    if how == "closed":
        argv = ["/bin/sh", "-c", 'exec "$@" <&-', "sh", *argv]
    result = subprocess.run(
        argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DEADLINE
    )
    got = result.stdout
    return f"standard input is {got!r}" if "chosen" in got or "owner 1000" in got else ""


@pytest.mark.parametrize("how", ["closed", "null"])
def test_standard_input_is_not_the_images_choice(lab: Lab, creche: Runtime, how: str) -> None:
    assert reopened(lab, creche, how) == ""
    assert reopened(lab, lab.creche("reopens-null"), how)


@pytest.mark.parametrize("how", ["closed", "null"])
def test_peers_reopened(lab: Lab, peer: Peer, how: str) -> None:
    peer(lambda runtime: reopened(lab, runtime, how))


# Secrets ------------------------------------------------------------------------------------------

SECRET = "correct-horse-battery-staple"
# Ways for a launch to fail when the environment is known already.
FAILURES: dict[str, dict[str, object]] = {
    "program": {"process": {"args": ["/missing"]}},
    "directory": {"process": {"cwd": "/proc/self/fd/7/x"}},
    "hook": {"hooks": {"createContainer": [{"path": "/bin/false"}]}},
    "limit": {"process": {"rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1 << 62, "soft": 1}]}},
    "mount": {"mounts": [{"destination": "/x", "type": "no-such-filesystem", "source": "x"}]},
    "document": {"process": {"cwd": 7}},
}


def told(lab: Lab, runtime: Runtime, failure: str) -> str:
    """A variable's value in what is logged, or in a core file, when things go wrong."""
    made = lab.bundle({"process": {"env": [PATH_VARIABLE, f"TOKEN={SECRET}"]}}, args=["/bin/true"])
    made.patch(FAILURES[failure])
    log = lab.directory / "log"
    words = ["--debug", "--log", str(log), "run", "-b", str(made), lab.name()]
    result = runtime.run(words, cwd=lab.directory)
    assert result.rc, result.describe()
    said = result.stdout + result.stderr + (log.read_text() if log.exists() else "")
    return "the secret was logged" if SECRET in said else ""


@pytest.mark.parametrize("failure", FAILURES)
def test_a_secret_is_not_logged(lab: Lab, creche: Runtime, failure: str) -> None:
    assert told(lab, creche, failure) == ""


def test_a_mutant_logs_it(lab: Lab) -> None:
    assert told(lab, lab.creche("prints-environment"), "program")


@pytest.mark.parametrize("failure", FAILURES)
def test_peers_secrets(lab: Lab, peer: Peer, failure: str) -> None:
    peer(lambda runtime: told(lab, runtime, failure))
