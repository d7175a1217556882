"""creched is killed, restarted, executed anew: no container is touched, every end is one event."""

from __future__ import annotations

import json
import os
import random
import signal
from collections import Counter
from pathlib import Path

import pytest

from tests.integration.supervised import Creched, Event
from tests.support.waiting import wait_exit, wait_path

pytestmark = pytest.mark.root

SEED = int(os.environ.get("CRECHE_TEST_SEED", "2026"))
KILLS = int(os.environ.get("CRECHE_TEST_KILLS", "50"))
STEADY = """
[restart]
policy = "always"
delay = 0
[stop]
timeout = "2s"
[container]
args = ["busybox", "sh", "-c", '''
trap 'exit 41' USR1; trap 'exit 0' TERM
while :; do sleep 100000 & wait $!; done
''']
"""
CHURN = """
[restart]
policy = "always"
delay = "10ms"
max = "10ms"
reset-after = "1d"
[container]
args = ["busybox", "sh", "-c", "usleep 20000; exit 7"]
"""


def kill(creched: Creched) -> None:
    """SIGKILL, and everything it had written by then."""
    creched.signal(signal.SIGKILL)
    assert creched.finish() == -signal.SIGKILL


def journal(creched: Creched) -> list[Event]:
    """All events, as they were kept."""
    files = sorted((creched.root / ".creched/journal").glob("*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_bytes().splitlines()]


def runs(events: list[Event]) -> Counter[tuple[str, int]]:
    """Ends that were told, by workload and attempt."""
    return Counter((e["workload"], e["attempt"]) for e in events if e["event"] == "exited")


def test_a_running_container_is_adopted(creched: Creched) -> None:
    """Same process, same attempt; and its end is still seen with its status."""
    creched.add("a", STEADY)
    creched.start()
    [started] = creched.wait_for("started", "a")
    kill(creched)
    creched.start()
    [adopted] = creched.wait_for("adopted", "a")

    assert (adopted["pid"], adopted["attempt"]) == (started["pid"], 1)
    assert adopted["ready"] is True
    os.kill(started["pid"], signal.SIGUSR1)
    [exited] = creched.wait_for("exited", "a")
    assert (exited["code"], exited["attempt"]) == (41, 1)
    assert exited["uptime"] > 0
    again = creched.wait_for("started", "a", 2)[1]
    assert again["attempt"] == 2
    assert creched.stop() == 0


def test_an_end_that_nobody_saw(creched: Creched) -> None:
    """Is told as one of which nobody knows how it came about: a failure to the policy."""
    creched.add("a", STEADY.replace("always", "on-failure"))
    creched.start()
    [started] = creched.wait_for("started", "a")
    kill(creched)
    os.kill(started["pid"], signal.SIGKILL)
    wait_exit(started["pid"])
    creched.start()
    [exited] = creched.wait_for("exited", "a")

    # Whoever takes in orphans may not have reaped it by then, and then it is known.
    assert (exited["cause"], exited["signal"]) in (("unknown", None), ("signal", "SIGKILL"))
    creched.wait_for("restart-scheduled", "a")
    creched.wait_for("started", "a", 2)
    assert creched.stop() == 0


def test_intent_outlives_creched_and_delays_go_on(creched: Creched) -> None:
    """A workload that waits for its next start goes on waiting; one that has ended stays so."""
    creched.add("waits", CHURN.replace('"10ms"', '"1h"'))
    creched.add("failed", CHURN.replace("always", "never"))
    creched.add("done", CHURN.replace("always", "on-failure").replace("exit 7", "exit 0"))
    creched.start()
    creched.wait_for("restart-scheduled", "waits")
    creched.wait_for("gave-up", "failed")
    creched.wait_for("done", "done")
    [scheduled] = creched.find("restart-scheduled")
    kill(creched)
    creched.start()
    resumed = {e["workload"]: e["new"] for e in creched.wait_for("resumed", None, 3)}

    assert resumed == {"waits": "backoff", "failed": "failed", "done": "done"}
    record = json.loads((creched.root / ".creched/records/waits.json").read_text())
    assert record["next_attempt_at"] == pytest.approx(scheduled["at"], abs=0.001)
    assert creched.stop() == 0


def test_poststop_hooks_run_exactly_once(creched: Creched, tmp_path: Path) -> None:
    """The first of two has ended when creched is killed in the second: only that is run again."""
    said, go = tmp_path / "said", tmp_path / "go"
    hook = f"#!/bin/sh\necho $1 >> {said}\n[ $1 = 1 ] || [ -e {go} ] || exec /bin/sleep 1000\n"
    table = '[[hooks.poststop]]\npath = "hook"\nargs = ["hook", "{}"]\n'
    creched.add(
        "a",
        '[restart]\npolicy = "never"\n' + table.format(1) + table.format(2)
        + '[container]\nargs = ["busybox", "true"]\n',
        hook=hook,
    )  # fmt: skip
    creched.start()
    creched.wait_for("exited", "a")
    while not said.exists() or said.read_text() != "1\n2\n":
        wait_path(said)
    kill(creched)
    go.touch()
    creched.start()
    creched.wait_for("gave-up" if creched.find("gave-up") else "done", "a")

    assert said.read_text() == "1\n2\n2\n"
    assert len(creched.find("exited", "a")) == 1
    assert creched.stop() == 0


def test_a_half_made_container_is_undone(creched: Creched, tmp_path: Path) -> None:
    """Killed in a prestart hook: the hook ends, poststop hooks run, and it is made anew."""
    pid, go, said = tmp_path / "pid", tmp_path / "go", tmp_path / "said"
    creched.add(
        "a",
        '[[hooks.prestart]]\npath = "hook"\n[[hooks.poststop]]\npath = "after"\n' + STEADY,
        hook=f"#!/bin/sh\n[ ! -e {go} ] || exit 0\n"
        f"echo $$ > {tmp_path}/new\n/bin/mv {tmp_path}/new {pid}\nexec /bin/sleep 1000\n",
        after=f"#!/bin/sh\necho poststop >> {said}\n",
    )
    creched.start()
    wait_path(pid)
    kill(creched)
    go.touch()
    creched.start()
    creched.wait_for("started", "a")
    wait_exit(int(pid.read_text()))

    assert said.read_text() == "poststop\n"
    assert creched.find("exited", "a") == []
    assert creched.stop() == 0


def test_a_launcher_that_outlives_creched_makes_nothing_any_more(creched: Creched) -> None:
    """It has been given an order, and does not come to it before creched is killed."""
    creched.add("b", STEADY)
    creched.start()
    creched.wait_for("started", "b")
    launcher = int((creched.root / ".creched/launcher").read_text().split()[0])
    os.kill(launcher, signal.SIGSTOP)
    creched.add("a", STEADY.replace("always", "never"))
    creched.wait_for("creating", "a")
    kill(creched)
    creched.start()
    creched.wait_for("started", "a")
    creched.wait_for("adopted", "b")

    wait_exit(launcher)
    assert creched.find("exited") == []
    assert creched.stop() == 0


def test_poststart_hooks_are_finished(creched: Creched, tmp_path: Path) -> None:
    """Killed in the second of two: the program is left alone, the hook runs again."""
    said, go = tmp_path / "said", tmp_path / "go"
    hook = f"#!/bin/sh\necho $1 >> {said}\n[ $1 = 1 ] || [ -e {go} ] || exec /bin/sleep 1000\n"
    table = '[[hooks.poststart]]\npath = "hook"\nargs = ["hook", "{}"]\n'
    creched.add("a", table.format(1) + table.format(2) + STEADY, hook=hook)
    creched.start()
    [created] = creched.wait_for("created", "a")
    while not said.exists() or said.read_text() != "1\n2\n":
        wait_path(said)
    kill(creched)
    go.touch()
    creched.start()
    [started] = creched.wait_for("started", "a")

    assert started["pid"] == created["pid"]
    assert said.read_text() == "1\n2\n2\n"
    assert creched.stop() == 0


def test_what_is_not_declared_any_more_is_ended(creched: Creched) -> None:
    """Its directory went while creched was away."""
    path = creched.add("a", STEADY)
    creched.add("b", STEADY)
    creched.start()
    [started] = creched.wait_for("started", "a")
    creched.wait_for("started", "b")
    kill(creched)
    path.rename(creched.root.parent / "elsewhere")
    creched.start()
    creched.wait_for("workload-removed", "a")

    wait_exit(started["pid"])
    assert creched.find("exited", "a")[0]["code"] == 0
    assert creched.find("adopted", "b")
    assert creched.stop() == 0
    assert not (creched.root / ".creched/records/a.json").exists()


def test_damaged_state_is_set_aside(creched: Creched) -> None:
    """One file for each workload: those of the others are used, and the containers are found."""
    for name in ("a", "b", "c"):
        creched.add(name, STEADY)
    creched.start()
    creched.wait_for("started", None, 3)
    pids = {e["workload"]: e["pid"] for e in creched.find("started")}
    kill(creched)
    own = creched.root / ".creched"
    (own / "records/a.json").write_text("")
    (own / "records/b.json").write_bytes(b"\0" * 100)
    (creched.root / "c/state.json").write_text('{"version":')
    creched.start()
    creched.wait_for("adopted", "a")
    creched.wait_for("adopted", "b")
    creched.wait_for("started", "c", 2)
    wait_exit(pids["c"])

    assert {e["workload"]: e["pid"] for e in creched.find("adopted")}.items() >= {
        ("a", pids["a"]),
        ("b", pids["b"]),
    }
    damaged = {Path(e["file"]).name for e in creched.find("state-damaged")}
    assert damaged == {"a.json", "b.json"}
    assert [e["cause"] for e in creched.find("exited", "c")] == ["unknown"]
    assert creched.stop() == 0


def test_executed_anew(creched: Creched) -> None:
    """The same process; children are its children still, so no end is unknown."""
    for name in ("a", "b"):
        creched.add(name, STEADY)
    creched.start()
    creched.wait_for("started", None, 2)
    pids = {e["workload"]: e["pid"] for e in creched.find("started")}
    for count in range(1, 4):
        creched.signal(signal.SIGUSR2)
        creched.wait_for("supervisor-reexec", None, count)
        # Ends while the program is replaced, or is replaced before: both are told.
        os.kill(pids["a"], signal.SIGUSR1)
        assert creched.wait_for("exited", "a", count)[-1]["code"] == 41
        pids["a"] = creched.wait_for("started", "a", count + 1)[-1]["pid"]
        adopted = creched.wait_for("adopted", "b", count)[-1]
        assert adopted["pid"] == pids["b"]
        assert creched.wait_for("supervisor-started", None, count + 1)[-1]["pid"] == creched.pid
    children = Path(f"/proc/{creched.pid}/task/{creched.pid}/children").read_text().split()
    assert {str(pid) for pid in pids.values()} <= set(children)

    assert creched.stop() == 0
    assert len(creched.find("exited")) == 5


@pytest.mark.slow
def test_killed_again_and_again_under_load(creched: Creched) -> None:
    """Twenty workloads, half of which end and are started again all the time."""
    order = random.Random(SEED)
    steady = [f"steady-{number}" for number in range(10)]
    churning = [f"churn-{number}" for number in range(10)]
    for name in steady:
        creched.add(name, STEADY)
    for name in churning:
        creched.add(name, CHURN)
    creched.start()
    for name in steady:
        creched.wait_for("started", name)
    pids = {name: creched.find("started", name)[0]["pid"] for name in steady}
    told = Counter[str]()
    for _ in range(KILLS):
        seen = len(creched.events)
        more = order.randrange(1, 60)
        creched.pump(lambda seen=seen, more=more: len(creched.events) >= seen + more)  # type: ignore[misc]
        kill(creched)
        creched.start()
        for name in steady:
            told[name] += 1
            assert creched.wait_for("adopted", name, told[name])[-1]["pid"] == pids[name]

    assert creched.stop() == 0
    kept = journal(creched)
    assert [e["seq"] for e in kept] == list(range(kept[0]["seq"], kept[-1]["seq"] + 1))
    ends = runs(kept)
    assert set(ends.values()) == {1}
    # Every start has its end: each attempt that was made was told of, once.
    made = {(e["workload"], e["attempt"]) for e in kept if e["event"] in ("created", "adopted")}
    assert made == set(ends)
    for name in steady:
        assert [end for end in ends if end[0] == name] == [(name, 1)]
    known = Counter(e["cause"] for e in kept if e["event"] == "exited")
    print(f"{KILLS} kills, {len(kept)} events, ends by cause: {dict(known)}")
