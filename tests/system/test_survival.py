"""creched crashes, is restarted, reloaded, hangs: its workloads run on, every end is told.

The tests build on one another, in this order: each start costs seconds in an emulated machine,
which is also why there are few workloads, and ten crashes; CRECHE_TEST_KILLS says how many.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.support.waiting import wait_exit
from tests.system import service
from tests.system.service import CONTAINERS, HOLDER, STATE, UNIT, Journal, outside, show

pytestmark = pytest.mark.skipif(
    "CRECHE_TEST_MACHINE" not in os.environ,
    reason="needs the virtual machine that ./dev system boots",
)

KILLS = int(os.environ.get("CRECHE_TEST_KILLS", "10"))
STEADY = [f"steady-{number}" for number in range(3)]
CHURNING = [f"churn-{number}" for number in range(2)]

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
_CHURNING = """
[restart]
policy = "always"
delay = "1s"
max = "1s"
[container]
args = ["/bin/busybox", "sh", "-c", "exit 7"]
"""

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


def up_again(journal: Journal, count: int) -> None:
    """The `count`-th creched has taken everything over."""
    journal.wait("supervisor-started", count)
    for name in STEADY:
        journal.wait("adopted", count - 1, workload=name)


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


def test_a_crash_disturbs_nobody(journal: Journal) -> None:
    """Again and again, under load: same processes."""
    before = living()
    order = random.Random(2026)
    for count in range(KILLS):
        main = int(show("MainPID"))
        for _ in range(order.randrange(8)):
            journal.read()
        os.kill(main, signal.SIGKILL)
        wait_exit(main)
        up_again(journal, count + 2)
        assert living() == before
    assert show("ActiveState") == "active"
    assert int(show("NRestarts")) == KILLS


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
    assert int(show("NRestarts")) == KILLS + 3  # as before: nothing has ended


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


def test_every_event_has_its_number_and_every_end_was_told_once(journal: Journal) -> None:
    """Over all crashes."""
    files = sorted((STATE / ".creched/journal").glob("*.jsonl"))
    kept = [json.loads(line) for file in files for line in file.read_bytes().splitlines()]
    numbers = [event["seq"] for event in kept]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    ends = Counter((e["workload"], e["attempt"]) for e in kept if e["event"] == "exited")
    assert set(ends.values()) == {1}
    made = Counter((e["workload"], e["attempt"]) for e in kept if e["event"] == "created")
    running = {(name, attempt) for name, attempt in made if name in (*STEADY, "new")}
    assert set(made) - set(ends) <= running | {
        (name, max(a for n, a in made if n == name)) for name in CHURNING
    }
    causes = Counter(event["cause"] for event in kept if event["event"] == "exited")
    print(f"{len(kept)} events, ends by cause: {dict(causes)}")


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
