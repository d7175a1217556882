"""Docker with a runtime of its own choosing, as its daemon.json names it."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engines.docker import Docker
from tests.engines.engine import FEED, HUNGRY, IDLE, IMAGE, STUBBORN, Place, need, own_cgroups
from tests.support.waiting import DEADLINE, read_all, wait_exit

pytestmark = [pytest.mark.root, pytest.mark.slow]


@pytest.fixture(scope="module")
def docker(place: Place, archive: Path) -> Iterator[Docker]:
    """Give a dockerd of our own with an image."""
    need("dockerd", "docker", "containerd")
    place.allowed_in_run |= {"containerd", "docker", "docker.sock"}
    made = Docker(place, archive)
    made.run("--network=host", args=["/bin/true"]).ok()  # dockerd keeps that namespace mounted
    yield made


def test_information(docker: Docker) -> None:
    """Docker asks each runtime for its version, and reads the answer."""
    found = json.loads(docker("info", "--format={{json .}}").ok().stdout)
    assert found["DefaultRuntime"] == docker.place.runtime
    assert found["RuncCommit"]["ID"] not in ("", "N/A")


def test_run(docker: Docker) -> None:
    done = docker.run(sh="echo out; echo err >&2; exit 7").failed(7)
    assert done.stdout == "out\n"
    assert done.stderr == "err\n"


def test_run_with_stdin(docker: Docker) -> None:
    words = docker.run_words("--rm", "-i", args=["tr", "a-z", "A-Z"])
    assert docker(*words, stdin=b"shout").ok().stdout == "SHOUT"


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
def test_program_that_cannot_run(docker: Docker, command: str, status: int, words: str) -> None:
    done = docker.run(args=[command]).failed(status)
    assert words in done.stderr, done.describe()


def test_terminal(docker: Docker) -> None:
    script = (
        "tty; stty size; read line; echo got $line; trap 'stty size' WINCH; trap 'exit 5' INT; "
    )
    words = docker.run_words("-it", "--rm", sh=script + "echo sized; while :; do sleep 0.1; done")
    with docker.terminal(*words) as terminal:
        terminal.read_until("/dev/pts/0")
        terminal.type("hello\r")
        terminal.read_until("got hello")
        terminal.read_until("sized")
        terminal.resize(40, 120)
        terminal.read_until("40 120")
        terminal.type("\x03")
        assert terminal.wait() == 5


def test_logs(docker: Docker) -> None:
    with docker.container(sh="echo one; echo two >&2; exit 6") as name:
        assert docker.wait(name) == 6
        done = docker("logs", name).ok()
        assert (done.stdout, done.stderr) == ("one\n", "two\n")


def test_exec(docker: Docker) -> None:
    with docker.container("-e", "A=1", sh=IDLE) as name:
        done = docker(
            "exec", "-e", "B=2", "-w", "/tmp", name, "sh", "-c", "echo $A $B $PWD; exit 8"
        )
        assert done.failed(8).stdout == "1 2 /tmp\n"
        assert docker("exec", "-u", "1000:1000", name, "id", "-u").ok().stdout == "1000\n"
        assert docker("exec", "-i", name, "cat", stdin=b"through").ok().stdout == "through"
        with docker.terminal("exec", "-it", name, "sh", "-c", "tty; read x; exit $x") as terminal:
            terminal.read_until("/dev/pts/")
            terminal.type("12\r")
            assert terminal.wait() == 12


def test_exec_of_what_cannot_run(docker: Docker) -> None:
    with docker.container(sh=IDLE) as name:
        done = docker("exec", name, "/nope").failed()
        assert done.rc in (126, 127)  # Docker 20.10 answers 126, later ones 127
        assert "no such file or directory" in done.stdout + done.stderr
        docker("exec", name, "/noexec").failed(126)


def test_stop_and_kill(docker: Docker) -> None:
    with docker.container(sh=IDLE) as name:
        docker.wait_log(name)
        docker("stop", "-t", "30", name).ok()
        assert docker.inspect(name)["State"]["ExitCode"] == 3
    with docker.container(sh=STUBBORN) as name:
        docker.wait_log(name)
        docker("stop", "-t", "1", name).ok()
        assert docker.inspect(name)["State"]["ExitCode"] == 137
    with docker.container(
        sh="trap 'exit 4' USR1; echo ready; while :; do sleep 9 & wait; done"
    ) as name:
        docker.wait_log(name)
        docker("kill", "-s", "USR1", name).ok()
        assert docker.wait(name) == 4


def test_pause(docker: Docker) -> None:
    with docker.container(sh=IDLE) as name:
        docker("pause", name).ok()
        assert docker.inspect(name)["State"]["Status"] == "paused"
        docker("exec", name, "true").failed()
        docker("unpause", name).ok()
        docker("exec", name, "true").ok()
        docker("pause", name).ok()  # and removed in this state


def test_top_and_stats(docker: Docker) -> None:
    with docker.container("--memory=64m", sh=IDLE) as name:
        docker.wait_log(name)
        assert "sleep 1000" in docker("top", name).ok().stdout
        row = json.loads(docker("stats", "--no-stream", "--format={{json .}}", name).ok().stdout)
        assert row["PIDs"] == "2"
        assert "64MiB" in row["MemUsage"]


def test_limits(docker: Docker) -> None:
    with docker.container("--memory=64m", "--pids-limit=20", "--cpus=0.5", sh=IDLE) as name:
        own = own_cgroups(docker.inspect(name)["State"]["Pid"])
        assert (own["memory"] / "memory.limit_in_bytes").read_text() == f"{64 << 20}\n"
        assert (own["pids"] / "pids.max").read_text() == "20\n"
        assert (own["cpu"] / "cpu.cfs_quota_us").read_text() == "50000\n"
        inside = docker("exec", name, "cat", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
        assert inside.ok().stdout == f"{64 << 20}\n"


def test_update(docker: Docker) -> None:
    """The shim hands the new resources to the runtime's update on stdin."""
    with docker.container("--memory=64m", "--memory-swap=64m", sh=IDLE) as name:
        words = ["--memory=32m", "--memory-swap=32m", "--pids-limit=30", "--cpus=0.25"]
        docker("update", *words, name).ok()
        own = own_cgroups(docker.inspect(name)["State"]["Pid"])
        assert (own["memory"] / "memory.limit_in_bytes").read_text() == f"{32 << 20}\n"
        assert (own["pids"] / "pids.max").read_text() == "30\n"
        assert (own["cpu"] / "cpu.cfs_quota_us").read_text() == "25000\n"


def test_oom(docker: Docker) -> None:
    script = f"{HUNGRY} echo ended $?; exit 5"
    with docker.container("--memory=16m", "--memory-swap=16m", sh=script) as name:
        docker.wait_log(name)
        docker("exec", name, *FEED).ok()
        assert docker.wait(name) == 5
        assert docker("logs", name).ok().stdout == "ready\nended 137\n"
        assert docker.inspect(name)["State"]["OOMKilled"] is True


def test_restart_policies(docker: Docker) -> None:
    with docker.container("--restart=on-failure:2", sh="echo turn; exit 1") as name:
        docker.wait_log(name, "turn\n")
        with docker.follow("events", "--since=10m", f"--filter=container={name}",
                           "--filter=event=die", "--format={{.Status}}") as events:  # fmt: skip
            for _ in range(3):
                assert events.stdout.readline()
        docker.wait(name)
        found = docker.inspect(name)
        assert (found["RestartCount"], found["State"]["ExitCode"]) == (2, 1)
    with docker.container("--restart=always", sh=IDLE) as name:
        docker.wait_log(name)
        with docker.follow("events", "--since=10m", f"--filter=container={name}",
                           "--filter=event=start", "--format={{.Status}}") as events:  # fmt: skip
            assert events.stdout.readline()
            os.kill(docker.inspect(name)["State"]["Pid"], signal.SIGKILL)
            assert events.stdout.readline()
        assert docker.inspect(name)["RestartCount"] == 1
        docker("restart", "-t", "30", name).ok()
        assert docker.inspect(name)["State"]["Running"]


def test_options(docker: Docker, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("inside\n")
    tmp_path.chmod(0o755)
    script = "touch /x; cat /v/in; touch /v/out; touch /tmp/y; pwd; id -u; id -G; hostname"
    done = docker.run(
        "--read-only", "--tmpfs=/tmp", f"--volume={tmp_path}:/v:ro", "--workdir=/data",
        "--user=1000:1000", "--group-add=5", "--hostname=crt-host", "--cap-drop=all", sh=script,
    ).ok()  # fmt: skip
    assert done.stdout == "inside\n/data\n1000\n1000 5\ncrt-host\n"
    assert done.stderr.count("Read-only file system") == 2


def test_security(docker: Docker, tmp_path: Path) -> None:
    script = "grep -E '^(Seccomp|NoNewPrivs|CapEff):' /proc/self/status; cat /proc/kcore | wc -c"
    words = docker.run("--security-opt=no-new-privileges", "--cap-drop=all", sh=script).ok()
    assert words.stdout.split() == ["CapEff:", "0" * 16, "NoNewPrivs:", "1", "Seccomp:", "2", "0"]
    profile = tmp_path / "profile.json"
    rule = {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}
    profile.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}))
    done = docker.run(f"--security-opt=seccomp={profile}", sh="mkdir /x").failed()
    assert "not supported" in done.stderr.lower()


def test_privileged(docker: Docker) -> None:
    """As root of a container, which lacks some of the capabilities that Docker asks for."""
    done = docker.run("--privileged", sh="mount -t tmpfs t /mnt && echo mounted")
    if docker.place.runtime == "runc" and "unable to apply caps" in done.stderr:
        pytest.xfail("runc 1.1 refuses capabilities that this machine does not have")
    assert done.ok().stdout == "mounted\n"


def test_namespaces(docker: Docker) -> None:
    script = "for n in pid uts ipc net; do readlink /proc/self/ns/$n; done"
    shared = [f"--{kind}=host" for kind in ("pid", "uts", "ipc", "network")]
    seen = docker.run(*shared, sh=script).ok().stdout.split()
    assert seen == [os.readlink(f"/proc/self/ns/{kind}") for kind in ("pid", "uts", "ipc", "net")]
    with docker.container("--ipc=shareable", sh=IDLE) as name:
        pid = docker.inspect(name)["State"]["Pid"]
        joined = [f"--{kind}=container:{name}" for kind in ("network", "pid", "ipc")]
        seen = docker.run(*joined, sh=script).ok().stdout.split()
        for kind, found in (("pid", seen[0]), ("ipc", seen[2]), ("net", seen[3])):
            assert found == os.readlink(f"/proc/{pid}/ns/{kind}")


def test_private_network(docker: Docker) -> None:
    """A network with a bridge: Docker's prestart hook gives the container its interface.

    The bridge is made in the tests' own network namespace.
    """
    made = docker("network", "create", "--driver=bridge", "--internal", "crt-net")
    if made.rc:
        pytest.skip(f"no bridge here: {made.stderr.strip()}")
    try:
        done = docker.run("--network=crt-net", sh="ip -o -4 addr show eth0; ip -o link show lo")
        assert "inet 172." in done.ok().stdout
        assert "LOOPBACK,UP" in done.stdout
    finally:
        docker("network", "rm", "crt-net").ok()


def test_published_port(docker: Docker) -> None:
    """From the tests' network namespace through Docker's proxy and bridge into the container."""
    docker("network", "create", "--driver=bridge", "crt-pub").ok()
    server = "nc -ll -p 1234 -e echo hello & until grep -q :04D2 /proc/net/tcp*; do :; done; "
    try:
        options = ["--network=crt-pub", "--publish=127.0.0.1:8321:1234"]
        with docker.container(*options, sh=f"{server} echo ready; wait") as name:
            docker.wait_log(name)
            with socket.create_connection(("127.0.0.1", 8321), DEADLINE) as client:
                assert read_all(client.fileno()) == b"hello\n"
    finally:
        docker("network", "rm", "crt-pub").ok()


def test_named_volume_and_copy(docker: Docker, tmp_path: Path) -> None:
    try:
        docker.run("--volume=crtvol:/data", sh="cat /data/seed; echo more >/data/more").ok()
        assert docker.run("--volume=crtvol:/data", sh="cat /data/more").ok().stdout == "more\n"
    finally:
        docker("volume", "rm", "-f", "crtvol").ok()
    (tmp_path / "f").write_text("copied\n")
    with docker.container(sh=IDLE) as name:
        docker("cp", str(tmp_path / "f"), f"{name}:/tmp/f").ok()
        assert docker("exec", name, "cat", "/tmp/f").ok().stdout == "copied\n"


def test_health_check(docker: Docker) -> None:
    options = "--health-cmd=test -e /healthy", "--health-retries=1", "--health-interval=1s"
    with docker.container(*options, sh=IDLE) as name:
        filters = [f"--filter=container={name}", "--filter=event=health_status", "--since=10m"]
        with docker.follow("events", *filters, "--format={{.Status}}") as events:
            assert b"unhealthy" in events.stdout.readline()
            docker("exec", name, "touch", "/healthy").ok()
            assert b"healthy" in events.stdout.readline()


def test_build(docker: Docker, tmp_path: Path) -> None:
    text = f'FROM {IMAGE}\nRUN echo built >/built && id -u\nCMD ["cat", "/built"]\n'
    (tmp_path / "Dockerfile").write_text(text)
    words = ["build", "-q", "--network=none", "-t", "crt-built", str(tmp_path)]
    try:
        docker(*words).ok()
        assert docker("run", "--rm", "--network=none", "crt-built").ok().stdout == "built\n"
    finally:
        docker("rmi", "-f", "crt-built")


def test_live_restore(place: Place, archive: Path, tmp_path: Path) -> None:
    """Containers outlive dockerd, killed or stopped; the next one takes them over."""
    need("dockerd", "docker", "containerd")
    with place.another(tmp_path) as other:
        docker = Docker(other, archive)
        with docker.container(sh=IDLE) as name:
            docker.wait_log(name)
            pid = docker.inspect(name)["State"]["Pid"]
            for number in (signal.SIGTERM, signal.SIGKILL):
                docker.daemon.stop(number)
                docker.daemon.start(docker.environment)
                assert docker.inspect(name)["State"]["Pid"] == pid
                docker("exec", name, "true").ok()
            docker("stop", "-t", "30", name).ok()
            assert docker.inspect(name)["State"]["ExitCode"] == 3
            wait_exit(pid)
