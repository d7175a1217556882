"""podman and conmon: what their users do all day."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engines.engine import (
    IDLE,
    IMAGE,
    STUBBORN,
    Place,
    call,
    need,
    own_cgroups,
    read_line_with,
    read_rest,
)
from tests.engines.podman import Podman
from tests.support.repository import REPOSITORY
from tests.support.waiting import DEADLINE, wait_exit

pytestmark = [pytest.mark.root, pytest.mark.slow]


@pytest.fixture(scope="module")
def podman(place: Place) -> Iterator[Podman]:
    """Give podman with an image, warmed up."""
    need("podman", "conmon")
    place.allowed_in_run |= {"containers", "netns", "libpod", place.runtime, "crun", "runc"}
    made = Podman(place)
    made("import", "-q", str(place.image_tar), IMAGE).ok()
    made.run(args=["/bin/true"]).ok()
    yield made
    made("rm", "-f", "-a", "-t", "0")
    made("pod", "rm", "-f", "-a", "-t", "0")


# podman 4.3 tells conmon the size when the program runs already.
SIZED = "until stty size 2>/dev/null | grep '30 100'; do sleep 0.1; done"


def wait_ready(podman: Podman, name: str, marker: str = "ready") -> None:
    """Wait until a container has written a line."""
    with podman.follow("logs", "-f", name) as logs:
        read_line_with(logs, marker)


def test_run(podman: Podman) -> None:
    done = podman.run(sh="echo out; echo err >&2; exit 7").failed(7)
    assert done.stdout == "out\n"
    assert done.stderr == "err\n"


def test_run_with_stdin(podman: Podman) -> None:
    done = podman(*podman.run_words("--rm", "-i", sh="tr a-z A-Z; echo end"), stdin=b"shout\n").ok()
    assert done.stdout == "SHOUT\nend\n"


def test_much_output(podman: Podman) -> None:
    done = podman.run(sh="seq 1 200000 | tail -c 500000 | md5sum; seq 1 100000").ok()
    assert done.stdout.splitlines()[-1] == "100000"


def test_run_ended_by_a_signal(podman: Podman) -> None:
    """One from inside; init itself is not killed from there, as pid_namespaces(7) has it."""
    podman.run(sh="kill -KILL $$; sh -c 'kill -KILL $$'; exit $?").failed(137)


@pytest.mark.parametrize(
    ("command", "status", "words"),
    [
        ("/nope", 127, "no such file or directory"),
        ("nope", 127, "executable file not found in $PATH"),
        ("/noexec", 126, "permission denied"),
        ("/data", 126, ""),
    ],
    ids=["missing", "not_in_path", "not_executable", "directory"],
)
def test_program_that_cannot_run(podman: Podman, command: str, status: int, words: str) -> None:
    done = podman.run(args=[command]).failed(status)
    assert words.lower() in done.stderr.lower(), done.describe()


def test_bad_working_directory(podman: Podman) -> None:
    """podman itself makes one that is missing; one that is a file is the runtime's to refuse."""
    done = podman.run("--workdir=/noexec", args=["pwd"]).failed()
    assert "/noexec" in done.stderr


def test_terminal(podman: Podman) -> None:
    """run -it: a terminal of the right size, keys, a later size, the exit status."""
    script = f"tty; {SIZED}; read line; echo got $line; trap 'stty size' WINCH; trap 'exit 5' INT; "
    words = podman.run_words("-it", "--rm", sh=script + "echo sized; while :; do sleep 0.1; done")
    with podman.terminal(*words) as terminal:
        shown = terminal.read_until("30 100")
        assert "/dev/pts/0" in shown or "/dev/console" in shown
        terminal.type("hello\r")
        terminal.read_until("got hello")
        terminal.read_until("sized")
        terminal.resize(40, 120)
        terminal.read_until("40 120")
        terminal.type("\x03")
        assert terminal.wait() == 5


def test_terminal_interrupted(podman: Podman) -> None:
    words = podman.run_words(
        "-it", "--rm", sh="trap 'echo caught; exit 9' INT; echo ready; sleep 99"
    )
    with podman.terminal(*words) as terminal:
        terminal.read_until("ready")
        terminal.type("\x03")
        terminal.read_until("caught")
        assert terminal.wait() == 9


def test_detach_keys_and_attach(podman: Podman) -> None:
    name = "crt-attached"
    words = podman.run_words(
        "-it",
        "--detach-keys=ctrl-q",
        f"--name={name}",
        sh="echo ready; read x; echo got $x; exit 4",
    )
    try:
        with podman.terminal(*words) as terminal:
            terminal.read_until("ready")
            terminal.type("\x11")
            assert terminal.wait() == 0
        assert podman.inspect(name)["State"]["Running"]
        with podman.terminal("attach", name) as terminal:
            terminal.type("again\r")
            terminal.read_until("got again")
            terminal.wait()
        assert podman.wait(name) == 4
    finally:
        podman("rm", "-f", "-t", "0", name)


def test_logs(podman: Podman) -> None:
    with podman.container(sh="echo one; echo two >&2; exit 6") as name:
        assert podman.wait(name) == 6
        done = podman("logs", name).ok()
        assert done.stdout == "one\n"
        assert done.stderr == "two\n"
        with podman.follow("logs", "-f", name) as logs:
            assert read_rest(logs) == "one\n"


def test_exec(podman: Podman) -> None:
    with podman.container("-e", "A=1", sh=IDLE) as name:
        done = podman(
            "exec", "-e", "B=2", "-w", "/tmp", name, "sh", "-c", "echo $A $B $PWD; exit 8"
        )
        assert done.failed(8).stdout == "1 2 /tmp\n"
        assert podman("exec", "-u", "1000:1000", name, "id", "-u").ok().stdout == "1000\n"
        assert podman("exec", "-i", name, "cat", stdin=b"through").ok().stdout == "through"
        podman("exec", name, "/nope").failed(127)
        podman("exec", name, "/noexec").failed(126)
        root = podman("exec", name, "cat", "/proc/1/cgroup").ok().stdout
        assert podman("exec", name, "cat", "/proc/self/cgroup").ok().stdout == root


def test_exec_detached(podman: Podman) -> None:
    with podman.container(sh="mkfifo /tmp/f; echo ready; read x </tmp/f; echo got $x") as name:
        wait_ready(podman, name)
        podman("exec", "-d", name, "sh", "-c", "echo there >/tmp/f").ok()
        assert podman.wait(name) == 0
        assert "got there" in podman("logs", name).ok().stdout


def test_exec_terminal(podman: Podman) -> None:
    with podman.container(sh=IDLE) as name:
        words = ["exec", "-it", name, "sh", "-c", f"tty; {SIZED}; read x; exit $x"]
        with podman.terminal(*words) as terminal:
            terminal.read_until("30 100")
            terminal.type("12\r")
            assert terminal.wait() == 12


def test_exec_privileged(podman: Podman) -> None:
    with podman.container("--cap-drop=all", sh=IDLE) as name:
        script = "grep CapEff /proc/self/status"
        plain = podman("exec", name, "sh", "-c", script).ok().stdout.split()[1]
        more = podman("exec", "--privileged", name, "sh", "-c", script).ok().stdout.split()[1]
        assert int(plain, 16) == 0
        assert int(more, 16) != 0


def test_stop(podman: Podman) -> None:
    with podman.container(sh=IDLE) as name:
        wait_ready(podman, name)
        podman("stop", "-t", "30", name).ok()
        state = podman.inspect(name)["State"]
        assert (state["Status"], state["ExitCode"]) == ("exited", 3)


def test_stop_of_a_stubborn_one(podman: Podman) -> None:
    with podman.container(sh=STUBBORN) as name:
        wait_ready(podman, name)
        podman("stop", "-t", "1", name).ok()
        assert podman.inspect(name)["State"]["ExitCode"] == 137


def test_kill(podman: Podman) -> None:
    with podman.container(sh="trap 'echo hup' HUP; trap 'exit 4' USR1; echo ready;"
                          " while :; do sleep 1000 & wait; done") as name:  # fmt: skip
        wait_ready(podman, name)
        podman("kill", "-s", "HUP", name).ok()
        wait_ready(podman, name, "hup")
        podman("kill", "-s", "USR1", name).ok()
        assert podman.wait(name) == 4
        assert podman("kill", name).failed().stderr


def test_pause(podman: Podman) -> None:
    with podman.container(sh=IDLE) as name:
        wait_ready(podman, name)
        podman("pause", name).ok()
        assert podman.inspect(name)["State"]["Status"] == "paused"
        podman("exec", name, "true").failed()
        podman("unpause", name).ok()
        assert podman.inspect(name)["State"]["Status"] == "running"
        podman("exec", name, "true").ok()


def test_remove_a_paused_one(podman: Podman) -> None:
    with podman.container(sh=IDLE) as name:
        podman("pause", name).ok()
        podman("rm", "-f", "-t", "0", name).ok()
        podman("container", "exists", name).failed(1)


def test_stats(podman: Podman) -> None:
    with podman.container("--memory=64m", sh=IDLE) as name:
        wait_ready(podman, name)
        (row,) = json.loads(podman("stats", "--no-stream", "--format=json", name).ok().stdout)
        assert int(row["pids"]) == 2
        assert "67.11MB" in row["mem_usage"]


def test_top(podman: Podman) -> None:
    with podman.container(sh=IDLE) as name:
        wait_ready(podman, name)
        shown = podman("top", name, "pid", "args").ok().stdout
        assert "sleep 1000" in shown


def test_inspect(podman: Podman) -> None:
    with podman.container(sh=IDLE) as name:
        found = podman.inspect(name)
        pid = found["State"]["Pid"]
        assert found["OCIRuntime"] == podman.place.runtime
        assert found["State"]["Status"] == "running"
        assert podman.place.cgroup in Path(f"/proc/{pid}/cgroup").read_text()
        assert Path(found["PidFile"]).read_text() == str(pid)


def test_limits_seen_inside(podman: Podman) -> None:
    top = "/sys/fs/cgroup"
    if Path(top, "cgroup.controllers").exists():
        files = ["memory.max", "pids.max", "cpu.max"]
        expected = ["67108864", "20", "50000 100000"]
    else:
        files = ["memory/memory.limit_in_bytes", "pids/pids.max", "cpu/cpu.cfs_quota_us"]
        expected = ["67108864", "20", "50000"]
    done = podman.run(
        "--memory=64m", "--pids-limit=20", "--cpus=0.5",
        sh=f"cd {top} && cat {' '.join(files)}",
    )  # fmt: skip
    assert done.ok().stdout.splitlines() == expected


def test_cpu_set_and_shares(podman: Podman) -> None:
    done = podman.run(
        "--cpuset-cpus=0", "--cpu-shares=512", sh="grep Cpus_allowed_list /proc/self/status"
    )
    assert done.ok().stdout.split() == ["Cpus_allowed_list:", "0"]


def test_pids_limit_holds(podman: Podman) -> None:
    done = podman.run(
        "--pids-limit=5", sh="for i in 1 2 3 4 5 6 7 8; do sleep 60 & done; kill %1"
    ).failed()
    assert "fork" in done.stderr


def test_oom(podman: Podman) -> None:
    """The kernel kills for want of memory, and podman says so."""
    script = "dd if=/dev/zero of=/dev/null bs=100M; echo ended $?; exit 5"
    options = "--memory=16m", "--memory-swap=16m"
    with podman.container(*options, sh=script, verb="create") as name:
        # conmon 2.1.6 leaves its note where podman was called, podman 4.3 looks in the bundle.
        podman("start", name, cwd=podman.inspect(name)["StaticDir"]).ok()
        assert podman.wait(name) == 5
        assert podman("logs", name).ok().stdout == "ended 137\n"
        assert podman.inspect(name)["State"]["OOMKilled"] is True


def test_read_only(podman: Podman) -> None:
    done = podman.run("--read-only", sh="touch /x; touch /tmp/y && touch /dev/shm/z && echo fine")
    assert done.ok().stdout == "fine\n"
    assert "Read-only file system" in done.stderr


def test_capabilities(podman: Podman) -> None:
    script = "grep -E 'Cap(Inh|Prm|Eff|Bnd|Amb)' /proc/self/status"
    seen = {}
    for options in (
        (),
        ("--cap-drop=all",),
        ("--cap-drop=all", "--cap-add=net_bind_service"),
        ("--cap-add=sys_time", "--user=1000"),
        ("--privileged",),
    ):
        words = podman.run(*options, sh=script).ok().stdout.split()
        seen[options] = dict(zip(words[::2], words[1::2], strict=True))
    assert set(seen["--cap-drop=all",].values()) == {"0" * 16}
    chosen = seen["--cap-drop=all", "--cap-add=net_bind_service"]
    assert int(chosen["CapEff:"], 16) == int(chosen["CapBnd:"], 16) == 1 << 10
    user = seen["--cap-add=sys_time", "--user=1000"]
    assert int(user["CapBnd:"], 16) & 1 << 25
    assert int(seen["--privileged",]["CapEff:"], 16) >= int(seen[()]["CapEff:"], 16)


def test_user(podman: Podman) -> None:
    done = podman.run("--user=1000:1000", "--group-add=5", sh="id -u; id -g; id -G; echo $HOME")
    uid, gid, groups, home = done.ok().stdout.splitlines()
    assert (uid, gid, home) == ("1000", "1000", "/home/crt")
    assert "5" in groups.split()
    assert podman.run("--user=crt", sh="id -un").ok().stdout == "crt\n"


def test_umask_and_environment(podman: Podman) -> None:
    done = podman.run("--umask=0027", "--env=X=a b", "--workdir=/data", sh='umask; echo "$X"; pwd')
    assert done.ok().stdout == "0027\na b\n/data\n"


def test_volumes(podman: Podman, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("inside\n")
    script = (
        "cat /v/in; echo back >/v/out; cat /r/in; touch /r/no; mount | grep ' /r ' | grep -c ro,"
    )
    done = podman.run(
        f"--volume={tmp_path}:/v", f"--volume={tmp_path}:/r:ro,rslave", sh=script
    ).ok()
    assert done.stdout == "inside\ninside\n1\n"
    assert "Read-only" in done.stderr
    assert (tmp_path / "out").read_text() == "back\n"
    podman.run(f"--volume={tmp_path}/in:/etc/one:ro", args=["cat", "/etc/one"]).ok()


def test_named_volume(podman: Podman) -> None:
    """A new volume starts with what the image has there."""
    try:
        podman.run("--volume=crtvol:/data", sh="cat /data/seed; echo more >/data/more").ok()
        assert podman.run("--volume=crtvol:/data", sh="cat /data/more").ok().stdout == "more\n"
    finally:
        podman("volume", "rm", "-f", "crtvol")


def test_tmpfs(podman: Podman) -> None:
    script = "mount | grep ' /scratch '; stat -c %a /scratch; ls /data"
    options = "--tmpfs=/scratch:rw,size=1m,mode=1770", "--tmpfs=/data:rw,noexec"
    done = podman.run(*options, sh=script).ok()
    assert "size=1024k" in done.stdout
    assert "1770" in done.stdout
    assert "seed" in done.stdout  # tmpcopyup, which podman asks for


def test_hostname_and_hosts(podman: Podman) -> None:
    script = "hostname; cat /etc/hostname; cat /etc/hosts"
    done = podman.run("--hostname=crt-host", "--add-host=other:10.9.8.7", sh=script).ok()
    assert done.stdout.startswith("crt-host\ncrt-host")
    assert "10.9.8.7" in done.stdout


def test_sysctl_and_ulimit(podman: Podman) -> None:
    done = podman.run(
        "--sysctl=net.ipv4.ip_unprivileged_port_start=80", "--ulimit=nofile=64:128",
        "--ulimit=nproc=99:99",
        sh="cat /proc/sys/net/ipv4/ip_unprivileged_port_start; ulimit -n; ulimit -Hn",
    )  # fmt: skip
    assert done.ok().stdout.split() == ["80", "64", "128"]


def test_devices(podman: Podman) -> None:
    script = "stat -c %t:%T /dev/crt; true </dev/crt && echo may read; true >/dev/crt"
    done = podman.run("--device=/dev/loop-control:/dev/crt:r", sh=script).failed()
    assert done.stdout == "a:ed\nmay read\n"
    assert "not permitted" in done.stderr


def test_privileged(podman: Podman) -> None:
    script = (
        "mount -t tmpfs t /mnt && echo mounted; touch /proc/sys/vm/overcommit_memory && echo rw"
    )
    assert podman.run("--privileged", sh=script).ok().stdout == "mounted\nrw\n"


def test_shared_namespaces(podman: Podman) -> None:
    names = [("pid", "--pid=host"), ("uts", "--uts=host"), ("ipc", "--ipc=host"),
             ("net", "--network=host"), ("cgroup", "--cgroupns=host")]  # fmt: skip
    script = "for n in pid uts ipc net cgroup; do readlink /proc/self/ns/$n; done"
    done = podman.run(*(option for _, option in names), sh=script).ok()
    assert done.stdout.split() == [os.readlink(f"/proc/self/ns/{name}") for name, _ in names]
    own = podman.run(sh=script).ok().stdout.split()
    assert not set(own[:4]) & set(done.stdout.split())  # podman leaves out the last on cgroup v1


def test_joined_namespaces(podman: Podman) -> None:
    with podman.container(sh=IDLE) as name:
        script = "readlink /proc/self/ns/net /proc/self/ns/pid /proc/self/ns/ipc; ps"
        shared = [f"--{kind}=container:{name}" for kind in ("network", "pid", "ipc")]
        joined = podman.run(*shared, sh=script).ok().stdout
        inside = podman("exec", name, "sh", "-c", script).ok().stdout
        assert joined.split()[:3] == inside.split()[:3]
        assert "sleep 1000" in joined


def test_kill_all_in_a_shared_pid_namespace(podman: Podman) -> None:
    with podman.container("--pid=host", sh="sleep 1000 & echo ready; wait") as name:
        wait_ready(podman, name)
        pid = podman.inspect(name)["State"]["Pid"]
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        podman("stop", "-t", "1", name).ok()
        for child in children:
            wait_exit(int(child))


def test_seccomp(podman: Podman, tmp_path: Path) -> None:
    profile = tmp_path / "profile.json"
    rule = {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}
    profile.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}))
    done = podman.run(f"--security-opt=seccomp={profile}", sh="mkdir /x").failed()
    assert "not supported" in done.stderr.lower()
    shown = podman.run(sh="grep -E '^Seccomp:' /proc/self/status").ok().stdout
    assert shown.split() == ["Seccomp:", "2"]
    podman.run("--security-opt=seccomp=unconfined", sh="grep 'Seccomp:.0' /proc/self/status").ok()


def test_no_new_privileges(podman: Podman) -> None:
    done = podman.run("--security-opt=no-new-privileges", sh="grep NoNewPrivs /proc/self/status")
    assert done.ok().stdout.split() == ["NoNewPrivs:", "1"]


def test_masked_paths(podman: Podman) -> None:
    script = "cat /proc/kcore | wc -c; ls /sys/firmware | wc -l; "
    script += "echo 1 >/proc/sys/kernel/panic || echo ro"
    shown = podman.run(sh=script).ok().stdout.split()
    assert shown == ["0", "0", "ro"]
    podman.run("--security-opt=unmask=ALL", sh="ls /sys/firmware | grep .").ok()


def test_user_namespace(podman: Podman) -> None:
    script = (
        "cat /proc/self/uid_map; id -u; touch /x && stat -c %u /x; mount -t tmpfs t /mnt && echo no"
    )
    options = "--uidmap=0:100000:65536", "--gidmap=0:100000:65536"
    done = podman.run(*options, sh=script)
    assert done.stdout.split() == ["0", "100000", "65536", "0", "0"], done.describe()


def test_init_process(podman: Podman) -> None:
    need("catatonit")
    done = podman.run("--init", "--init-path=/usr/bin/catatonit", sh="cat /proc/1/comm").ok()
    assert done.stdout == "podman-init\n"


def test_preserved_descriptors(podman: Podman, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("by descriptor\n")
    argv = podman.argv(podman.run_words("--rm", "--preserve-fds=1", sh="cat <&3"))
    done = call(["sh", "-c", 'exec 3<"$0"; exec "$@"', str(tmp_path / "f"), *argv],
                env=podman.environment)  # fmt: skip
    assert done.ok().stdout == "by descriptor\n"


def test_no_other_descriptors(podman: Podman) -> None:
    done = podman.run(args=["ls", "/proc/self/fd"]).ok()
    assert done.stdout.split() == ["0", "1", "2", "3"]  # 3 is the listing itself


def test_restart_on_failure(podman: Podman) -> None:
    with podman.container("--restart=on-failure:2", sh="echo turn; exit 1") as name:
        filters = [f"--filter=container={name}", "--filter=event=died", "--format={{.Name}}"]
        with podman.follow("events", "--since=10m", *filters) as events:
            for _ in range(3):
                assert events.stdout.readline()
        found = podman.inspect(name)
        assert found["RestartCount"] == 2
        assert podman("logs", name).ok().stdout == "turn\n" * 3


def test_restart(podman: Podman) -> None:
    with podman.container(sh=IDLE) as name:
        wait_ready(podman, name)
        first = podman.inspect(name)["State"]["Pid"]
        podman("restart", "-t", "30", name).ok()
        found = podman.inspect(name)["State"]
        assert found["Running"]
        assert found["Pid"] != first


def test_create_start_wait(podman: Podman) -> None:
    with podman.container(sh="cat; exit 9", verb="create") as name:
        assert podman.inspect(name)["State"]["Status"] == "created"
        podman("start", "-a", name).failed(9)
        podman("start", "-a", name).failed(9)
        assert podman.wait(name) == 9


def test_init_then_start(podman: Podman) -> None:
    """`podman init` is the runtime's create without its start."""
    with podman.container(sh="echo started", verb="create") as name:
        podman("init", name).ok()
        found = podman.inspect(name)["State"]
        assert found["Status"] == "initialized"
        assert found["Pid"] > 0
        assert podman("logs", name).ok().stdout == ""
        assert podman("start", "-a", name).ok().stdout == "started\n"


def test_remove_an_initialized_one(podman: Podman) -> None:
    with podman.container(sh=IDLE, verb="create") as name:
        podman("init", name).ok()
        podman("rm", "-f", "-t", "0", name).ok()
        podman("container", "exists", name).failed(1)


def test_health_check(podman: Podman) -> None:
    options = "--health-cmd=test -e /healthy", "--health-retries=1", "--health-interval=disable"
    with podman.container(*options, sh=IDLE) as name:
        podman("healthcheck", "run", name).failed(1)
        assert podman.inspect(name)["State"]["Health"]["Status"] == "unhealthy"
        podman("exec", name, "touch", "/healthy").ok()
        podman("healthcheck", "run", name).ok()
        assert podman.inspect(name)["State"]["Health"]["Status"] == "healthy"


def test_copy_and_commit(podman: Podman, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("copied\n")
    try:
        with podman.container(sh=IDLE) as name:
            podman("cp", str(tmp_path / "f"), f"{name}:/tmp/f").ok()
            assert podman("exec", name, "cat", "/tmp/f").ok().stdout == "copied\n"
            assert "A /tmp/f" in podman("diff", name).ok().stdout
            podman("commit", "-q", name, "crt-committed").ok()
        done = podman("run", "--rm", "--network=none", f"--cgroup-parent=/{podman.place.cgroup}",
                      "localhost/crt-committed", "cat", "/tmp/f")  # fmt: skip
        assert done.ok().stdout == "copied\n"
    finally:
        podman("rmi", "-f", "crt-committed")


def test_update(podman: Podman) -> None:
    """`podman update` is the runtime's update with --resources=FILE."""
    with podman.container("--memory=64m", sh=IDLE) as name:
        podman("update", "--memory=32m", "--cpus=0.25", name).ok()
        pid = podman.inspect(name)["State"]["Pid"]
        own = own_cgroups(pid)
        assert (own["memory"] / "memory.limit_in_bytes").read_text() == f"{32 << 20}\n"
        assert (own["cpu"] / "cpu.cfs_quota_us").read_text() == "25000\n"


def test_pod(podman: Podman) -> None:
    """Containers of a pod share the network, and talk through its loopback interface."""
    words = ["pod", "create", "--name=crt-pod", "--network=none", f"--infra-image={IMAGE}"]
    words += ["--infra-command=sleep 1000000", f"--cgroup-parent=/{podman.place.cgroup}"]
    try:
        podman(*words).ok()
        server = "nc -ll -p 1234 -e echo hello & echo ready; wait"
        with podman.container("--pod=crt-pod", sh=server) as name:
            wait_ready(podman, name)
            script = "until grep -q :04D2 /proc/net/tcp6; do :; done; "
            script += "readlink /proc/self/ns/net; nc 127.0.0.1 1234 </dev/null"
            client = podman("run", "--rm", "--pod=crt-pod", IMAGE, "sh", "-c", script)
            namespace, word = client.ok().stdout.split()
            assert word == "hello"
            assert (
                namespace
                == podman("exec", name, "readlink", "/proc/self/ns/net").ok().stdout.strip()
            )
        podman("pod", "stop", "-t", "1", "crt-pod").ok()
        podman("pod", "start", "crt-pod").ok()
    finally:
        podman("pod", "rm", "-f", "-t", "0", "crt-pod")
        podman.remove_pod_cgroups()


def test_many_at_once(podman: Podman) -> None:
    commands = [
        subprocess.Popen(
            podman.argv(podman.run_words("--rm", sh=f"echo {number}; exit {number}")),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=podman.environment,
        )
        for number in range(10, 18)
    ]
    ended = [(command.communicate(timeout=DEADLINE), command.returncode) for command in commands]
    for number, ((out, err), status) in enumerate(ended, 10):
        assert (out, status) == (f"{number}\n".encode(), number), err


def test_ended_while_nobody_looked(podman: Podman) -> None:
    """The runtime's kill and delete of a container whose init was killed from outside."""
    with podman.container(sh=STUBBORN) as name:
        pid = podman.inspect(name)["State"]["Pid"]
        os.kill(pid, 9)
        assert podman.wait(name) == 137
        podman("start", name).ok()
        assert podman.inspect(name)["State"]["Running"]


def test_a_hook_gives_it_a_network(podman: Podman) -> None:
    """etc/hooks.d as podman reads it: a network of creched.toml, which goes with the container."""
    directory = podman.place.directory / "hooks"
    directory.mkdir()
    config = directory / "creched.toml"
    config.write_text('[networks.crt]\nbridge = "crt-br0"\nsubnet = "10.78.0.0/24"\n')
    for path in (directory, config):
        path.chmod(path.stat().st_mode & ~0o022)
    program = directory / "creche-network"
    program.write_text(
        f"#!/bin/sh\ncd {REPOSITORY}\nexec {sys.executable} -m supervisor.network.alone.program "
        f'--root {directory}/alone --config {config} "$@"\n'
    )
    program.chmod(0o755)
    shipped = (REPOSITORY / "etc/hooks.d/creche-network.json").read_text()
    (directory / "creche-network.json").write_text(
        shipped.replace("/usr/bin/creche-network", str(program))
    )
    words = podman.run_words("--rm", "--annotation=org.creche.network=crt", sh="ip addr show eth0")
    done = podman(f"--hooks-dir={directory}", *words).ok()
    assert "inet 10.78.0.2/24" in done.stdout
    plain = podman(f"--hooks-dir={directory}", *podman.run_words("--rm", sh="ls /sys/class/net"))
    assert plain.ok().stdout == "lo\n"
    assert not os.path.exists("/sys/class/net/crt-br0")
    assert not any((directory / "alone").iterdir())
