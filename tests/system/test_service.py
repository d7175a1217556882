"""creched as a service of systemd: started, delegated to, crashed, stopped; nothing is left.

The tests build on one another, in this order: each start costs seconds in an emulated machine.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.repository import REPOSITORY
from tests.system import service
from tests.system.service import CGROUP, CONTAINERS, HOLDER, UNIT, Journal, outside, show

pytestmark = pytest.mark.skipif(
    "CRECHE_TEST_MACHINE" not in os.environ,
    reason="needs the virtual machine that ./dev system boots",
)

MIB = 1 << 20
MARK = "creche-system-test"

LIMITED = f'''
[restart]
policy = "always"
delay = "100ms"
jitter = 0

[container]
args = ["/bin/busybox", "sh", "-c", """
: {MARK}
echo 'limited is up'; echo '<4>and warns' ; echo 'of an error' >&2
trap 'exit 0' TERM
while :; do sleep 1000 & wait; done
"""]
memory = "32M"
pids = 20
cpus = 0.5
'''

# Reads zeros without end into one line.
HUNGRY = """
[restart]
policy = "never"

[container]
args = ["/bin/busybox", "tail", "/dev/zero"]
memory = "16M"
"""

# Its first process takes next to nothing, and would go on without the other one.
GROUPED = """
[restart]
policy = "never"

[container]
args = ["/bin/busybox", "sh", "-c", "busybox tail /dev/zero & wait; sleep 1000"]
memory = "16M"
oom-group = true
"""

WORKLOADS: dict[str, str | Path] = {
    "limited": LIMITED,
    "hungry": HUNGRY,
    "grouped": GROUPED,
    "crashloop": REPOSITORY / "etc/workloads/crashloop",
    "memcached": REPOSITORY / "etc/workloads/memcached",
}
LASTING = ("limited", "memcached")
STORY = ["workload-loaded", "creating", "created", "started"]


@pytest.fixture(scope="module")
def journal(installed: None) -> Iterator[Journal]:
    """Start the service; give what it tells."""
    service.declare(WORKLOADS)
    try:
        with Journal() as journal:
            outside("systemctl", "start", UNIT)
            yield journal
    finally:
        service.clear()


def limit(name: str, file: str) -> str:
    return (CONTAINERS / name / file).read_text().strip()


def test_systemd_finds_no_fault_with_the_unit(journal: Journal) -> None:
    """No unknown key, no missing program."""
    for unit in (UNIT, HOLDER):
        done = outside("systemd-analyze", "verify", f"/etc/systemd/system/{unit}")
        assert (done.stdout, done.stderr) == ("", "")


def test_workloads_start(journal: Journal) -> None:
    """Each tells so in the journal, in the order of its states."""
    assert journal.wait("supervisor-started")["workloads"] == len(WORKLOADS)
    for name in WORKLOADS:
        pid = journal.wait("started", workload=name)["pid"]
        names = [event["event"] for event in journal.events if event.get("workload") == name]
        assert [name for name in names if name in STORY][:4] == STORY
        if name in LASTING:
            assert service.processes(CONTAINERS / name)[0] == pid
    assert [event["seq"] for event in journal.events] == list(range(1, len(journal.events) + 1))
    assert show("ActiveState") == "active"


def test_creched_and_containers_have_cgroups_of_their_own(journal: Journal) -> None:
    """The containers' can hand controllers on; creched's does not, or it could not start again."""
    main = int(show("MainPID"))
    assert main in service.processes(CGROUP / "supervisor")
    assert service.processes(CGROUP) == []
    assert service.processes(CONTAINERS) == []
    handed_on = set((CONTAINERS / "cgroup.subtree_control").read_text().split())
    assert handed_on >= {"cpu", "io", "memory", "pids"}
    assert (CGROUP / "cgroup.subtree_control").read_text().split() == []
    assert not Path("/sys/fs/cgroup/creched").exists()


def test_limits_are_the_kernels(journal: Journal) -> None:
    """Where systemd has delegated, the values of workload.toml are in force."""
    assert limit("limited", "memory.max") == str(32 * MIB)
    assert limit("limited", "pids.max") == "20"
    quota, period = limit("limited", "cpu.max").split()
    assert int(quota) * 2 == int(period)
    assert limit("memcached", "memory.max") == str(64 * MIB)
    assert limit("memcached", "pids.max") == "64"


def test_a_workload_is_not_shielded_from_the_oom_killer(journal: Journal) -> None:
    """The unit protects creched (OOMScoreAdjust=); what it runs does not inherit that."""
    main = int(show("MainPID"))
    assert Path(f"/proc/{main}/oom_score_adj").read_text().strip() == "-900"
    for name in LASTING:
        (pid, *_) = service.processes(CONTAINERS / name)
        assert Path(f"/proc/{pid}/oom_score_adj").read_text().strip() == "0", name


def test_creched_has_nothing_that_containers_would_inherit(journal: Journal) -> None:
    """No filter, no namespace of its own, and no capability less than docs/systemd.md says."""
    main = show("MainPID")
    status = service.status_of(main)
    assert (status["Seccomp"], status["NoNewPrivs"]) == ("0", "0")
    for name in ("mnt", "net", "pid", "uts", "ipc", "user", "cgroup", "time"):
        of_main, of_first = (os.readlink(f"/proc/{pid}/ns/{name}") for pid in (main, "1"))
        assert of_main == of_first
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    missing = {n for n in range(last + 1) if not int(status["CapBnd"], 16) >> n & 1}
    assert missing == {16, 22, 32, 33}  # SYS_MODULE, SYS_BOOT, MAC_OVERRIDE, MAC_ADMIN
    (pid, *_) = service.processes(CONTAINERS / "limited")
    assert int(status["SigBlk"], 16) == int(service.status_of(pid)["SigBlk"], 16) == 0


def test_memcached_answers(journal: Journal) -> None:
    """The sample workload does what it is there for."""
    pid = journal.wait("started", workload="memcached")["pid"]
    question = "printf 'version\\r\\nquit\\r\\n' | busybox nc 127.0.0.1 11311"
    answer = outside("busybox", "sh", "-c", question).stdout
    assert answer.startswith("VERSION 1.")
    assert Path(f"/proc/{pid}").exists()


def test_an_out_of_memory_kill_is_told_and_ends_nobody_else(journal: Journal) -> None:
    """systemd's OOMPolicy= does not end the unit for it."""
    exited = journal.wait("exited", workload="hungry")
    assert exited["signal"] == "SIGKILL"
    assert exited["oom_kills"] >= 1
    assert exited["cause"] == "oom"
    journal.wait("cleaned", workload="hungry")
    assert show("ActiveState") == "active"


def test_a_container_is_ended_as_a_whole(journal: Journal) -> None:
    """`oom-group`: the kernel kills the process that had no part in it, too."""
    exited = journal.wait("exited", workload="grouped")
    assert exited["signal"] == "SIGKILL"
    assert exited["oom_kills"] >= 2
    assert exited["cause"] == "oom"
    journal.wait("cleaned", workload="grouped")


def test_lines_of_a_container_are_in_the_journal(journal: Journal) -> None:
    """By the workload's name, with its priority, and as the containers' unit's."""
    journal.wait("started", workload="limited")
    expected = [("6", "limited is up"), ("4", "and warns"), ("3", "of an error")]
    for words in (["--identifier=creche-limited"], [f"--unit={HOLDER}"]):
        outside("journalctl", "--sync")
        said = outside("journalctl", "--boot", "--output=json", *words).stdout
        entries = [json.loads(line) for line in said.splitlines()]
        lines = [
            (entry["PRIORITY"], entry["MESSAGE"])
            for entry in entries
            if entry["SYSLOG_IDENTIFIER"] == "creche-limited"
        ]
        assert sorted(lines) == sorted(expected), words


def test_a_crash_loop_is_given_up(journal: Journal) -> None:
    """The sample fails three more times within a minute, then it has failed; its cgroup is gone."""
    gave_up = journal.wait("gave-up", workload="crashloop")
    assert gave_up["restarts"] >= 3  # more, where the machine takes longer than a minute for three
    ends = journal.all("exited", workload="crashloop", code=1)
    assert len(ends) == gave_up["restarts"] + 1
    assert not (CONTAINERS / "crashloop").exists()


def test_a_killed_workload_is_started_again(journal: Journal) -> None:
    """In the same place, with the same limits."""
    pid = journal.wait("started", workload="limited")["pid"]

    os.kill(pid, signal.SIGKILL)

    exited = journal.wait("exited", workload="limited")
    assert exited["signal"] == "SIGKILL"
    journal.wait("restart-scheduled", workload="limited")
    again = journal.wait("started", 2, workload="limited")["pid"]
    assert again != pid
    assert service.processes(CONTAINERS / "limited")[0] == again
    assert limit("limited", "memory.max") == str(32 * MIB)
    assert not Path(f"/proc/{pid}").exists()


def test_systemd_leaves_alone_what_it_has_delegated(journal: Journal) -> None:
    """Reloaded and executed anew, it changes no limit and moves no process."""
    before = {name: service.processes(CONTAINERS / name) for name in LASTING}

    outside("systemctl", "daemon-reload")
    outside("systemctl", "daemon-reexec")

    assert show("ActiveState") == "active"
    for name in LASTING:
        assert service.processes(CONTAINERS / name) == before[name]
    assert limit("limited", "memory.max") == str(32 * MIB)
    assert limit("limited", "pids.max") == "20"
    assert service.processes(CGROUP) == []


def test_stop_leaves_nothing(journal: Journal) -> None:
    """No process, no cgroup, no state; the unit has ended well."""
    outside("systemctl", "stop", UNIT)

    stopped = journal.wait("supervisor-stopped")
    assert stopped["exit_status"] == 0
    for name in LASTING:
        assert journal.wait("stopped", workload=name)["run"] == stopped["run"]
    assert show("ActiveState") == "inactive"
    assert show("Result") == "success"
    service.wait_gone()
    assert service.commands(lambda line: MARK in line or "memcached -u" in line) == []
    assert service.commands(lambda line: "launcher" in line or "/bin/creched" in line) == []
    assert [name for name in os.listdir(service.STATE) if name != ".creched"] == []
