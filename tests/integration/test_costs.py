"""What commands and creched cost, in numbers that do not depend on how busy the machine is: system
calls, context switches, memory. The bounds are some tenths above what they were when they were
set; whoever exceeds one either has a reason, and raises it, or a mistake. Times: ./dev bench.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.bench.processes import activity, pss
from tests.integration.supervised import Creched
from tests.support.bundle import Bundle
from tests.support.runtimes import Runtime
from tests.support.waiting import wait_readable

pytestmark = [pytest.mark.root, pytest.mark.slow]

SLEEPER = """
[container]
args = ["busybox", "sleep", "100000"]
[restart]
policy = "never"
"""
FEW, MANY = 4, 44
QUIET = 3.0
"""Seconds in which nothing is to happen."""
WATCHDOG = 1.0
"""Seconds: a creched that feeds one wakes up in QUIET."""
SETTLING = 10
"""Times QUIET that it may take to come to rest."""
KIB_EACH = 120.0
"""Of creched and launcher for a container that sleeps."""


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs Debian's strace")
@pytest.mark.parametrize(
    ("words", "bound"), [("state", 620), ("kill", 660), ("delete --force", 940), ("run", 1870)]
)
def test_system_calls_of_a_command(
    creche: Runtime,
    bundle: Callable[..., Bundle],
    container_id: str,
    tmp_path: Path,
    words: str,
    bound: int,
) -> None:
    """The second time: the first one keeps what makes later ones faster."""
    made = bundle(args=["/bin/true"])
    call = ["run", "--bundle", made] if words == "run" else words.split()
    for number in range(2):
        name = f"{container_id}-{number}"
        if words != "run":
            creche.run(["create", "--bundle", made, name]).ok()
        counted = tmp_path / "counted"
        # Of init, too, and of /bin/true.
        strace = ["strace", "-f", "-qq", "-c", "-U", "calls,name", "-o", str(counted)]
        done = subprocess.run(
            [*strace, *creche.argv([*call, name])], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
    calls = int(counted.read_text().splitlines()[-1].split()[0])

    assert calls <= bound, f"{words}: {calls} system calls\n{counted.read_text()}"


def _up(creched: Creched, first: int, after: int) -> float:
    """Declare workloads of these numbers, and give the KiB in use once all are up."""
    for number in range(first, after):
        creched.add(f"w{number}", SLEEPER)
    if creched.process is None:
        creched.start()
    creched.wait_for("started", count=after)
    return pss(_processes(creched))


def _processes(creched: Creched) -> list[int]:
    return [creched.pid, int((creched.root / ".creched/launcher").read_text().split()[0])]


def _switches(creched: Creched) -> int:
    """How often their first tasks have gone to sleep or had to give way: trio's other threads wait
    ten seconds for more to do, and then end."""
    return sum(activity([pid], all_tasks=False).switches for pid in _processes(creched))


def _happens(creched: Creched) -> int:
    """The context switches of a time in which creched has nothing to tell."""
    assert creched.process is not None
    assert creched.process.stdout is not None
    before = _switches(creched)
    assert not wait_readable(creched.process.stdout.fileno(), QUIET)
    return _switches(creched) - before


def test_sleeping_containers_cost_memory_and_no_wake_ups(tmp_path: Path) -> None:
    """A bounded number of pages for each; not one context switch once it has come to rest."""
    creched = Creched(tmp_path)
    try:
        few = _up(creched, 0, FEW)
        many = _up(creched, FEW, MANY)
        assert (many - few) / (MANY - FEW) <= KIB_EACH
        assert any(_happens(creched) == 0 for _ in range(SETTLING))
        assert [_happens(creched), _happens(creched)] == [0, 0]
        creched.hurry()
        creched.finish()
    finally:
        creched.clean()
    creched.check_clean()


def test_a_watchdog_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So the test above sees what wakes creched up."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", str(int(WATCHDOG * 1e6)))
        creched = Creched(tmp_path)
        try:
            _up(creched, 0, 1)
            assert all(_happens(creched) for _ in range(3))
            creched.hurry()
            creched.finish()
        finally:
            creched.clean()
    creched.check_clean()
