"""creched crashes, is restarted, reloaded, hangs: its workloads run on, every end is told.

The tests build on one another, in this order: each start costs seconds in an emulated machine,
which is also why there are only so many crashes; CRECHE_TEST_KILLS says how many.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import shutil
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.waiting import wait_exit
from tests.system import service
from tests.system.service import CONTAINERS, HOLDER, STATE, UNIT, Journal, outside, show

pytestmark = pytest.mark.skipif(
    "CRECHE_TEST_MACHINE" not in os.environ,
    reason="needs the virtual machine that ./dev system boots",
)

KILLS = int(os.environ.get("CRECHE_TEST_KILLS", "10"))
STEADY = [f"steady-{number}" for number in range(14)]
CHURNING = [f"churn-{number}" for number in range(6)]

_STEADY = '''
[restart]
policy = "always"
delay = 0
[container]
args = ["/bin/busybox", "sh", "-c", """
trap 'exit 41' USR1; trap 'exit 0' TERM
while :; do sleep 9999 & wait $!; done
"""]
'''
# They end when they are told to: what creched counts can be held against it, and a machine that is
# short of time has no more to do.
_CHURNING = _STEADY.replace("exit 41", "exit 7")

LIMITS = {"memory.max": str(64 << 20), "cpu.max": "50000 100000", "pids.max": "33"}


@pytest.fixture(scope="module")
def ended() -> Counter[str]:
    """How often each workload has ended by itself in these tests."""
    return Counter()


# Connects once, and says that it is ready when it is signalled.
_TALKER = """
[ready]
on = "notify"
timeout = "1h"
[container]
args = ["python3", "-S", "-c", '''
import os, signal, socket
say = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
say.connect(os.environ["NOTIFY_SOCKET"])
signal.signal(signal.SIGUSR1, lambda *_: say.send(b"READY=1"))
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
say.send(b"STATUS=listens")
while True: signal.pause()
''']
"""


@pytest.fixture(scope="module")
def journal(installed: None) -> Iterator[Journal]:
    """Start the service; give what it tells."""
    service.declare(dict.fromkeys(STEADY, _STEADY) | dict.fromkeys(CHURNING, _CHURNING))
    try:
        with Journal() as journal:
            outside("systemctl", "start", UNIT)
            for name in STEADY:
                journal.wait("started", workload=name)
            yield journal
    finally:
        service.clear()


def living() -> dict[str, int]:
    """The first process of each steady workload."""
    return {name: service.processes(CONTAINERS / name)[0] for name in STEADY}


def up_again(journal: Journal) -> None:
    """The creched that runs now has taken everything over."""
    run = journal.wait("supervisor-started", pid=int(show("MainPID")))["run"]
    for name in STEADY:
        journal.wait("adopted", workload=name, run=run)


def catches(pid: int, number: int) -> bool:
    """Whether a process has a handler for a signal."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    [caught] = re.findall(r"^SigCgt:\s*(\w+)", status, re.MULTILINE)
    return bool(int(caught, 16) >> (number - 1) & 1)


def end_some(order: random.Random) -> list[str]:
    """Have a few containers end with status 7; which ones did: those whose program listens."""
    ended = []
    for name in order.sample(CHURNING, 2):
        with contextlib.suppress(FileNotFoundError):  # it is being made anew
            for pid in filter(
                lambda pid: catches(pid, signal.SIGUSR1), service.processes(CONTAINERS / name)
            ):
                os.kill(pid, signal.SIGUSR1)
                wait_exit(pid)
                ended.append(name)
    return ended


def some_moment(journal: Journal, order: random.Random, process: int) -> str:
    """Wait for a moment in the life of the `process`-th creched that systemd has started."""
    while sum(line.startswith(f"Starting {UNIT}") for line in journal.other) < process:
        journal.read()
    told = len(journal.events)
    match order.randrange(6):
        case 0:
            return "while it is imported"
        case 1 | 2 | 3:
            more = order.randrange(1, len(STEADY))
            while len(journal.events) < told + more:
                journal.read()
            return "while it takes over"
        case _:
            up_again(journal)
            return "later"


def tells_reaped() -> bool:
    """Whether the kernel says how a process ended that others have reaped (Linux 6.15)."""
    major, minor = os.uname().release.split(".")[:2]
    return (int(major), int(minor)) >= (6, 15)


def test_a_status_line_for_people(journal: Journal) -> None:
    """`systemctl status` says how many run."""
    # Told once nothing has happened for a moment, so not yet with the last of them.
    while int((text := show("StatusText")).partition("/")[0] or 0) < len(STEADY):
        journal.read()  # the next event that may change it
    assert "running" in text


def test_a_crash_disturbs_nobody(journal: Journal, ended: Counter[str]) -> None:
    """Again and again, at any moment, and while others end: same processes."""
    before = living()
    order = random.Random(2026)
    moments = Counter[str]()
    for count in range(KILLS):
        ended.update(end_some(order))
        main = int(show("MainPID"))
        os.kill(main, signal.SIGKILL)
        wait_exit(main)
        assert living() == before
        ended.update(end_some(order))
        moments[some_moment(journal, order, count + 2)] += 1
        print(f"{count + 1}. creched {main} was killed; {len(journal.events)} events", flush=True)
    up_again(journal)
    assert living() == before
    assert show("ActiveState") == "active"
    assert int(show("NRestarts")) == KILLS
    print(f"{KILLS} kills, {dict(moments)}; {ended.total()} ends")


def test_an_end_during_a_crash_is_told(journal: Journal) -> None:
    """With its true status from the descriptor that systemd kept, where the kernel has that."""
    runs = len(journal.all("supervisor-started"))
    name = STEADY[0]
    pid = living()[name]
    main = int(show("MainPID"))
    # Stopped first: so this end happens while nobody is there, whatever is scheduled when.
    os.kill(main, signal.SIGSTOP)
    os.kill(pid, signal.SIGUSR1)
    wait_exit(pid)
    os.kill(main, signal.SIGKILL)
    wait_exit(main)
    exited = journal.wait("exited", workload=name)

    journal.wait("supervisor-started", runs + 1)
    assert exited["run"] == journal.all("supervisor-started")[-1]["run"]
    known = (exited["cause"], exited["code"])
    assert known == ("exit", 41) or (not tells_reaped() and known == ("unknown", None))
    journal.wait("started", 2, workload=name)


def test_who_asks_during_a_crash_is_answered(journal: Journal) -> None:
    """By the next creched: its listener outlives it."""
    journal.catch_up()
    runs = len(journal.all("supervisor-started"))
    main = int(show("MainPID"))
    os.kill(main, signal.SIGKILL)
    wait_exit(main)
    status = json.loads(service.crechectl("status", "--json"))

    assert {each["name"] for each in status} == {*STEADY, *CHURNING}
    journal.wait("supervisor-started", runs + 1)


def test_what_a_workload_says_during_a_crash_is_heard(journal: Journal) -> None:
    """Its notify socket outlives creched, too, and who has connected need not do so again."""
    service.declare({"talker": _TALKER})
    service.crechectl("reload")
    pid = journal.wait("started", workload="talker")["pid"]
    while json.loads(service.crechectl("status", "talker", "--json"))["status_text"] != "listens":
        journal.read()  # the others make news all the time
    runs = len(journal.all("supervisor-started"))
    main = int(show("MainPID"))
    os.kill(main, signal.SIGSTOP)
    os.kill(pid, signal.SIGUSR1)
    os.kill(main, signal.SIGKILL)
    ready = journal.wait("ready", workload="talker")

    assert ready["run"] == journal.wait("supervisor-started", runs + 1)["run"]
    assert not journal.all("exited", workload="talker")
    shutil.rmtree(service.WORKLOADS / "talker")
    service.crechectl("reload")
    journal.wait("workload-removed", workload="talker")


def test_restart_leaves_containers_alone(journal: Journal) -> None:
    """systemctl restart."""
    journal.catch_up()
    before, runs = living(), len(journal.all("supervisor-started"))
    adopted = {name: len(journal.all("adopted", workload=name)) for name in STEADY}
    outside("systemctl", "restart", UNIT)

    journal.wait("supervisor-left")
    journal.wait("supervisor-started", runs + 1)
    for name in STEADY:
        journal.wait("adopted", adopted[name] + 1, workload=name)
    assert living() == before


def limits(name: str) -> dict[str, str]:
    """What the kernel's files say."""
    return {file: (CONTAINERS / name / file).read_text().strip() for file in LIMITS}


def test_changed_limits_hold_for_the_container_that_runs(journal: Journal) -> None:
    """Its workload.toml is written anew; the process stays."""
    before, name = living(), STEADY[1]
    assert not set(limits(name).values()) & set(LIMITS.values())
    service.change(name, _STEADY + 'memory = "64M"\ncpus = 0.5\npids = 33\n')
    changed = journal.wait("workload-changed", workload=name)
    assert changed["action"] == "apply"
    # That was told before it was done; whoever asks is answered after it.
    service.crechectl("status", name)

    assert limits(name) == LIMITS
    assert living() == before


def test_executed_anew(journal: Journal) -> None:
    """The same main process, and systemd does not mind."""
    main, before = show("MainPID"), living()
    journal.catch_up()
    runs = len(journal.all("supervisor-started"))
    os.kill(int(main), signal.SIGUSR2)
    journal.wait("supervisor-started", runs + 1)

    assert journal.all("supervisor-started")[-1]["pid"] == int(main)
    assert show("MainPID") == main
    assert living() == before


def test_changed_limits_last(journal: Journal) -> None:
    """Over what was executed anew; and they can be taken away again."""
    before, name = living(), STEADY[1]
    assert limits(name) == LIMITS
    service.change(name, _STEADY)
    journal.wait("workload-changed", 2, workload=name)
    service.crechectl("status", name)

    assert limits(name) == {"memory.max": "max", "cpu.max": "max 100000", "pids.max": "1024"}
    assert living() == before


def test_reload_takes_a_new_workload_and_another_version(journal: Journal) -> None:
    """systemctl reload: the same main process runs what is installed by now."""
    main, before = show("MainPID"), living()
    service.declare({"new": _STEADY})
    put_back = service.replace_module(
        "runtime/__init__.py", lambda text: f'{text}\nVERSION += "+another"\n'
    )
    outside("systemctl", "reload", UNIT)
    put_back()
    another = journal.wait("supervisor-started", release="0.1.0+another")
    journal.wait("started", workload="new")

    assert another["pid"] == int(main)
    assert show("MainPID") == main
    assert living() == before
    assert show("ActiveState") == "active"


def test_reload_keeps_the_old_one_if_the_new_one_cannot_start(journal: Journal) -> None:
    """systemd tells that it failed, and why stands in the journal."""
    main, before = show("MainPID"), living()
    put_back = service.replace_module("supervisor/watch.py", lambda text: f"{text}\n1 = 2\n")
    refused = outside("systemctl", "reload", UNIT, check=False)
    put_back()
    journal.catch_up()

    assert refused.returncode != 0
    assert any("the new program does not start" in line for line in journal.other)
    assert (show("MainPID"), living()) == (main, before)
    assert show("ActiveState") == "active"


def test_reload_fails_if_a_workload_is_refused(journal: Journal) -> None:
    """The others do not notice."""
    before = living()
    service.declare({"wrong": "[container]\nargs = 1\n"})
    refused = outside("systemctl", "reload", UNIT, check=False)
    shutil.rmtree(service.WORKLOADS / "wrong")
    assert refused.returncode != 0
    assert outside("systemctl", "reload", UNIT).returncode == 0

    assert living() == before
    assert show("ActiveState") == "active"


def test_the_watchdog_ends_a_creched_that_hangs(journal: Journal) -> None:
    """It is aborted and started again; its containers live."""
    journal.catch_up()
    before, runs = living(), len(journal.all("supervisor-started"))
    main = int(show("MainPID"))
    os.kill(main, signal.SIGSTOP)
    wait_exit(main)
    journal.wait("supervisor-started", runs + 1)

    assert living() == before
    assert any("watchdog" in line.lower() for line in journal.other)


def kept() -> list[service.Event]:
    """All events, as creched has kept them."""
    files = sorted((STATE / ".creched/journal").glob("*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_bytes().splitlines()]


def test_every_event_has_its_number_and_every_end_was_told_once(journal: Journal) -> None:
    """Over all crashes."""
    events = kept()
    numbers = [event["seq"] for event in events]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    ends = Counter((e["workload"], e["attempt"]) for e in events if e["event"] == "exited")
    assert set(ends.values()) == {1}
    made = Counter((e["workload"], e["attempt"]) for e in events if e["event"] == "created")
    last = {(name, max(a for n, a in made if n == name)) for name, _ in made}
    assert set(made) - set(ends) <= last


def test_what_was_told_is_what_has_happened(journal: Journal, ended: Counter[str]) -> None:
    """As many ends as there were, each with its status where the kernel says so."""
    ends = [event for event in kept() if event["event"] == "exited"]
    told = Counter((end["workload"], end["cause"], end["code"]) for end in ends)
    print(told)
    for name in CHURNING:
        known, unknown = told[name, "exit", 7], told[name, "unknown", None]
        assert known == ended[name] or (
            not tells_reaped() and known < ended[name] <= known + unknown
        )


def test_a_stop_ends_them_all(journal: Journal) -> None:
    """Gracefully, though creched is still being started, after a crash; and the unit of the
    containers goes with creched's."""
    main = int(show("MainPID"))
    os.kill(main, signal.SIGKILL)
    wait_exit(main)
    while show("MainPID") in (str(main), "0"):
        pass
    outside("systemctl", "stop", UNIT)
    stopped = journal.wait("supervisor-stopped")

    assert stopped["exit_status"] == 0
    for name in STEADY:
        # They are not this creched's children, but systemd's since the crash.
        code = journal.all("exited", workload=name)[-1]["code"]
        assert code == 0 or (code is None and not tells_reaped())
    assert show("Result") == "success"
    service.wait_gone()


def test_what_a_killed_creched_leaves_is_swept(journal: Journal) -> None:
    """Stopped while it does not answer: it is killed in the end, and so is what it had."""
    started = {name: len(journal.all("started", workload=name)) for name in STEADY}
    outside("systemctl", "start", UNIT)
    for name in STEADY:
        journal.wait("started", started[name] + 1, workload=name)
    main = int(show("MainPID"))
    os.kill(main, signal.SIGSTOP)
    outside("systemctl", "kill", "--signal=KILL", "--kill-who=main", UNIT)
    outside("systemctl", "stop", UNIT, HOLDER)

    assert service.commands(lambda line: "sleep 9999" in line) == []
    assert [name for name in os.listdir(STATE) if name != ".creched"] == []
