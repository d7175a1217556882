"""containerd, by ctr and the shim of runc: the path that Docker and Kubernetes take, too."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engines.containerd import Containerd
from tests.engines.engine import FEED, HUNGRY, IDLE, STUBBORN, Place, need, own_cgroups, parent_of
from tests.support.waiting import wait_exit, wait_text

pytestmark = [pytest.mark.root, pytest.mark.slow]


@pytest.fixture(scope="module")
def containerd(place: Place, archive: Path) -> Iterator[Containerd]:
    """Give a containerd of our own with an image."""
    need("containerd", "ctr", "containerd-shim-runc-v2")
    place.allowed_in_run |= {"containerd"}
    made = Containerd(place, archive)
    made.run(args=["/bin/true"]).ok()
    yield made


def test_run(containerd: Containerd) -> None:
    done = containerd.run(sh="echo out; echo err >&2; exit 7").failed(7)
    assert done.stdout == "out\n"
    assert done.stderr == "err\n"


def test_run_with_stdin(containerd: Containerd) -> None:
    """One line: ctr's run does not pass on the end of its stdin, whatever the runtime."""
    name = containerd.name()
    words = containerd.run_words(name, "--rm", sh="read line; echo got $line")
    assert containerd(*words, stdin=b"it\n").ok().stdout == "got it\n"


def test_ended_by_a_signal(containerd: Containerd) -> None:
    containerd.run(sh="sh -c 'kill -KILL $$'; exit $?").failed(137)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("/nope", "no such file or directory"),
        ("nope", "executable file not found in $PATH"),
        ("/noexec", "permission denied"),
    ],
    ids=["missing", "not_in_path", "not_executable"],
)
def test_program_that_cannot_run(containerd: Containerd, command: str, words: str) -> None:
    done = containerd.run(args=[command]).failed(1)
    assert words in done.stderr, done.describe()
    assert "OCI runtime create failed" in done.stderr


def test_terminal(containerd: Containerd) -> None:
    name = containerd.name()
    script = (
        "tty; stty size; read line; echo got $line; trap 'stty size' WINCH; trap 'exit 5' INT; "
    )
    script += "echo sized; while :; do sleep 0.1; done"
    with containerd.terminal(*containerd.run_words(name, "--rm", "-t", sh=script)) as terminal:
        terminal.read_until("/dev/pts/0")
        terminal.type("hello\r")
        terminal.read_until("got hello")
        terminal.read_until("sized")
        terminal.resize(40, 120)
        terminal.read_until("40 120")
        terminal.type("\x03")
        assert terminal.wait() == 5


def test_exec(containerd: Containerd) -> None:
    with containerd.container("--env=A=1", sh=IDLE) as (name, pid, _):
        words = ["task", "exec", "--exec-id=e1", "--cwd=/tmp", name]
        done = containerd(*words, "sh", "-c", "echo $A $PWD; exit 8")
        assert done.failed(8).stdout == "1 /tmp\n"
        words = ["task", "exec", "--exec-id=e2", "--user=1000", name, "id", "-u"]
        assert containerd(*words).ok().stdout == "1000\n"
        words = ["task", "exec", "--exec-id=e3", name, "cat"]
        assert containerd(*words, stdin=b"through").ok().stdout == "through"
        done = containerd("task", "exec", "--exec-id=e4", name, "/nope").failed()
        assert "no such file or directory" in done.stderr
        words = ["task", "exec", "--exec-id=e5", name, "cat", "/proc/self/cgroup"]
        assert containerd(*words).ok().stdout == Path(f"/proc/{pid}/cgroup").read_text()


def test_exec_terminal(containerd: Containerd) -> None:
    with containerd.container(sh=IDLE) as (name, _, _):
        words = ["task", "exec", "-t", "--exec-id=e1", name, "sh", "-c", "tty; read x; exit $x"]
        with containerd.terminal(*words) as terminal:
            terminal.read_until("/dev/pts/")
            terminal.type("12\r")
            assert terminal.wait() == 12


def test_exec_detached(containerd: Containerd) -> None:
    script = "mkfifo /tmp/f; echo ready; read x </tmp/f; echo got $x"
    with containerd.container(sh=script) as (name, pid, log):
        words = ["task", "exec", "-d", "--exec-id=e1", name]
        containerd(*words, "sh", "-c", "echo there >/tmp/f").ok()
        wait_exit(pid)
        wait_text(log, "got there")


def test_kill(containerd: Containerd) -> None:
    script = (
        "trap 'echo hup' HUP; trap 'exit 4' USR1; echo ready; while :; do sleep 1000 & wait; done"
    )
    with containerd.container(sh=script) as (name, _, log):
        with containerd.events("/tasks/exit") as next_event:
            containerd("task", "kill", "-s", "HUP", name).ok()
            wait_text(log, "hup")
            containerd("task", "kill", "-s", "USR1", name).ok()
            assert '"exit_status":4' in next_event(name)
        assert containerd.task(name)[2] == "STOPPED"
        containerd("task", "kill", name).failed()


def test_kill_of_a_stubborn_one(containerd: Containerd) -> None:
    with containerd.container(sh=STUBBORN) as (name, pid, _):
        containerd("task", "kill", "-s", "TERM", name).ok()
        containerd("task", "kill", "-s", "KILL", name).ok()
        wait_exit(pid)
        containerd("task", "rm", name)
        assert not containerd.task(name)


def test_kill_all(containerd: Containerd) -> None:
    with containerd.container(sh="sh -c 'trap \"\" TERM; sleep 1000' & echo ready; wait") as made:
        name, pid, _ = made
        tasks = (own_cgroups(pid)["pids"] / "cgroup.procs").read_text().split()
        assert len(tasks) >= 2
        containerd("task", "kill", "-a", "-s", "KILL", name).ok()
        for task in tasks:
            wait_exit(int(task))


def test_pause(containerd: Containerd) -> None:
    with containerd.container(sh=IDLE) as (name, _, _):
        containerd("task", "pause", name).ok()
        assert containerd.task(name)[2] == "PAUSED"
        containerd("task", "exec", "--exec-id=e1", name, "true").failed()
        containerd("task", "resume", name).ok()
        assert containerd.task(name)[2] == "RUNNING"
        containerd("task", "exec", "--exec-id=e2", name, "true").ok()


def test_remove_a_paused_one(containerd: Containerd) -> None:
    with containerd.container(sh=IDLE) as (name, pid, _):
        containerd("task", "pause", name).ok()
        containerd("task", "rm", "-f", name).ok()
        wait_exit(pid)


def test_processes(containerd: Containerd) -> None:
    with containerd.container(sh=IDLE) as (name, pid, _):
        lines = containerd("task", "ps", name).ok().stdout.splitlines()[1:]
        listed = {int(line.split()[0]) for line in lines}
        assert pid in listed
        expected = (own_cgroups(pid)["pids"] / "cgroup.procs").read_text().split()
        assert listed == {int(word) for word in expected}


def test_metrics(containerd: Containerd) -> None:
    with containerd.container(f"--memory-limit={64 << 20}", sh=IDLE) as (name, pid, _):
        found = containerd.metrics(name)
        assert found["pids"]["current"] == 2
        memory = found["memory"]["usage"]
        assert memory["limit"] == 64 << 20
        assert 0 < memory["usage"] < 64 << 20
        limit = own_cgroups(pid)["memory"] / "memory.limit_in_bytes"
        assert int(limit.read_text()) == 64 << 20


def test_events(containerd: Containerd) -> None:
    name = containerd.name()
    with containerd.events("/tasks/start") as started, containerd.events("/tasks/delete") as gone:
        containerd(*containerd.run_words(name, "--rm", sh="exit 6")).failed(6)
        started(name)
        assert '"exit_status":6' in gone(name)


def test_oom(containerd: Containerd) -> None:
    script = f"{HUNGRY} echo ended $?; exit 5"
    memory = f"--memory-limit={16 << 20}"
    with (
        containerd.events("/tasks/oom") as next_event,
        containerd.container(memory, sh=script) as (name, _, log),
    ):
        containerd("task", "exec", "--exec-id=e1", name, *FEED).ok()
        wait_text(log, "ended 137")
        next_event(name)


def test_options(containerd: Containerd, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("inside\n")
    mount = f"--mount=type=bind,src={tmp_path},dst=/v,options=rbind:ro"
    script = "touch /x; cat /v/in; touch /v/out; pwd; echo $A"
    options = ["--read-only", mount, "--cwd=/tmp", "--env=A=b c"]
    done = containerd.run(*options, sh=script).ok()
    assert done.stdout == "inside\n/tmp\nb c\n"
    assert done.stderr.count("Read-only file system") == 2


def test_privileged(containerd: Containerd) -> None:
    script = (
        "mount -t tmpfs t /mnt && echo mounted; touch /proc/sys/vm/overcommit_memory && echo rw"
    )
    assert containerd.run("--privileged", sh=script).ok().stdout == "mounted\nrw\n"


def test_capabilities(containerd: Containerd) -> None:
    script = "grep CapEff /proc/self/status"
    plain = int(containerd.run(sh=script).ok().stdout.split()[1], 16)
    less = int(containerd.run("--cap-drop=CAP_CHOWN", sh=script).ok().stdout.split()[1], 16)
    more = int(containerd.run("--cap-add=CAP_SYS_TIME", sh=script).ok().stdout.split()[1], 16)
    assert (plain & ~less, more & ~plain) == (1 << 0, 1 << 25)


def test_seccomp(containerd: Containerd, tmp_path: Path) -> None:
    script = "grep Seccomp: /proc/self/status"
    assert containerd.run("--seccomp", sh=script).ok().stdout.split()[1] == "2"
    profile = tmp_path / "profile.json"
    rule = {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}
    profile.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}))
    options = "--seccomp", f"--seccomp-profile={profile}"
    assert "not supported" in containerd.run(*options, sh="mkdir /x").failed().stderr.lower()


def test_namespaces(containerd: Containerd) -> None:
    script = "for n in pid uts ipc net mnt; do readlink /proc/self/ns/$n; done"
    own = containerd.run(sh=script).ok().stdout.split()
    host = [os.readlink(f"/proc/self/ns/{name}") for name in ("pid", "uts", "ipc", "net", "mnt")]
    assert not set(own) & set(host)
    assert containerd.run("--net-host", sh=script).ok().stdout.split()[3] == host[3]
    with containerd.container(sh=IDLE) as (_, pid, _):
        joined = f"--with-ns=network:/proc/{pid}/ns/net"
        seen = containerd.run(joined, sh=script).ok().stdout.split()
        assert seen[3] == os.readlink(f"/proc/{pid}/ns/net")


def test_user_namespace(containerd: Containerd) -> None:
    script = "cat /proc/self/uid_map; id -u; touch /x && stat -c %u /x"
    options = "--uidmap=0:100000:65536", "--gidmap=0:100000:65536"
    done = containerd.run(*options, sh=script)
    assert done.stdout.split() == ["0", "100000", "65536", "0", "0"], done.describe()


def test_daemon_restarted(place: Place, archive: Path, tmp_path: Path) -> None:
    """Containers outlive containerd; the next one finds them."""
    need("containerd", "ctr")
    with place.another(tmp_path) as other:
        containerd = Containerd(other, archive)
        with containerd.container(sh=IDLE) as (name, pid, _):
            containerd.daemon.stop()
            containerd.daemon.start()
            assert containerd.task(name)[1:] == [str(pid), "RUNNING"]
            containerd("task", "exec", "--exec-id=e1", name, "true").ok()


def test_shim_killed(containerd: Containerd) -> None:
    """containerd clears up after its shim, by the runtime's delete --force."""
    with containerd.container(sh=STUBBORN) as (name, pid, _):
        with containerd.events("/tasks/delete") as next_event:
            os.kill(parent_of(pid), signal.SIGKILL)
            next_event(name)
        wait_exit(pid)
        assert not containerd.task(name)
