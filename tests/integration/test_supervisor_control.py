"""A real creched and real crechectl processes, over its real sockets."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from supervisor.ctl.client import Client
from supervisor.ctl.problem import Problem
from tests.integration.supervised import CHECKOUT, Creched
from tests.support.waiting import read_until

pytestmark = pytest.mark.root

SLEEPER = """
[container]
args = ["/usr/bin/sh", "-c", "trap 'exit 0' TERM; trap 'exit 7' USR1; while :; do sleep 0.05; done"]
memory = "64M"

[restart]
policy = "never"

[stop]
timeout = "5s"
"""
FAILING = """
[container]
args = ["/usr/bin/sh", "-c", "exit 3"]

[restart]
policy = "never"
"""


def socket_of(creched: Creched) -> Path:
    """The admin socket."""
    return creched.root / ".creched" / "control.sock"


def crechectl(creched: Creched, *arguments: str) -> subprocess.CompletedProcess[str]:
    """One command, to its end."""
    command = [sys.executable, "-m", "supervisor.crechectl", "--root", str(creched.root)]
    return subprocess.run([*command, *arguments], cwd=CHECKOUT, capture_output=True, text=True)


def status(creched: Creched, name: str) -> dict[str, Any]:
    """How a workload stands."""
    found: dict[str, Any] = json.loads(crechectl(creched, "status", name, "--json").stdout)
    return found


def test_a_day_at_work(creched: Creched) -> None:
    """Start, look, stop, start again, kill, and be told why."""
    creched.add("web", SLEEPER)
    creched.add("job", FAILING)
    creched.start()
    creched.wait_for("gave-up", "job")
    creched.wait_for("started", "web")

    assert crechectl(creched, "wait", "web", "--for", "ready").returncode == 0
    shown = crechectl(creched, "status")
    assert shown.returncode == 1  # job has failed
    assert shown.stdout.splitlines()[0].split()[:2] == ["NAME", "STATUS"]
    assert "\x1b" not in shown.stdout
    assert status(creched, "web")["status"] == "running"

    assert crechectl(creched, "stop", "--wait", "web").returncode == 0
    assert status(creched, "web")["status"] == "stopped"
    assert status(creched, "web")["intent"] == "down"
    assert crechectl(creched, "kill", "web").returncode == 5  # nothing runs

    assert crechectl(creched, "start", "--wait", "web").returncode == 0
    assert crechectl(creched, "kill", "-s", "USR1", "web").returncode == 0
    assert crechectl(creched, "wait", "web", "--for", "exited").returncode == 0
    told = crechectl(creched, "explain", "web")
    assert "exit status 7" in told.stdout
    assert "asked for kill" in told.stdout

    asked = [(event["action"], event["uid"]) for event in creched.wait_for("control", "web", 4)]
    assert asked == [("stop", 0), ("kill", 0), ("start", 0), ("kill", 0)]


def test_words_and_statuses(creched: Creched) -> None:
    """Scripts can tell what went wrong."""
    creched.add("web", SLEEPER)
    creched.start()
    creched.wait_for("started", "web")

    assert crechectl(creched, "status", "nobody").returncode == 4
    assert crechectl(creched, "wait", "web", "--for", "exited", "--timeout", "0.1").returncode == 6
    assert crechectl(creched, "plan").stdout == "nothing would change\n"
    (creched.workloads / "web" / "workload.toml").write_text(SLEEPER.replace("5s", "6s"))
    creched.add("new", FAILING)
    reloaded = crechectl(creched, "reload")
    assert reloaded.returncode == 0
    creched.wait_for("gave-up", "new")
    once = crechectl(creched, "top").stdout
    assert once.splitlines()[0].split()[:3] == ["NAME", "STATUS", "CPU"]
    assert "64 MiB" in once


def test_refused(creched: Creched) -> None:
    """What is wrong is told wherever somebody asks, and how that has ended."""
    web = creched.add("web", SLEEPER)
    bad = creched.add("bad", "[restrat]")
    hostile = creched.workloads / "$(touch x)\x1b[31m"
    hostile.mkdir(0o755)
    creched.start()
    creched.wait_for("started", "web")
    mistake = f"{bad}/workload.toml:1: restrat: unknown key"

    shown = crechectl(creched, "status")
    assert shown.returncode == 1
    assert [line.split()[1] for line in shown.stdout.splitlines()[1:] if "touch" not in line] == [
        "refused", "running",
    ]  # fmt: skip
    assert mistake in shown.stdout
    assert "\x1b" not in shown.stdout + crechectl(creched, "top").stdout
    assert f"mistake:       {mistake}" in crechectl(creched, "status", "bad").stdout
    assert f"  {mistake}" in crechectl(creched, "explain", "bad").stdout
    for words in (["start"], ["stop"], ["kill"], ["wait", "--for", "ready"], ["logs"]):
        done = crechectl(creched, *words, "bad")
        assert (done.returncode, f"bad is refused: {mistake}" in done.stderr) == (5, True), words

    good = (web / "workload.toml").read_text()
    (web / "workload.toml").write_text("[restrat]")
    creched.wait_for("change-refused", "web")
    assert "running, files refused" in crechectl(creched, "status", "web").stdout
    assert crechectl(creched, "status", "web").returncode == 0
    assert status(creched, "web")["problems"][0]["key"] == "restrat"
    (web / "workload.toml").write_text(good)
    creched.wait_for("workload-mended", "web")
    (bad / "workload.toml").write_text(good)
    creched.wait_for("started", "bad")
    hostile.rmdir()
    creched.wait_for("workload-removed", hostile.name)
    assert crechectl(creched, "status").returncode == 0


def test_refused_while_it_runs(creched: Creched) -> None:
    """A new creched leaves a container of files it must not trust as it is, until they are gone."""
    web = creched.add("web", SLEEPER)
    creched.start()
    [started] = creched.wait_for("started", "web")
    creched.signal(signal.SIGKILL)
    creched.finish()
    web.chmod(0o777)
    creched.start()
    creched.wait_for("workload-refused", "web")
    creched.wait_for("supervisor-started", count=2)

    found = status(creched, "web")
    assert (found["status"], found["pid"]) == ("refused", started["pid"])
    assert "left as it is" in crechectl(creched, "explain", "web").stdout
    (web / "workload.toml").unlink()
    web.rmdir()
    creched.wait_for("workload-removed", "web")
    assert crechectl(creched, "status", "web").returncode == 4
    assert not Path(f"/proc/{started['pid']}").exists()


def test_events_replayed_and_live(creched: Creched) -> None:
    """From the first to what happens now: every number once, and the end with creched's."""
    creched.add("web", SLEEPER)
    creched.start()
    creched.wait_for("started", "web")
    command = [sys.executable, "-m", "supervisor.crechectl", "--root", str(creched.root)]
    follower = subprocess.Popen(
        [*command, "events", "-f", "--json"], cwd=CHECKOUT, stdout=subprocess.PIPE
    )
    assert follower.stdout is not None
    with follower.stdout:
        seen = read_until(follower.stdout.fileno(), b'"event": "started"')
        crechectl(creched, "restart", "web")
        creched.wait_for("started", "web", 2)
        creched.stop()
        seen += follower.stdout.read()
    assert follower.wait() == 0

    numbers = [json.loads(line)["seq"] for line in seen.splitlines()]
    assert numbers == list(range(1, len(numbers) + 1))
    assert json.loads(seen.splitlines()[-1])["event"] == "supervisor-stopped"
    assert [json.loads(line) for line in seen.splitlines()] == creched.events


def test_the_mode_of_the_socket_decides(creched: Creched) -> None:
    """Root alone may connect; and none of our sockets is abstract."""
    creched.start()
    creched.wait_for("supervisor-started")
    creched.pump(lambda: socket_of(creched).exists())

    assert stat.S_IMODE(socket_of(creched).stat().st_mode) == 0o600
    program = (
        "import os, socket, sys; os.chdir(sys.argv[1]); os.setgid(1000); os.setuid(1000); "
        "s = socket.socket(socket.AF_UNIX); s.connect('control.sock')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(socket_of(creched).parent)],
        capture_output=True,
        text=True,
    )
    assert "PermissionError" in done.stderr
    names = [line.split()[7:] for line in Path("/proc/net/unix").read_text().splitlines()]
    assert not [name for name in names if name and name[0].startswith("@") and "crech" in name[0]]


ASK = """
import os, socket, sys
os.chdir(sys.argv[1]); os.setgroups([]); os.setgid(int(sys.argv[2])); os.setuid(int(sys.argv[2]))
with socket.socket(socket.AF_UNIX) as one:
    one.connect("read-only.sock")
    one.sendall(f"{sys.argv[3]} HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n".encode())
    print(one.makefile().readline())
"""


def test_a_group_may_read(creched: Creched, tmp_path: Path) -> None:
    """The read-only socket: its group may look, change nothing, and others may not even connect."""
    creched.add("web", SLEEPER)
    tmp_path.chmod(0o755)
    public = tmp_path / "public"
    public.mkdir(0o755)
    public.chmod(0o755)
    config = tmp_path / "creched.toml"
    config.write_text(f'[control]\nread-only = "{public}/read-only.sock"\ngroup = "1000"\n')
    config.chmod(0o644)
    creched.start("--config", str(config))
    creched.wait_for("started", "web")

    def ask(user: int, request: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", ASK, str(public), str(user), request]
        return subprocess.run(command, capture_output=True, text=True)

    assert ask(1000, "GET /workloads").stdout.startswith("HTTP/1.1 200")
    assert ask(1000, "POST /workloads/web/stop").stdout.startswith("HTTP/1.1 403")
    assert "PermissionError" in ask(1001, "GET /workloads").stderr
    assert status(creched, "web")["status"] == "running"
    assert creched.find("control") == []
    creched.stop()
    assert list(public.iterdir()) == []


def test_kill_nine_and_again(creched: Creched) -> None:
    """The socket a killed creched has left is replaced; that of one that stops is gone."""
    creched.add("web", SLEEPER)
    creched.start()
    creched.wait_for("started", "web")
    creched.signal(signal.SIGKILL)
    creched.finish()
    assert socket_of(creched).exists()
    assert crechectl(creched, "status").returncode == 3

    creched.start()
    creched.wait_for("supervisor-started", count=2)
    assert status(creched, "web")["status"] == "running"
    creched.stop()
    assert not socket_of(creched).exists()


def test_a_crowd(creched: Creched) -> None:
    """Thousands of connections that say nothing: bounded, and creched goes on and stops in time."""
    creched.add("web", SLEEPER)
    creched.start()
    creched.wait_for("started", "web")
    before = len(os.listdir(f"/proc/{creched.pid}/fd"))
    held, refused = [], 0
    path = f"/proc/self/fd/{os.open(socket_of(creched).parent, os.O_PATH)}/control.sock"
    for _ in range(2000):
        one = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        one.settimeout(20)
        one.connect(path)
        held.append(one)
        if len(held) > 64:
            answer = one.recv(100)
            assert answer.startswith(b"HTTP/1.1 503")
            refused += 1
    assert refused == 2000 - 64
    assert len(os.listdir(f"/proc/{creched.pid}/fd")) <= before + 64 + 1
    for one in held:
        one.close()
    os.close(int(path.split("/")[4]))
    client = Client(str(socket_of(creched)))
    while True:  # until creched has seen that they are gone
        try:
            assert client.get("workloads", "web")["status"] == "running"
            break
        except Problem:
            client.close()
    client.close()


def test_a_gigabyte(creched: Creched) -> None:
    """A body of a gigabyte is refused after its head, and not read to the end."""
    creched.start()
    creched.wait_for("supervisor-started")
    client = Client(str(socket_of(creched)))
    client.get("about")
    connection = client._connection
    assert connection is not None
    connection.putrequest("POST", "/reload")
    connection.putheader("Content-Length", str(1 << 30))
    connection.endheaders()
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        for _ in range(1 << 14):
            connection.send(b"x" * 65536)
    client.close()
    memory = Path(f"/proc/{creched.pid}/status").read_text()
    peak = next(line.split()[1] for line in memory.splitlines() if line.startswith("VmHWM"))
    assert int(peak) < 200_000
    assert creched.find("control-fault") == []


def test_metrics(creched: Creched) -> None:
    """The container's memory and CPU time are among them."""
    creched.add("web", SLEEPER)
    creched.start()
    creched.wait_for("started", "web")
    client = Client(str(socket_of(creched)))
    client.get("about")
    connection = client._connection
    assert isinstance(connection, http.client.HTTPConnection)
    connection.request("GET", "/metrics")
    with connection.getresponse() as answer:
        text = answer.read().decode()
    client.close()
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if line[0] != "#")

    assert float(values['creche_workload_memory_bytes{workload="web"}']) > 0
    assert float(values['creche_workload_memory_limit_bytes{workload="web"}']) == 64 << 20
    assert float(values['creche_workload_pids{workload="web"}']) >= 1
    assert values['creche_workload_status{status="running",workload="web"}'] == "1.0"
