"""creched is told to stop before it is up, or while it is replaced: it stops, by the rules."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.supervised import Creched

pytestmark = pytest.mark.root

ROUNDS = 4
# Ends if it is asked in the way that its settings say, and is killed after a while if it is not.
POLITE = """
[stop]
signal = "SIGUSR1"
timeout = "100s"
[container]
args = ["busybox", "sh", "-c", '''
trap 'exit 0' USR1; echo listens
while :; do sleep 100000 & wait $!; done
''']
"""
# Stands before the module of this name, and lets it be imported once somebody has written.
GATE = """
import sys
with open({fifo!r}) as gate:
    gate.read()
sys.path.remove({here!r})
del sys.modules["trio"]
import trio
"""


def leave_running(creched: Creched) -> None:
    """Start it, and kill it once its container can be asked to end."""
    listened = creched.output.count(b"listens")
    started = len(creched.find("started"))
    creched.start()
    creched.wait_for("started", "a", started + 1)
    creched.pump(lambda: creched.output.count(b"listens") > listened)
    creched.signal(signal.SIGKILL)
    assert creched.finish() == -signal.SIGKILL


def check_rules(creched: Creched, count: int = 1) -> None:
    """Its container was asked to end as its settings say, and did."""
    assert [e["signal"] for e in creched.find("stopping", "a")] == ["SIGUSR1"] * count
    assert len(creched.find("exited", "a")) == count
    assert creched.find("killing") == []


@pytest.fixture
def creched(tmp_path: Path) -> Iterator[Creched]:
    """One whose container an earlier creched, which was killed, has left."""
    made = Creched(tmp_path)
    made.add("a", POLITE)
    leave_running(made)
    yield made
    made.clean()
    made.check_clean()


def test_told_to_stop_while_it_imports(
    creched: Creched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes on, adopts the container and stops that by its own rules."""
    here, fifo = tmp_path / "modules", tmp_path / "fifo"
    here.mkdir()
    os.mkfifo(fifo)
    (here / "trio.py").write_text(GATE.format(fifo=str(fifo), here=str(here)))
    monkeypatch.setenv("PYTHONPATH", str(here))
    creched.start()
    with open(fifo, "w"):  # waits until somebody reads it
        creched.signal(signal.SIGTERM)

    assert creched.finish() == 0
    check_rules(creched)
    assert creched.find("supervisor-stopping")[0]["reason"] == "creched got SIGTERM"


def test_told_to_stop_at_any_time(creched: Creched) -> None:
    """From the very first moment on, if it is started with the signal blocked, as its unit does."""
    blocking = ["env", "--block-signal=SIGTERM"]
    order = random.Random(2026)
    for count in range(1, ROUNDS + 1):
        if count > 1:
            leave_running(creched)
        creched.start(prefix=blocking)
        # Whatever it does by then: the interpreter starts, modules are imported, files are read.
        for _ in range(order.randrange(2000)):
            os.sched_yield()
        creched.signal(signal.SIGTERM)
        assert creched.finish() == 0
        check_rules(creched, count)


def test_told_to_stop_while_it_is_replaced(creched: Creched) -> None:
    """The signal waits for the new program."""
    creched.start()
    creched.wait_for("adopted", "a")
    creched.signal(signal.SIGUSR2)
    creched.wait_for("supervisor-reexec")
    creched.signal(signal.SIGTERM)

    assert creched.finish() == 0
    check_rules(creched)
