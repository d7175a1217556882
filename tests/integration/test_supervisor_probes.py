"""Probes of real containers: what they find, and that nothing of them stays."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

import pytest

from tests.integration.supervised import Creched

pytestmark = pytest.mark.root

QUICK = """
[stop]
timeout = "100ms"
[restart]
policy = "never"
[ready]
on = "probe"
[health]
interval = "50ms"
start-period = "20s"
"""

STRICT = QUICK.replace('start-period = "20s"\n', "")


def sh(script: str, more: str = "") -> str:
    """A [container] table that runs a script of busybox's shell, which reaps what it inherits."""
    return f"[container]\nargs = ['busybox', 'sh', '-c', '''{script}''']\n{more}\n"


WAIT = "while :; do sleep 1; done"
SERVER = """
import http.server, socketserver
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(int(self.path[1:4]))
        self.send_header("Location", "http://127.0.0.1:1/")
        self.end_headers()
socketserver.ThreadingTCPServer.address_family = ADDRESS[1]
socketserver.ThreadingTCPServer((ADDRESS[0], 8080), Handler).serve_forever()
"""


def server(host: str = "127.0.0.1") -> str:
    """A [container] table with a web server that answers with the status asked for."""
    family = 10 if ":" in host else 2
    script = f'ADDRESS = ("{host}", {family})\n{SERVER}'
    return f"[container]\nargs = ['python3', '-c', '''{script}''']\n"


def test_good_ones(creched: Creched) -> None:
    """Each kind finds a good container good, in a network that nobody else can reach."""
    creched.add("exec", QUICK + 'exec = ["busybox", "test", "-d", "/proc/1"]\n' + sh(WAIT))
    creched.add("file", QUICK + 'file = "/tmp/there"\n' + sh(f"ln -s / /tmp/there; {WAIT}"))
    creched.add("tcp", QUICK + "tcp = 8080\n" + server())
    creched.add("http", QUICK + 'http = "http://localhost:8080/204"\n' + server())
    creched.add("redirect", QUICK + 'http = "http://[::1]:8080/302"\n' + server("::1"))
    creched.start()

    for name in ("exec", "file", "tcp", "http", "redirect"):
        creched.wait_for("ready", name)
        assert creched.find("healthy", name)
    assert not creched.find("unhealthy")
    creched.hurry()
    creched.finish()


def test_bad_ones(creched: Creched) -> None:
    """Each kind finds a bad one, says why, and that is the cause of its end."""
    creched.add("exec", STRICT + 'exec = ["busybox", "sh", "-c", "echo no; exit 3"]\n' + sh(WAIT))
    creched.add("none", STRICT + 'exec = ["/no/such/program"]\n' + sh(WAIT))
    creched.add("file", STRICT + 'file = "/tmp/there"\n' + sh(f"ln -s /nowhere /tmp/there; {WAIT}"))
    creched.add("tcp", STRICT + "tcp = 8081\n" + server())
    creched.add("http", STRICT + 'http = "http://127.0.0.1:8080/500"\nfailures = 60\n' + server())
    creched.add("slow", STRICT + 'timeout = "50ms"\nexec = ["sleep", "1000"]\n' + sh(WAIT))
    creched.start("--once")

    assert creched.finish() == 1
    why = {event["workload"]: event["reason"] for event in creched.find("unhealthy")}
    assert "exit status 3: no" in why["exec"]
    assert "/no/such/program" in why["none"]
    assert "is not there" in why["file"]
    assert "refused" in why["tcp"]
    assert "status 500" in why["http"]
    assert "within 0.05 s" in why["slow"]
    assert {event["result"] for event in creched.find("gave-up")} == {"unhealthy"}
    assert all(text.startswith(("3 in a row", "60 in a row")) for text in why.values())


def test_the_next_creched_goes_on_looking(creched: Creched) -> None:
    """At containers that it adopts, and finds them bad once they are."""
    gone = "touch /tmp/there; trap 'rm /tmp/there' USR1; while :; do sleep 0.1; done"
    creched.add("exec", QUICK + 'exec = ["busybox", "test", "-e", "/tmp/there"]\n' + sh(gone))
    creched.add("file", QUICK + 'file = "/tmp/there"\n' + sh(gone))
    slow = 'timeout = "2s"\nhttp = "http://127.0.0.1:8080/200"\n'
    quiet = '[logs]\nto = "none"\n'  # standard error would be gone with the first creched
    creched.add("http", QUICK + slow + quiet + server())
    creched.start()
    for name in ("exec", "file", "http"):
        creched.wait_for("ready", name)
    creched.signal(signal.SIGKILL)
    creched.finish()
    creched.start()
    for name, number in (("exec", "USR1"), ("file", "USR1"), ("http", "STOP")):
        [adopted] = creched.wait_for("adopted", name)
        os.kill(adopted["pid"], signal.Signals[f"SIG{number}"])
        creched.wait_for("unhealthy", name)
    assert not creched.find("workload-fault")
    creched.hurry()
    creched.finish()


def test_the_host_is_not_looked_at(creched: Creched, tmp_path: Path) -> None:
    """Neither its files, by whatever link, nor its network."""
    (tmp_path / "canary").write_text("")
    link = f"ln -s /proc/1/root/../../..{tmp_path}/canary /tmp/there"
    creched.add("file", STRICT + 'file = "/tmp/there"\n' + sh(f"{link}; {WAIT}"))
    creched.add("magic", STRICT + 'file = "/tmp/fd/etc/hosts"\n'
                + sh(f"ln -s /proc/self/root /tmp/fd; {WAIT}"))  # fmt: skip
    creched.start("--once")

    assert creched.finish() == 1
    assert len(creched.find("unhealthy")) == 2


def test_an_exec_probe_is_inside(creched: Creched) -> None:
    """As the container's user, in its namespaces and control groups, with its capabilities."""
    script = (
        "id -u; grep -E '^Cap(Eff|Bnd)|^NoNewPrivs|^Seccomp:' /proc/self/status; "
        "for n in ipc mnt net pid uts cgroup; do readlink /proc/self/ns/$n; done; "
        "echo $((`ls /proc/self/fd | wc -l` - 4)) /proc/1/stat >/dev/null; cat /proc/self/cgroup"
    )
    creched.add(
        "a",
        STRICT
        + f"exec = ['busybox', 'sh', '-c', \"{script}; exit 1\"]\nfailures = 1\n"
        + "[logs]\nto = 'file'\nlines = 50\n"
        + sh(f"{script}; sleep 1000", 'user = "1000:1000"'),
    )
    creched.start("--once")
    creched.finish()

    said = creched.find("unhealthy", "a")[0]["reason"].partition("status 1: ")[2]
    own = creched.find("exited", "a")[0]["output"]
    probe = said.replace("\\t", "\t").split("\\n")
    assert [line.replace("\\t", "\t") for line in own] == [
        # On version 2 it has a control group of its own, below.
        line.replace("/creche-probe-0", "/")
        for line in probe
    ]


def test_what_it_leaves_running_is_killed(creched: Creched) -> None:
    """Children that hold its output delay nothing; neither tasks nor descriptors add up."""
    creched.add(
        "a",
        QUICK.replace("50ms", "10ms")
        + 'exec = ["busybox", "sh", "-c", "sleep 1e9 & setsid sleep 1e9 & exit 0"]\n'
        + 'timeout = "60s"\n'
        + sh("trap exit TERM; " + WAIT),
    )
    creched.add("marker", '[restart]\npolicy = "always"\ndelay = "10ms"\njitter = 0\nfactor = 1\n'
                + sh("exit 0"))  # fmt: skip
    creched.start()
    creched.wait_for("healthy", "a")
    creched.wait_for("started", "marker", 5)
    fds = len(os.listdir(f"/proc/{creched.pid}/fd"))
    creched.wait_for("started", "marker", 30)

    assert abs(len(os.listdir(f"/proc/{creched.pid}/fd")) - fds) < 24
    for group in _groups(creched):
        if "creche-probe" in group.name:  # what is there belongs to a probe under way
            with contextlib.suppress(OSError):  # it is gone by now
                inside = (group / "cgroup.procs").read_text().split()
                assert len(inside) <= 4
    assert not creched.find("unhealthy")
    creched.hurry()
    creched.finish()


def test_a_probe_that_prints_without_end(creched: Creched) -> None:
    """A gigabyte, or a line without end: the memory of creched does not grow by it."""
    creched.add(
        "a",
        STRICT
        + 'exec = ["busybox", "sh", "-c", "head -c 1000000000 /dev/zero; echo end; exit 7"]\n'
        + 'failures = 1\ntimeout = "60s"\n'
        + sh(WAIT),
    )
    creched.add("b", sh(WAIT))
    creched.start()
    creched.wait_for("started", "b")
    creched.wait_for("started", "a")
    before = _resident(creched.pid)
    [unhealthy] = creched.wait_for("unhealthy", "a")

    assert _peak(creched.pid) - before < 6 << 20
    assert unhealthy["reason"].endswith("end")
    assert len(unhealthy["reason"]) < 3000
    creched.hurry()
    creched.finish()


def test_an_end_is_not_taken_for_bad_health(creched: Creched) -> None:
    """A container that ends by itself does not fail by a probe that finds nobody."""
    creched.add(
        "a",
        STRICT.replace("50ms", "10ms")
        + 'failures = 1\nexec = ["busybox", "true"]\n'
        + sh("sleep 0.3; exit 9"),
    )
    creched.start("--once")

    assert creched.finish() == 1
    assert not creched.find("unhealthy")
    assert creched.find("exited", "a")[0]["code"] == 9


def _groups(creched: Creched) -> list[Path]:
    """All control groups of its containers."""
    # os.walk passes over what vanishes meanwhile.
    return [Path(path) for top in creched.cgroups() for path, _, _ in os.walk(top)]


def _resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


def _peak(pid: int) -> int:
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.partition("VmHWM:")[2].split()[0]) * 1024
