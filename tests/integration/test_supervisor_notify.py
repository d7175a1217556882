"""What containers say on their notify socket, real ones and hostile ones."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.integration.supervised import Creched

pytestmark = pytest.mark.root

NEVER = '[restart]\npolicy = "never"\n'
SAY = """
import array, os, socket, sys, time
address = os.environ["NOTIFY_SOCKET"]
say = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
say.connect(address)
"""


def python(script: str, more: str = "") -> str:
    """A [container] table that runs Python with a socket `say`."""
    # As the first process of its pid namespace it does not get SIGTERM.
    stop = '[stop]\ntimeout = "100ms"\n'
    return f"{stop}[container]\nargs = ['python3', '-c', '''{SAY}{script}''']\n{more}\n"


NOTIFY = '[ready]\non = "notify"\n'


def test_ready_when_it_says_so(creched: Creched) -> None:
    """Not when it is started; and the reason is told."""
    creched.add(
        "a",
        NOTIFY + python('say.send(b"STATUS=warming up\\nREADY=1"); time.sleep(1000)'),
    )
    creched.start()

    [ready] = creched.wait_for("ready", "a")
    assert ready["cause"] == "ready"
    assert creched.find("started", "a")[0]["ready"] is False
    creched.hurry()
    assert creched.finish() == 0


def test_never_ready(creched: Creched) -> None:
    """Ended after the timeout, as a failure."""
    creched.add("a", NEVER + NOTIFY + 'timeout = "200ms"\n' + python("time.sleep(1000)"))
    creched.start("--once")

    assert creched.finish() == 1
    assert creched.find("start-timeout", "a")
    assert creched.find("gave-up", "a")[0]["result"] == "start-timeout"


def test_more_time_to_start(creched: Creched) -> None:
    """EXTEND_TIMEOUT_USEC puts the deadline off."""
    creched.add(
        "a",
        NOTIFY
        + 'timeout = "1s"\n'
        + python(
            'say.send(b"EXTEND_TIMEOUT_USEC=60000000"); time.sleep(1.5); say.send(b"READY=1")\n'
            "time.sleep(1000)"
        ),
    )
    creched.start()

    creched.wait_for("ready", "a")
    assert not creched.find("start-timeout")
    creched.hurry()
    creched.finish()


def test_the_socket_from_inside(creched: Creched) -> None:
    """Its directory cannot be written to, and the path leads nowhere else; any user reaches it."""
    creched.add(
        "a",
        NOTIFY
        + "[logs]\nto = 'file'\n"
        + python(
            """
directory = os.path.dirname(address)
for act in (lambda: open(directory + "/x", "w"), lambda: os.unlink(address)):
    try:
        act()
    except OSError as error:
        print(error.errno, flush=True)
line = [line for line in open("/proc/self/mountinfo") if line.split()[4] == directory][0]
print(sorted(set(line.split()[5].split(",")) & {"ro", "nosuid", "nodev", "noexec"}), flush=True)
print(os.listdir(directory), os.getuid(), flush=True)
say.send(b"READY=1")
time.sleep(1000)
""",
            'user = "1000:1000"',
        ),
    )
    creched.start()
    creched.wait_for("ready", "a")
    creched.stop()

    assert creched.find("exited", "a")[0]["output"] == [
        "30",
        "30",
        "['nodev', 'noexec', 'nosuid', 'ro']",
        "['notify.sock'] 1000",
    ]


def test_words_that_are_not_believed(creched: Creched) -> None:
    """MAINPID, descriptors, floods, garbage, what is too long: no effect but being read."""
    creched.add(
        "a",
        NOTIFY
        + python(
            """
fds = array.array("i", [os.open("/dev/null", os.O_RDONLY)] * 100)
for number in range(300):
    say.send(b"MAINPID=1\\nX=" + os.urandom(64))
    say.sendmsg([b"FDSTORE=1\\nFDNAME=x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
    say.send(b"READY=1\\n" + b"x" * 65536)
reader, writer = os.pipe()
say.sendmsg([b"BARRIER=1"],
            [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [writer]))])
os.close(writer)
assert os.read(reader, 1) == b""
say.send(b"READY=1")
time.sleep(1000)
"""
        ),
    )
    creched.start()
    creched.wait_for("started", "a")
    before = len(os.listdir(f"/proc/{creched.pid}/fd"))
    creched.wait_for("ready", "a")

    assert len(os.listdir(f"/proc/{creched.pid}/fd")) <= before + 2
    [ready] = creched.find("ready", "a")
    [started] = creched.find("started", "a")
    # Nine hundred messages at a hundred a second, with four seconds' worth at once.
    assert ready["monotonic"] - started["monotonic"] > 2
    creched.hurry()
    creched.finish()


def test_a_stranger_is_not_heard(creched: Creched) -> None:
    """Only processes of the container are: not even the host's root is, as long as it lives."""
    import socket

    creched.add("a", NOTIFY + python("sys.stdin.read(); time.sleep(1000)"))
    creched.add("b", NOTIFY + python('say.send(b"READY=1"); time.sleep(1000)'))
    creched.start()
    creched.wait_for("started", "a")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stranger:
        directory = os.open(creched.root / "a" / "notify", os.O_PATH)
        stranger.connect(f"/proc/self/fd/{directory}/notify.sock")
        os.close(directory)
        reader, writer = os.pipe()
        socket.send_fds(stranger, [b"READY=1"], [writer])
        os.close(writer)
        assert os.read(reader, 1) == b""  # it has been read
        os.close(reader)

    creched.wait_for("ready", "b")
    assert not creched.find("ready", "a")
    creched.hurry()
    creched.finish()


def test_a_sender_that_ends_at_once(creched: Creched) -> None:
    """systemd-notify(1) does, and so does a child of the program, in a namespace or not."""
    creched.add(
        "a",
        NOTIFY
        + python(
            """
if os.fork() == 0:
    say.send(b"READY=1")
    os._exit(0)
os.wait()
time.sleep(1000)
"""
        ),
    )
    creched.start()

    creched.wait_for("ready", "a")
    creched.hurry()
    creched.finish()


def test_the_watchdog(creched: Creched) -> None:
    """It knows the interval, and is ended as a failure once it says nothing more."""
    creched.add(
        "a",
        NEVER
        + NOTIFY
        + '[watchdog]\ninterval = "300ms"\n'
        + python(
            """
assert os.environ["WATCHDOG_USEC"] == "300000"
time.sleep(1)
say.send(b"READY=1")
for _ in range(10):
    time.sleep(0.1)
    say.send(b"WATCHDOG=1")
time.sleep(1000)
"""
        ),
    )
    creched.start("--once")

    assert creched.finish() == 1
    [expired] = creched.find("watchdog-expired", "a")
    [ready] = creched.find("ready", "a")
    assert expired["monotonic"] - ready["monotonic"] > 1
    assert "0.3 s" in expired["reason"]
    assert creched.find("gave-up", "a")[0]["result"] == "watchdog"


def test_a_cry_for_help(creched: Creched) -> None:
    """WATCHDOG=trigger."""
    creched.add(
        "a",
        NEVER
        + '[watchdog]\ninterval = "1h"\n'
        + python('say.send(b"WATCHDOG=trigger"); time.sleep(1000)'),
    )
    creched.start("--once")

    assert creched.finish() == 1
    assert "trigger" in creched.find("watchdog-expired", "a")[0]["reason"]


def test_a_flood_costs_little(creched: Creched) -> None:
    """A container that does nothing else but send keeps others from nothing."""
    creched.add(
        "flood", NOTIFY + python('while True: say.send(b"STATUS=" + b"x" * 4000)', "cpus = 0.5")
    )
    creched.add("other", "[container]\nargs = ['sleep', '1000']\n")
    creched.start()
    creched.wait_for("started", "flood")
    creched.wait_for("started", "other")
    ticks = _cpu(creched.pid)
    os.kill(creched.find("created", "other")[0]["pid"], signal.SIGKILL)
    creched.wait_for("restart-scheduled", "other")
    creched.wait_for("started", "other", 2)

    assert _cpu(creched.pid) - ticks < 50
    assert _resident(creched.pid) < 150 << 20
    creched.hurry()
    creched.finish()


def _cpu(pid: int) -> int:
    """Clock ticks that it has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def _resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096
