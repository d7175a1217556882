"""creched while its workload directories change: what is restarted, and what is left alone."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import pytest

from supervisor.ctl.client import Client
from tests.integration.supervised import Creched

pytestmark = pytest.mark.root

RUN = "[container]\nargs = ['busybox', 'sh', '-c', '''echo {}; sleep 1000''']\n"
QUICK = '[logs]\nto = "stderr"\n[stop]\nsignal = "SIGKILL"\n'


def write(path: Path, text: str) -> None:
    """As editors do: a new file, renamed over the old one."""
    new = path.with_name(f".{path.name}.new")
    new.write_text(text)
    new.chmod(0o644)
    new.rename(path)


def pids(creched: Creched, name: str) -> list[int]:
    """Of its runs, in order."""
    return [event["pid"] for event in creched.find("started", name)]


def test_a_policy_applies_to_the_container_that_runs(creched: Creched) -> None:
    """The same process goes on, and the new policy holds when it ends."""
    path = creched.add("a", QUICK + '[restart]\npolicy = "never"\n' + RUN.format(1))
    creched.start()
    creched.wait_for("started", "a")
    write(
        path / "workload.toml", QUICK + '[restart]\npolicy = "always"\ndelay = 0\n' + RUN.format(1)
    )
    changed = creched.wait_for("workload-changed", "a")[-1]

    assert (changed["action"], changed["keys"]) == ("apply", ["restart.policy", "restart.delay"])
    assert (changed["before"], changed["generation"]) == (1, 2)
    [pid] = pids(creched, "a")
    os.kill(pid, 9)
    creched.wait_for("restart-scheduled", "a")
    creched.pump(lambda: len(pids(creched, "a")) == 2)
    assert creched.stop() == 0


def test_another_program_is_another_container(creched: Creched) -> None:
    """It is restarted, once, and others are not."""
    path = creched.add("a", QUICK + RUN.format(1))
    creched.add("b", QUICK + RUN.format(1))
    creched.start()
    creched.wait_for("started", "a")
    creched.wait_for("started", "b")
    write(path / "workload.toml", QUICK + RUN.format(2))
    changed = creched.wait_for("workload-changed", "a")[-1]
    creched.pump(lambda: len(pids(creched, "a")) == 2)

    assert (changed["action"], changed["keys"]) == ("restart", ["container.args"])
    assert creched.stop() == 0
    assert len(pids(creched, "a")) == 2
    assert len(pids(creched, "b")) == 1


def test_a_broken_file_changes_nothing_that_runs(creched: Creched) -> None:
    """Nor does it when creched is started again: the version before was kept."""
    path = creched.add("a", QUICK + RUN.format(1))
    creched.start()
    creched.wait_for("started", "a")
    write(path / "workload.toml", QUICK + RUN.format(1) + "[restart]\npolicy = 'x'\n")
    refused = creched.wait_for("change-refused", "a")[-1]

    assert (refused["line"], refused["key"]) == (8, "restart.policy")
    assert len(pids(creched, "a")) == 1
    assert creched.find("exited", "a") == []
    assert creched.stop() == 0

    creched.start()
    creched.pump(lambda: len(creched.find("change-refused", "a")) == 2)
    creched.pump(lambda: len(pids(creched, "a")) == 2)
    write(path / "workload.toml", QUICK + RUN.format(1))
    creched.wait_for("workload-mended", "a")
    assert creched.stop() == 0


def test_directories_come_go_and_are_renamed(creched: Creched) -> None:
    """A renamed one is stopped before it is started under its new name."""
    creched.start()
    creched.wait_for("supervisor-started")
    creched.add("a", QUICK + RUN.format(1))
    creched.wait_for("started", "a")
    (creched.workloads / "a").rename(creched.workloads / "b")
    creched.wait_for("started", "b")

    names = [(e["event"], e["workload"]) for e in creched.events if e.get("workload")]
    assert names.index(("workload-removed", "a")) < names.index(("creating", "b"))
    shutil.rmtree(creched.workloads / "b")
    creched.wait_for("workload-removed", "b")
    assert creched.stop() == 0


def test_a_directory_that_is_not_there_yet(creched: Creched) -> None:
    """It is waited for; when it goes, nothing that runs is touched."""
    creched.workloads.rmdir()
    creched.start()
    creched.wait_for("directory-lost")
    creched.workloads.mkdir()
    creched.workloads.chmod(0o755)
    creched.add("a", QUICK + RUN.format(1))
    creched.wait_for("started", "a")
    away = creched.workloads.with_name("away")
    creched.workloads.rename(away)
    creched.pump(lambda: len(creched.find("directory-lost")) == 2)
    away.rename(creched.workloads)
    creched.pump(lambda: len(creched.find("directory-found")) == 2)

    assert creched.find("exited", "a") == []
    assert creched.stop() == 0


def limit(creched: Creched, name: str) -> str:
    """What a file of the container's cgroups says, in whatever hierarchy it is, after all that has
    been told has been done."""
    client = Client(str(creched.root / ".creched/control.sock"))
    client.get("workloads", "a")
    client.close()
    [found] = [path for top in creched.cgroups() if (path := top / "a" / name).exists()]
    return found.read_text().strip()


def test_limits_and_logs_apply_to_the_container_that_runs(creched: Creched) -> None:
    """Also the taking away of one; what is noted is what a creched after this one goes on from."""
    run = RUN.format(1)
    path = creched.add("a", QUICK + run)
    creched.start()
    [started] = creched.wait_for("started", "a")
    memory, none = "memory.max", "max"
    if not any((top / "a" / memory).exists() for top in creched.cgroups()):
        memory, none = "memory.limit_in_bytes", str((1 << 63) - os.sysconf("SC_PAGE_SIZE"))
    write(path / "workload.toml", QUICK + 'rate = "1M"\n' + run + 'pids = 33\nmemory = "64M"\n')
    # The rate is in [stop] there, a mistake; nothing of it is taken.
    creched.wait_for("change-refused", "a")
    assert (limit(creched, "pids.max"), limit(creched, memory)) == ("1024", none)

    logs = QUICK.replace("[stop]", 'rate = "1M"\n[stop]')
    write(path / "workload.toml", logs + run + 'pids = 33\nmemory = "64M"\ncpus = 0.5\n')
    changed = creched.wait_for("workload-changed", "a")[-1]
    assert changed["action"] == "apply"
    assert changed["keys"] == [
        "logs.rate", "container.memory", "container.cpus", "container.pids",
    ]  # fmt: skip
    assert (limit(creched, "pids.max"), limit(creched, memory)) == ("33", str(64 << 20))
    saved = json.loads((creched.root / "a/state.json").read_text())["config"]["linux"]["resources"]
    assert saved["pids"] == {"limit": 33}
    assert saved["cpu"]["quota"] == 50_000

    creched.signal(signal.SIGKILL)
    creched.finish()
    creched.start()
    creched.wait_for("adopted", "a")
    write(path / "workload.toml", logs + run + "pids = 34\n")
    creched.wait_for("workload-changed", "a", 2)
    assert (limit(creched, "pids.max"), limit(creched, memory)) == ("34", none)
    assert creched.find("adopted", "a")[-1]["pid"] == started["pid"]
    assert creched.find("exited") == []
    assert creched.find("container-warning") == []
    assert creched.stop() == 0


UPDATE = '[update]\nrollback = true\nprobation = "1s"\n'


def test_a_bad_update_is_rolled_back(creched: Creched) -> None:
    """The version before comes back, and the bad one is not tried again, nor by the next one."""
    good = QUICK + UPDATE + RUN.format(1)
    bad = QUICK + UPDATE + '[container]\nargs = ["false"]\n'
    path = creched.add("a", good)
    creched.start()
    creched.wait_for("started", "a")
    write(path / "workload.toml", bad)
    back = creched.wait_for("rolled-back", "a")[-1]
    creched.pump(lambda: len(pids(creched, "a")) == 3)

    assert (back["generation"], back["rejected"]) == (1, 2)
    assert "exit status 1" in back["reason"]
    assert creched.stop() == 0

    creched.start()
    creched.pump(lambda: len(pids(creched, "a")) == 4)
    write(path / "workload.toml", QUICK + UPDATE + RUN.format(3))
    proven = creched.wait_for("update-proven", "a")[-1]
    assert proven["generation"] == 3
    assert creched.find("exited", "a")[-1]["signal"] == "SIGKILL"
    assert creched.stop() == 0


def test_a_burst_that_overflows_the_queue_is_followed_by_a_look(creched: Creched) -> None:
    """What the kernel had no room for is not lost."""
    path = creched.add("a", QUICK + RUN.format(1))
    creched.start()
    creched.wait_for("started", "a")
    most = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    os.kill(creched.pid, 19)
    for number in range(most // 4 + 1000):
        (path / f"x{number}").write_text("")  # created, opened, written, closed
        (path / f"x{number}").unlink()
    write(path / "workload.toml", QUICK + RUN.format(2))
    os.kill(creched.pid, 18)
    creched.wait_for("workload-changed", "a")

    assert creched.stop() == 0
