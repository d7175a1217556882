"""creched is replaced, or crashes: nobody is refused meanwhile, and nothing said is lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.supervised import CHECKOUT, DEADLINE, Creched
from tests.support.descriptor_store import DescriptorStore

pytestmark = pytest.mark.root

SLEEPER = "[container]\nargs = ['busybox', 'sleep', '100000']\n[stop]\ntimeout = '100ms'\n"
# Connects once, and says something for each line of a FIFO.
TALKER = """
[ready]
on = "notify"
timeout = "1h"
[stop]
timeout = "100ms"
[container]
args = ["python3", "-c", '''
import os, socket
say = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
say.connect(os.environ["NOTIFY_SOCKET"])
say.send(b"STATUS=listens")
for line in open("/talk/fifo"):
    say.send(line.strip().encode())
''']
[[container.mounts]]
source = "{directory}"
destination = "/talk"
"""


@pytest.fixture
def store(creched: Creched, tmp_path: Path) -> Iterator[DescriptorStore]:
    """What a service manager keeps for it."""
    made = creched.store = DescriptorStore(tmp_path / "notify")
    yield made
    creched.clean()
    made.close()


def kill(creched: Creched) -> None:
    """SIGKILL."""
    creched.signal(signal.SIGKILL)
    assert creched.finish() == -signal.SIGKILL


def ctl(creched: Creched, *words: str) -> subprocess.Popen[str]:
    """Crechectl, on its way."""
    return subprocess.Popen(
        [sys.executable, "-m", "supervisor.crechectl", "--root", str(creched.root), *words],
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def done(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Its exit status and what it wrote."""
    out, err = process.communicate(timeout=DEADLINE)
    return process.returncode, out, err


def test_returns_when_the_new_one_is_up(creched: Creched) -> None:
    """The same process; what is asked right after is answered by the new one."""
    creched.add("a", SLEEPER)
    creched.start()
    creched.wait_for("started", "a")
    for count in range(2, 4):
        assert done(ctl(creched, "reexec", "--wait")) == (0, "", "")
        status, out, err = done(ctl(creched, "status", "--json"))
        assert (status, err) == (0, "")
        assert json.loads(out)[0]["status"] == "running"
        started = creched.wait_for("supervisor-started", None, count)
        assert {event["pid"] for event in started} == {creched.pid}
        assert len({event["run"] for event in started}) == count
    assert creched.stop() == 0


def test_asked_by_a_signal_as_well(creched: Creched) -> None:
    """Both get what they want; who waits is not told that it has failed."""
    creched.start()
    creched.wait_for("supervisor-started")
    waiting = ctl(creched, "reexec", "--wait")
    creched.wait_for("control")
    creched.signal(signal.SIGUSR2)

    assert done(waiting) == (0, "", "")
    assert creched.find("reexec-failed") == []
    assert creched.stop() == 0


def test_nobody_is_refused_meanwhile(creched: Creched, tmp_path: Path) -> None:
    """Who asks while nobody answers waits: the sockets are the same ones, and so is the page."""
    public = tmp_path / "public"
    public.mkdir(mode=0o755)
    config = tmp_path / "creched.toml"
    config.write_text(
        f'[control]\nread-only = "{public}/socket"\ngroup = "0"\n'
        '[http]\nlisten = "127.0.0.1:19181"\n'
    )
    config.chmod(0o644)
    creched.add("a", SLEEPER)
    creched.start("--config", str(config))
    creched.wait_for("started", "a")
    sockets = [creched.root / ".creched/control.sock", public / "socket"]
    before = [os.stat(path).st_ino for path in sockets]
    creched.signal(signal.SIGUSR2)
    creched.wait_for("supervisor-reexec")
    asked = [ctl(creched, "status"), ctl(creched, "--socket", str(sockets[1]), "status")]
    creched.wait_for("supervisor-started", None, 2)

    assert [done(process)[::2] for process in asked] == [(0, ""), (0, "")]
    assert [os.stat(path).st_ino for path in sockets] == before
    # Another path: the old socket goes with the one who knew it.
    config.write_text("")
    assert done(ctl(creched, "reexec", "--wait"))[0] == 0
    assert not sockets[1].exists()
    assert creched.stop() == 0
    assert not sockets[0].exists()


def test_settings_that_are_wrong_keep_the_old_one(creched: Creched, tmp_path: Path) -> None:
    """It is said what is wrong, and nothing happens."""
    config = tmp_path / "creched.toml"
    config.touch(mode=0o644)
    creched.add("a", SLEEPER)
    creched.start("--config", str(config))
    creched.wait_for("started", "a")
    config.write_text("[http]\nlisten = 1\n[control]\nwrong = 2\n")
    status, _out, err = done(ctl(creched, "reexec", "--wait"))

    assert status != 0
    assert "the new program does not start" in err
    assert "http.listen" in err
    assert "control.wrong" in err
    config.write_text("")
    assert done(ctl(creched, "reexec", "--wait"))[0] == 0
    assert creched.stop() == 0


@pytest.mark.parametrize("crash", [False, True])
def test_what_a_workload_says_meanwhile_waits(
    creched: Creched, store: DescriptorStore, tmp_path: Path, crash: bool
) -> None:
    """Its socket is the same one: who has connected need not do so again."""
    talk = tmp_path / "talk"
    talk.mkdir(mode=0o755)
    os.mkfifo(talk / "fifo")
    creched.add("a", TALKER.replace("{directory}", str(talk)))
    creched.start()
    creched.wait_for("started", "a")
    with open(talk / "fifo", "w") as fifo:
        if crash:
            creched.signal(signal.SIGSTOP)
        else:
            creched.signal(signal.SIGUSR2)
            creched.wait_for("supervisor-reexec")
        fifo.write("READY=1\n")
        fifo.flush()
        if crash:
            kill(creched)
            creched.start()
        creched.wait_for("supervisor-started", None, 2)
        creched.wait_for("ready", "a")
    creched.stop()
    store.take_in()
    assert store.kept == {}


def test_nobody_is_refused_during_a_crash(creched: Creched, store: DescriptorStore) -> None:
    """Also not if they come between two."""
    creched.add("a", SLEEPER)
    creched.start()
    creched.wait_for("started", "a")
    creched.signal(signal.SIGSTOP)
    asked = [ctl(creched, "status")]
    kill(creched)
    asked.append(ctl(creched, "status"))
    creched.start()

    assert [done(process)[::2] for process in asked] == [(0, ""), (0, "")]
    assert creched.stop() == 0
    store.take_in()
    assert store.kept == {}
