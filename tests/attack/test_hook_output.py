"""Hooks that say too much, or leave somebody behind who holds their output open.

containerd's CVE-2022-31030 and conmon's CVE-2022-1708 (output kept in memory without a bound),
containerd's CVE-2025-64329 and CVE-2026-53495 (waiting for an end of file that never comes).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.attack.lab import Lab
from tests.support.bundle import Bundle
from tests.support.runtimes import Runtime
from tests.support.waiting import DEADLINE

pytestmark = pytest.mark.root

Peer = Callable[[Callable[[Runtime], str]], str]

OUTPUT = 32 << 20  # bytes, without a newline
ALLOWED = 8 << 20  # more memory than without a hook
ROUNDS = 20


def hooked(lab: Lab, script: str, count: int = 1) -> Bundle:
    hook = {"path": "/bin/busybox", "args": ["sh", "-c", script], "env": ["PATH=/bin"]}
    return lab.bundle({"hooks": {"createRuntime": [hook] * count}}, args=["/bin/true"])


# A small process in between: what the one that forks has resident counts as the child's, too.
MEASURE = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], stdin=subprocess.DEVNULL, capture_output=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def peak(runtime: Runtime, made: Bundle, name: str) -> int:
    """The most memory that a run has resident, in bytes."""
    argv = runtime.argv(["run", "-b", str(made), name])
    words = [sys.executable, "-I", "-S", "-c", MEASURE, *argv]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    return int(done.stdout) * 1024


def greedy(lab: Lab, runtime: Runtime) -> str:
    quiet = peak(runtime, hooked(lab, "true"), lab.name())
    script = f"dd if=/dev/zero bs=1M count={OUTPUT >> 20} 2>/dev/null; exit 1"
    grown = peak(runtime, hooked(lab, script), lab.name()) - quiet
    return f"{grown >> 20} MiB more" if grown > ALLOWED else ""


def test_output_is_not_kept(lab: Lab, creche: Runtime) -> None:
    assert greedy(lab, creche) == ""
    assert greedy(lab, lab.creche("remembers-all"))


def test_peers_output(lab: Lab, peer: Peer) -> None:
    peer(lambda runtime: greedy(lab, runtime))


def test_what_is_shown_is_one_short_printable_line(lab: Lab, creche: Runtime) -> None:
    """No escape sequence for a terminal, no forged record for a log."""
    script = r"printf '\033[2J\r\n{\"level\":\"error\"}\0\n'; dd if=/dev/zero bs=1M count=2; exit 1"
    result = creche.run(["run", "-b", hooked(lab, script), lab.name()]).failed(1)

    assert "\x1b" not in result.stderr
    assert "\r" not in result.stderr
    assert "earlier bytes left out" in result.stderr
    assert result.stderr.count("\n") == 1
    assert len(result.stderr) < 64 << 10


def test_a_child_that_keeps_the_output_open_delays_nothing(lab: Lab, creche: Runtime) -> None:
    """Twenty hooks that leave one each: they have 1000 seconds, the test has not."""
    pids = lab.directory / "pids"
    made = hooked(lab, f"sleep 1000 & echo $! >>{pids}; exit 0", ROUNDS)
    result = creche.run(["run", "-b", made, lab.name()], timeout=DEADLINE)
    left = [int(pid) for pid in pids.read_text().split()]
    for pid in left:
        os.kill(pid, signal.SIGKILL)

    assert result.rc == 0, result.describe()
    assert len(left) == ROUNDS


def test_a_mutant_is_delayed_by_a_child_that_keeps_the_output_open(lab: Lab) -> None:
    """It goes on when the child has ended, which for once it does."""
    ended = lab.directory / "ended"
    made = hooked(lab, f"{{ sleep 2; echo >{ended}; }} & exit 0")
    lab.creche("waits-for-output").run(["run", "-b", made, lab.name()]).ok()

    assert ended.exists()


def test_a_hook_begins_in_the_bundle(lab: Lab, creche: Runtime) -> None:
    """Not in the container's root, where its `./library` would be the image's."""
    made = lab.bundle(args=["/bin/true"])
    script = f"pwd >{made.path}/where"
    hook = {"path": "/bin/busybox", "args": ["sh", "-c", script], "env": ["PATH=/bin"]}
    made.patch({"hooks": {"createRuntime": [hook]}})
    creche.run(["run", "-b", made, lab.name()]).ok()

    assert (made.path / "where").read_text().strip() == os.path.realpath(made.path)
