"""creched with real containers: what it sees of their ends, how it stops them, what it leaves."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.supervised import CHECKOUT, Creched
from tests.support.bundle import Bundle, make_bundle
from tests.support.waiting import wait_exit, wait_path

pytestmark = pytest.mark.root

NEVER = '[restart]\npolicy = "never"\n'


def sh(script: str, more: str = "") -> str:
    """A [container] table that runs a script of busybox's shell."""
    return f"[container]\nargs = ['busybox', 'sh', '-c', '''{script}''']\n{more}\n"


DEAF = sh("echo ready >&2; while :; do sleep 1000; done")


def test_ends_are_told_as_they_were(creched: Creched) -> None:
    """Exit status or signal, the cause, and a status of creched that says whether one failed."""
    creched.add("good", NEVER + sh("exit 0"))
    creched.add("three", NEVER + sh("exit 3"))
    creched.add("counts", '[restart]\npolicy = "never"\nsuccess = [3]\n' + sh("exit 3"))
    creched.add(
        "crash",
        NEVER + '[container]\nargs = ["python3", "-c", "import ctypes; ctypes.string_at(0)"]',
    )
    creched.start("--once")

    assert creched.finish() == 1
    ends = {e["workload"]: (e["code"], e["signal"], e["cause"]) for e in creched.find("exited")}
    assert ends == {
        "good": (0, None, "exit"),
        "three": (3, None, "exit"),
        "counts": (3, None, "exit"),
        "crash": (None, "SIGSEGV", "signal"),
    }
    assert {e["workload"]: e["result"] for e in creched.find("gave-up")} == {
        "three": "exit",
        "crash": "signal",
    }
    assert {e["workload"] for e in creched.find("done")} == {"good", "counts"}
    assert all(e["uptime"] >= 0 and e["oom_kills"] == 0 for e in creched.find("exited"))


def test_once_succeeds_when_everything_did(creched: Creched) -> None:
    """Status 0."""
    creched.add("a", sh("exit 0"))

    assert creched.start("--once").finish() == 0
    assert creched.story("a") == [
        "workload-loaded", "creating", "created", "started", "exited", "cleaned", "done",
    ]  # fmt: skip


def test_no_workloads_at_all(creched: Creched) -> None:
    """There is nothing to do, and that is done."""
    assert creched.start("--once").finish() == 0


def test_out_of_memory_is_told_from_other_kills(creched: Creched) -> None:
    """The kernel's own count says so."""
    creched.add("oom", NEVER + sh("exec tail /dev/zero", 'memory = "16M"'))
    creched.start("--once")

    assert creched.finish() == 1, creched.tail()
    assert creched.find("exited"), creched.tail()
    [exited] = creched.find("exited")
    assert (exited["cause"], exited["signal"]) == ("oom", "SIGKILL")
    assert exited["oom_kills"] >= 1
    assert creched.find("gave-up")[0]["reason"] == (
        "killed by SIGKILL for lack of memory; restart policy is never"
    )


def test_a_program_that_is_not_there(creched: Creched) -> None:
    """Is named, and the attempt leaves nothing behind."""
    creched.add("a", NEVER + '[container]\nargs = ["/no/such/program"]\n')
    creched.start("--once")

    assert creched.finish() == 1
    [gave_up] = creched.find("gave-up")
    assert gave_up["result"] == "setup"
    assert "/no/such/program" in gave_up["reason"]


def test_a_bundle_with_a_config_of_its_own(creched: Creched) -> None:
    """config.json and rootfs beside an (empty) workload.toml."""
    path = creched.workloads / "bundle"
    bundle: Bundle = make_bundle(path, sh="echo from the bundle >&2; exit 4")
    for file in (path, path / "config.json", path / "rootfs"):
        file.chmod(0o755)
    (path / "workload.toml").write_text(NEVER)
    (path / "workload.toml").chmod(0o644)
    assert bundle.path == path
    creched.start("--once")

    assert creched.finish() == 1
    assert creched.find("exited")[0]["code"] == 4
    assert creched.find("exited")[0]["output"] == ["from the bundle"]


def test_a_bad_workload_does_not_keep_the_others_from_running(creched: Creched) -> None:
    """It is reported with file, line and key, and with --once counts as failed."""
    creched.add("bad", "[restart]\npolicy = 'x'\nfoo = 1\n")
    creched.add("good", sh("exit 0"))
    creched.start("--once")

    assert creched.finish() == 1
    refused = creched.find("workload-refused", "bad")
    assert [(e["line"], e["key"]) for e in refused] == [(2, "restart.policy"), (3, "restart.foo")]
    assert creched.story("good")[-1] == "done"


def test_stops_all_at_once_and_runs_poststop_hooks(creched: Creched, tmp_path: Path) -> None:
    """Those that hear end by themselves, those that do not are killed; hooks run for both."""
    hook = "#!/bin/sh\n/bin/cat > {}\n"
    table = '[[hooks.poststop]]\npath = "hook"\n'
    hears = sh("trap 'exit 5' TERM; echo ready >&2; while :; do sleep 1000 & wait $!; done")
    for name, script in (("hears", hears), ("deaf", DEAF)):
        creched.add(
            name,
            '[restart]\npolicy = "always"\n[stop]\ntimeout = "300ms"\n' + table + script,
            hook=hook.format(tmp_path / f"{name}.json"),
        )
    creched.start()
    creched.pump(lambda: creched.output.count(b"ready") == 2)

    assert creched.stop() == 0
    ends = {e["workload"]: (e["code"], e["signal"]) for e in creched.find("exited")}
    assert ends == {"hears": (5, None), "deaf": (None, "SIGKILL")}
    assert creched.story("deaf")[-4:] == ["stopping", "killing", "exited", "stopped"]
    assert creched.story("hears")[-3:] == ["stopping", "exited", "stopped"]
    for name in ("hears", "deaf"):
        assert '"status":"stopped"' in (tmp_path / f"{name}.json").read_text()


def test_a_second_sigterm_hurries(creched: Creched) -> None:
    """Neither a long timeout nor a slow hook is waited for."""
    slow = '[[hooks.poststop]]\npath = "/bin/sleep"\nargs = ["sleep", "1000"]\ntimeout = 1000\n'
    creched.add("deaf", '[stop]\ntimeout = "1h"\n' + DEAF)
    creched.add("slow", NEVER + slow + sh("exit 0"))
    creched.start()
    creched.pump(lambda: b"ready" in creched.output)
    creched.wait_for("exited", "slow")
    creched.signal(signal.SIGTERM)
    creched.wait_for("stopping", "deaf")
    creched.wait_for("stop-noted", "slow")
    creched.signal(signal.SIGINT)

    assert creched.finish() == 0
    assert creched.find("exited", "deaf")[0]["signal"] == "SIGKILL"
    assert [e["message"] for e in creched.find("container-warning", "slow")] == [
        "poststop hooks were cut short"
    ]
    assert {e["workload"] for e in creched.find("stopped")} == {"deaf", "slow"}


def test_stopped_while_a_hook_holds_up_its_creation(creched: Creched, tmp_path: Path) -> None:
    """The hook and everything it has started is killed; what was made is undone."""
    started = tmp_path / "pid"
    creched.add(
        "a",
        '[hooks]\ntimeout = "1h"\n[[hooks.prestart]]\npath = "hook"\n' + sh("exit 0"),
        hook=f"#!/bin/sh\n/bin/sleep 1000 & echo $! > {tmp_path}/new\n"
        f"/bin/mv {tmp_path}/new {started}\nwait\n",
    )
    creched.start()
    wait_path(started)
    pid = int(started.read_text())

    assert creched.stop() == 0
    wait_exit(pid)
    assert creched.story("a")[-2:] == ["aborting", "stopped"]


def test_failing_hooks_are_the_cause(creched: Creched) -> None:
    """prestart and poststart failures fail the attempt; a poststop failure is a warning."""
    false = '[[hooks.{}]]\npath = "/bin/sh"\nargs = ["sh", "-c", "echo broken >&2; exit 9"]\n'
    for stage in ("prestart", "createContainer", "startContainer", "poststart", "poststop"):
        creched.add(stage.lower(), NEVER + false.format(stage) + sh("sleep 0"))
    creched.start("--once")

    assert creched.finish() == 1
    failed = {e["workload"]: (e["result"], e["reason"]) for e in creched.find("gave-up")}
    assert set(failed) == {"prestart", "createcontainer", "startcontainer", "poststart"}
    for result, reason in failed.values():
        assert result == "hook"
        assert "hook #0: exit status 9" in reason
        assert "broken" in reason
    assert creched.story("poststop")[-3:] == ["hook-failed", "cleaned", "done"]
    [warning] = creched.find("hook-failed")
    assert warning["stage"] == "poststop"
    assert warning["message"].startswith("error running poststop hook #0: exit status 9")


def test_a_hook_that_overruns_is_killed_with_its_children(creched: Creched) -> None:
    """The deadline is the workload's default; the program's own end is not touched by it."""
    creched.add(
        "a",
        NEVER
        + '[hooks]\ntimeout = "200ms"\n[[hooks.poststop]]\npath = "/bin/sh"\n'
        + 'args = ["sh", "-c", "/bin/sleep 1000 & echo waiting; wait"]\ntimeout = 1\n'
        + sh("exit 0"),
    )
    creched.start("--once")

    assert creched.finish() == 0
    [warning] = creched.find("hook-failed")
    assert "timed out after 1s" in warning["message"]
    assert "waiting" in warning["message"]


def test_two_creched_do_not_share_a_root(creched: Creched, tmp_path: Path) -> None:
    """The second says so and does nothing."""
    creched.add("a", DEAF)
    creched.start()
    creched.wait_for("started", "a")
    second = Creched(tmp_path).start()

    assert second.finish() == 2
    assert second.events == []
    assert b"another creched uses" in second.output
    creched.hurry()
    assert creched.finish() == 0


def test_a_dead_launcher_is_started_again(creched: Creched) -> None:
    """Launches that it owed fail and are repeated by the policy."""
    creched.add(
        "a",
        '[restart]\npolicy = "always"\ndelay = 0\n'
        + sh("trap 'exit 7' USR1; echo ready >&2; while :; do sleep 1000 & wait $!; done"),
    )
    creched.start()
    creched.pump(lambda: b"ready" in creched.output)
    [launcher] = [
        pid
        for pid in Path(f"/proc/{creched.pid}/task/{creched.pid}/children").read_text().split()
        if b"launcher.py" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    os.kill(int(launcher), signal.SIGKILL)
    os.kill(creched.find("created")[0]["pid"], signal.SIGUSR1)
    creched.pump(lambda: creched.output.count(b"ready") == 2)

    assert creched.find("exited")[0]["code"] == 7
    assert "the launcher died" in creched.find("create-failed")[0]["reason"]
    creched.hurry()
    assert creched.finish() == 0


def test_deleted_by_somebody_else(creched: Creched) -> None:
    """`creche delete --force` is an end like another: the policy says what comes next."""
    creched.add("a", '[restart]\npolicy = "on-failure"\ndelay = 0\n' + DEAF)
    creched.start()
    creched.pump(lambda: b"ready" in creched.output)
    command = [sys.executable, "-m", "runtime", "--root", str(creched.root)]
    listed = subprocess.run(
        [*command, "list", "-q"], cwd=CHECKOUT, check=True, capture_output=True, text=True
    )
    assert listed.stdout.split() == ["a"]
    subprocess.run([*command, "delete", "--force", "a"], cwd=CHECKOUT, check=True)
    creched.wait_for("started", "a", 2)

    assert creched.find("exited")[0]["signal"] == "SIGKILL"
    creched.hurry()
    assert creched.finish() == 0


def test_the_echo_sample_serves(creched: Creched) -> None:
    """On the embedded root, on the host's network, without privileges."""
    text = (CHECKOUT / "etc/workloads/echo/workload.toml").read_text()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # Once it listens it says so, for the test alone.
    text = text.replace("11312), Echo)", f"{port}), Echo)\nprint('ready', file=sys.stderr)\nserver")
    text = text.replace(
        "\nsocketserver.ThreadingTCPServer((", "\nserver = socketserver.ThreadingTCPServer(("
    )
    creched.add("echo", text)
    creched.start()
    creched.pump(lambda: b"ready" in creched.output)
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(b"hello")
        assert connection.recv(100) == b"hello"

    assert creched.stop() == 0
    assert creched.find("exited")[0]["code"] == 0


def test_a_signal_that_comes_too_late(creched: Creched) -> None:
    """The second Ctrl-C of somebody impatient does not end it while it clears up."""
    creched.add("lasting", sh("exec sleep 1000"))
    creched.start()
    creched.wait_for("started")
    creched.signal(signal.SIGTERM)
    creched.wait_for("supervisor-stopped")

    creched.signal(signal.SIGTERM)

    assert creched.finish() == 0
