"""The command line against real containers; what runc does too is asked of both."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.bundle import Bundle
from tests.support.runtimes import Runtime
from tests.support.waiting import DEADLINE, read_until, wait_exit, wait_text

pytestmark = pytest.mark.root

Bundles = Callable[..., Bundle]

IDLE = "trap 'exit 0' TERM; while :; do sleep 1000 & wait; done"
# busybox' ash as pid 1 gets no signal that it has no handler for.
DEAF = "trap '' TERM; while :; do sleep 1000 & wait; done"
ASKED = """
trap 'echo asked >/tmp/asked; exit 0' {}
touch /tmp/ready
while :; do sleep 1000 & wait; done
"""
CREATED = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,9}Z")


def message(stderr: str) -> str:
    """The message of the one error line."""
    line = stderr.splitlines()[-1]
    found = re.fullmatch(r'time="[^"]+" level=error msg=("(?:[^"\\]|\\.)*"|\S+)', line)
    assert found, stderr
    text = found[1]
    return str(json.loads(text)) if text.startswith('"') else text


def launched(runtime: Runtime, container: str, bundle: Bundle) -> int:
    """Run detached; the pid of init."""
    runtime.run(["run", "-d", "-b", bundle, container]).ok()
    return runtime.pid(container)


# Errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "status", "expected"),
    [
        (["state", "none"], 1, "container does not exist"),
        (["start", "none"], 1, "container does not exist"),
        (["kill", "none"], 1, "container does not exist"),
        (["delete", "none"], 1, "container does not exist"),
        (["pause", "none"], 1, "container does not exist"),
        (["resume", "none"], 1, "container does not exist"),
        (["ps", "none"], 1, "container does not exist"),
        (["exec", "none", "true"], 255, "exec failed: container does not exist"),
        (["state"], 1, '{name}: "state" requires exactly 1 argument(s)'),
        (["kill"], 1, '{name}: "kill" requires a minimum of 1 argument(s)'),
        (["exec"], 1, '{name}: "exec" requires a minimum of 1 argument(s)'),
        (["run", "--bogus", "x"], 1, "flag provided but not defined: -bogus"),
        (["create", "--bundle"], 1, "flag needs an argument: -bundle"),
        (["list", "-f", "xml"], 1, "invalid format option"),
        (["--log-format", "xml", "list"], 1, "invalid log-format: xml"),
        (
            ["create", "-b", "/none", "x"],
            1,
            "{name} create failed: chdir /none: no such file or directory",
        ),
        (
            ["run", "-b", "/none", "x"],
            1,
            "{name} run failed: chdir /none: no such file or directory",
        ),
    ],
)
def test_errors_are_one_line_in_runcs_words(
    runtime: Runtime, words: list[str], status: int, expected: str
) -> None:
    result = runtime.run(words).failed(status)

    # runc begins with argv[0] as it stands, creche with the name alone.
    found = message(result.stderr).replace("/usr/sbin/runc", "runc")
    assert found.startswith(expected.replace("{name}", runtime.name))


def test_an_unknown_command_has_a_status_of_its_own(runtime: Runtime) -> None:
    result = runtime.run(["frobnicate"]).failed(3)

    assert message(result.stderr).strip() == "No help topic for 'frobnicate'"


def test_with_a_log_file_stderr_has_the_bare_message(runtime: Runtime, tmp_path: Path) -> None:
    log = tmp_path / "log.json"
    result = runtime.run(["--log", log, "--log-format=json", "state", "none"]).failed(1)

    record = json.loads(log.read_text())
    assert result.stderr == "container does not exist\n"
    assert (record["level"], record["msg"]) == ("error", "container does not exist")
    assert list(record) == ["level", "msg", "time"]


def test_delete_force_of_nothing_is_fine(runtime: Runtime) -> None:
    runtime.run(["delete", "--force", "none"]).ok()


@pytest.mark.parametrize("container", ["../x", "a/b", ".", "..", "a b", "x\n", "é"])
def test_ids_that_could_be_paths_are_refused(
    runtime: Runtime, bundle: Bundles, container: str
) -> None:
    result = runtime.run(["run", "-b", bundle(), container]).failed(1)

    assert "invalid container ID" in message(result.stderr)


def test_without_systemd_the_error_says_what_to_do(creche: Runtime, bundle: Bundles) -> None:
    """Here /run is empty, as on a machine without it. What it does is shown by tests/system."""
    for words in (["--systemd-cgroup"], ["--cgroup-manager", "systemd"]):
        result = creche.run([*words, "run", "-b", bundle(), "x"]).failed(1)

        assert message(result.stderr) == (
            "creche run failed: --systemd-cgroup: systemd does not run this machine (no "
            "/run/systemd/system); leave the option out to have cgroups made directly"
        )
        assert not creche.root.exists() or not list(creche.root.iterdir())


def test_a_cgroup_manager_that_does_not_exist(creche: Runtime, bundle: Bundles) -> None:
    result = creche.run(["--cgroup-manager", "libcgroup", "run", "-b", bundle(), "x"]).failed(1)

    assert "expected one of: cgroupfs, systemd, disabled" in message(result.stderr)


def test_without_cgroups(creche: Runtime, bundle: Bundles, container_id: str) -> None:
    """crun's --cgroup-manager disabled: the container stays in its caller's groups."""
    own = Path("/proc/self/cgroup").read_text()
    option = ["--cgroup-manager", "disabled"]
    directory = bundle(
        {"linux": {"resources": {"devices": []}}}, sh="cat /proc/self/cgroup; sleep 60"
    )
    seen = creche.root.parent / "seen"
    with seen.open("wb") as out:
        subprocess.run(
            creche.argv([*option, "run", "-d", "-b", directory, container_id]),
            stdin=subprocess.DEVNULL, stdout=out, check=True, timeout=DEADLINE,
        )  # fmt: skip
    assert wait_text(seen, own.splitlines()[-1]) == own
    assert creche.run(["exec", container_id, "cat", "/proc/self/cgroup"]).ok().stdout == own
    refused = creche.run(["pause", container_id]).failed(1)
    assert "no cgroup that can be frozen" in message(refused.stderr)
    creche.run(["kill", "-a", container_id, "KILL"]).ok()
    creche.run(["delete", "--force", container_id]).ok()

    limited = bundle({"linux": {"resources": {"pids": {"limit": 5}}}})
    result = creche.run([*option, "run", "-b", limited, container_id]).failed(1)
    assert "linux.resources.pids.limit: cannot be kept" in message(result.stderr)


# spec, list, features, plan ---------------------------------------------------------------------


def test_spec_writes_what_runc_writes(creche: Runtime, runc: Runtime, tmp_path: Path) -> None:
    documents = []
    for runtime in (creche, runc):
        directory = tmp_path / runtime.name
        directory.mkdir()
        runtime.run(["spec"], cwd=directory).ok()
        documents.append(json.loads((directory / "config.json").read_text()))
    ours, theirs = documents

    # runc 1.1.5 differs from today's: the version, and ambient capabilities without inheritable.
    theirs["ociVersion"] = ours["ociVersion"]
    theirs["hostname"] = ours["hostname"]
    theirs["process"]["capabilities"].pop("ambient", None)
    assert ours == theirs
    assert list(ours) == list(theirs)


def test_spec_never_overwrites(runtime: Runtime, tmp_path: Path) -> None:
    runtime.run(["spec", "-b", tmp_path]).ok()
    before = (tmp_path / "config.json").read_text()
    result = runtime.run(["spec", "-b", tmp_path]).failed(1)

    assert "exists. Remove it first" in message(result.stderr)
    assert (tmp_path / "config.json").read_text() == before


def test_a_new_spec_is_a_plan(creche: Runtime, bundle: Bundles) -> None:
    made = bundle()
    (made.path / "config.json").unlink()
    creche.run(["spec", "-b", made]).ok()

    text = creche.run(["plan", "-b", made]).ok().stdout
    document = creche.run(["plan", "-b", made, "--json"]).ok().json()

    assert "run sh" in text
    assert "/dev/pts from devpts (devpts, nosuid, noexec" in text
    assert "new pid" in text
    assert document["process"]["args"] == ["sh"]
    assert document["rootfs"] == str(made.rootfs)


def test_a_plan_shows_no_values_of_variables(creche: Runtime, bundle: Bundles) -> None:
    made = bundle({"process": {"env": ["SECRET=hunter2"]}})

    assert "hunter2" not in creche.run(["plan", "-b", made]).ok().stdout


def test_features_are_what_the_specification_asks_for(creche: Runtime) -> None:
    features = creche.run(["features"]).ok().json()

    assert features["ociVersionMin"] == "1.0.0"
    assert features["ociVersionMax"].startswith("1.3")
    assert "startContainer" in features["hooks"]
    assert "rbind" in features["mountOptions"]
    assert "pid" in features["linux"]["namespaces"]
    assert features["linux"]["seccomp"]["supportedFlags"] is not None


def test_an_empty_list(runtime: Runtime) -> None:
    assert runtime.run(["list"]).ok().stdout == (
        "ID          PID         STATUS      BUNDLE      CREATED     OWNER\n"
    )
    assert runtime.run(["list", "-q"]).ok().stdout == ""
    assert runtime.run(["list", "--format=json"]).ok().stdout == "null\n"


def test_a_root_that_does_not_exist_is_not_made(creche: Runtime) -> None:
    creche.root.rmdir()
    creche.run(["list"]).failed(1)
    exists = creche.root.exists()
    creche.root.mkdir()

    assert not exists


# The life of a container --------------------------------------------------------------------------


def test_create_start_kill_delete(runtime: Runtime, bundle: Bundles, container_id: str) -> None:
    made = bundle(sh=IDLE)
    pid_file = made.path / "pid"
    runtime.run(["create", "--bundle", made, "--pid-file", pid_file, container_id]).ok()
    created = runtime.state(container_id)
    assert created["status"] == "created"
    assert pid_file.read_text() == str(created["pid"])

    runtime.run(["start", container_id]).ok()
    assert runtime.status(container_id) == "running"
    again = runtime.run(["start", container_id]).failed(1)
    assert message(again.stderr) == "cannot start an already running container"
    refused = runtime.run(["delete", container_id]).failed(1)
    assert message(refused.stderr) == (
        f"cannot delete container {container_id} that is not stopped: running"
    )

    runtime.run(["kill", container_id, "KILL"]).ok()
    wait_exit(created["pid"])
    stopped = runtime.state(container_id)
    assert (stopped["status"], stopped["pid"]) == ("stopped", 0)
    late = runtime.run(["start", container_id]).failed(1)
    assert message(late.stderr) == "cannot start a container that has stopped"
    dead = runtime.run(["kill", container_id]).failed(1)
    assert message(dead.stderr) == "container not running"
    runtime.run(["kill", "-a", container_id, "9"]).ok()

    runtime.run(["delete", container_id]).ok()
    assert not runtime.exists(container_id)


def test_state_has_runcs_fields_in_runcs_order(
    runtime: Runtime, bundle: Bundles, container_id: str
) -> None:
    made = bundle({"annotations": {"b": "2", "a": "1"}}, sh=IDLE)
    launched(runtime, container_id, made)
    text = runtime.run(["state", container_id]).ok().stdout
    state = json.loads(text)

    assert text == json.dumps(state, indent=2)
    assert list(state) == [
        "ociVersion", "id", "pid", "status", "bundle", "rootfs", "created", "annotations", "owner",
    ]  # fmt: skip
    assert (state["id"], state["status"]) == (container_id, "running")
    assert (state["bundle"], state["rootfs"]) == (str(made), str(made.rootfs))
    assert CREATED.fullmatch(state["created"])
    assert state["annotations"] == {"a": "1", "b": "2"}


def test_list_shows_containers_in_runcs_forms(
    runtime: Runtime, bundle: Bundles, container_id: str
) -> None:
    made = bundle(sh=IDLE)
    pid = launched(runtime, container_id, made)
    state = runtime.state(container_id)
    titles, row = runtime.run(["list"]).ok().stdout.splitlines()
    lines = runtime.run(["list", "-f", "json"]).ok().stdout

    assert re.match(r"ID +PID +STATUS +BUNDLE +CREATED +OWNER", titles)
    assert row.split() == [container_id, str(pid), "running", str(made), state["created"], "root"]
    assert row.index(str(pid)) == titles.index("PID")
    assert lines.count("\n") == 1
    assert " " not in lines
    (entry,) = json.loads(lines)
    assert list(entry)[:7] == ["ociVersion", "id", "pid", "status", "bundle", "rootfs", "created"]
    assert runtime.run(["list", "--quiet"]).ok().stdout == f"{container_id}\n"


def test_the_same_id_twice_is_refused(runtime: Runtime, bundle: Bundles, container_id: str) -> None:
    made = bundle(sh=IDLE)
    launched(runtime, container_id, made)
    result = runtime.run(["run", "-d", "-b", made, container_id]).failed(1)

    assert message(result.stderr) == (
        f"{runtime.name} run failed: container with given ID already exists"
    )
    assert runtime.status(container_id) == "running"


def test_ps(runtime: Runtime, bundle: Bundles, container_id: str) -> None:
    made = bundle(sh="sleep 1000")
    pid = launched(runtime, container_id, made)
    pids = runtime.run(["ps", "-f", "json", container_id]).ok().json()
    titles, *rows = runtime.run(["ps", container_id]).ok().stdout.splitlines()
    short = runtime.run(["ps", container_id, "-e", "-x"]).ok().stdout.splitlines()

    assert pids[0] == pid
    assert titles.split()[:3] == ["UID", "PID", "PPID"]
    assert str(pid) in rows[0].split()
    assert short[0].split()[0] == "PID"
    assert short[1].split()[0] == str(pid)


def test_pause_and_resume(runtime: Runtime, bundle: Bundles, container_id: str) -> None:
    pid = launched(runtime, container_id, bundle(sh=IDLE))
    runtime.run(["pause", container_id]).ok()
    assert runtime.status(container_id) == "paused"
    refused = runtime.run(["exec", container_id, "true"]).failed(255)
    assert "cannot exec in a paused container" in message(refused.stderr)
    runtime.run(["resume", container_id]).ok()
    assert runtime.status(container_id) == "running"
    again = runtime.run(["resume", container_id]).failed(1)
    assert "container not paused" in message(again.stderr)
    runtime.run(["pause", container_id]).ok()
    runtime.run(["kill", container_id, "9"]).ok()
    wait_exit(pid)
    assert runtime.status(container_id) == "stopped"


# run ------------------------------------------------------------------------------------------


def test_run_exits_like_the_program_and_leaves_nothing(
    runtime: Runtime, bundle: Bundles, container_id: str
) -> None:
    result = runtime.run(["run", "-b", bundle(sh="echo out; echo err >&2; exit 7"), container_id])

    assert (result.rc, result.stdout, result.stderr) == (7, "out\n", "err\n")
    assert not runtime.exists(container_id)


def test_run_takes_flags_after_the_id(runtime: Runtime, bundle: Bundles, container_id: str) -> None:
    """Slurm writes them there, with a slash at the end of the bundle."""
    result = runtime.run(["run", container_id, "-b", f"{bundle(sh='echo x')}/"])

    assert (result.rc, result.stdout) == (0, "x\n")


def test_run_keep_leaves_the_stopped_container(
    runtime: Runtime, bundle: Bundles, container_id: str
) -> None:
    runtime.run(["run", "--keep", "-b", bundle(sh="exit 3"), container_id]).failed(3)
    assert runtime.status(container_id) == "stopped"
    runtime.run(["delete", container_id]).ok()


def test_run_reads_the_callers_input(runtime: Runtime, bundle: Bundles, container_id: str) -> None:
    result = runtime.run(["run", "-b", bundle(args=["/bin/cat"]), container_id], stdin=b"hello")

    assert result.ok().stdout == "hello"


@pytest.mark.parametrize("name", ["TERM", "INT", "HUP", "USR1"])
def test_run_forwards_signals(
    runtime: Runtime, bundle: Bundles, container_id: str, name: str
) -> None:
    text = f"trap 'echo got {name}; exit 9' {name}; echo ready; while :; do sleep 1000 & wait; done"
    process = runtime.popen(["run", "-b", bundle(sh=text), container_id])
    assert process.stdout is not None
    read_until(process.stdout.fileno(), b"ready")
    process.send_signal(getattr(signal, f"SIG{name}"))
    out, err = process.communicate()

    assert (out.decode(), process.returncode) == (f"got {name}\n", 9), err


def test_run_reports_the_signal_that_killed(
    runtime: Runtime, bundle: Bundles, container_id: str
) -> None:
    process = runtime.popen(["run", "-b", bundle(sh=f"echo ready; {DEAF}"), container_id])
    assert process.stdout is not None
    read_until(process.stdout.fileno(), b"ready")
    runtime.run(["kill", container_id, "KILL"]).ok()
    process.communicate()

    assert process.returncode == 137
    assert not runtime.exists(container_id)


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["nope"], 'exec: "nope": executable file not found in $PATH'),
        (["/nope"], 'exec: "/nope": stat /nope: no such file or directory'),
        (["/etc/passwd"], 'exec: "/etc/passwd": permission denied'),
        (["/etc"], 'exec: "/etc": '),
    ],
)
@pytest.mark.parametrize("command", ["create", "run"])
def test_a_program_that_cannot_run_fails_create_in_the_words_that_engines_match(
    runtime: Runtime,
    bundle: Bundles,
    container_id: str,
    args: list[str],
    expected: str,
    command: str,
) -> None:
    result = runtime.run([command, "-b", bundle(args=args), container_id]).failed(1)

    assert message(result.stderr).startswith(
        f"{runtime.name} {command} failed: unable to start container process: {expected}"
    )
    assert not runtime.exists(container_id)


def test_debug_says_what_is_done_and_never_into_the_containers_output(
    runtime: Runtime, bundle: Bundles, container_id: str, tmp_path: Path
) -> None:
    made = bundle(sh="echo out; echo err >&2")
    log = tmp_path / "log"
    result = runtime.run(["--debug", "--log", log, "run", "-b", made, container_id]).ok()

    assert (result.stdout, result.stderr) == ("out\n", "err\n")
    assert "level=debug" in log.read_text()


# Terminals --------------------------------------------------------------------------------------


def test_a_terminal_without_anybody_to_hold_it_is_refused(
    runtime: Runtime, bundle: Bundles, container_id: str
) -> None:
    made = bundle({"process": {"terminal": True}}, sh="true")
    for words in (["create"], ["run", "-d"]):
        result = runtime.run([*words, "-b", made, container_id]).failed(1)
        assert message(result.stderr).endswith(
            f"cannot allocate tty if {runtime.name} will detach without setting console socket"
            if runtime.name == "creche"
            else "cannot allocate tty if runc will detach without setting console socket"
        )


def test_run_with_a_terminal_and_neither_input_nor_terminal(
    creche: Runtime, bundle: Bundles, container_id: str
) -> None:
    made = bundle(
        {"process": {"terminal": True, "consoleSize": {"height": 30, "width": 90}}},
        sh="tty; stty size; exit 4",
    )
    result = creche.run(["run", "-b", made, container_id]).failed(4)

    assert result.stdout == "/dev/pts/0\r\n30 90\r\n"


def test_run_with_a_terminal_types_what_is_piped_in(
    creche: Runtime, bundle: Bundles, container_id: str
) -> None:
    made = bundle({"process": {"terminal": True}}, args=["/bin/sh"])
    result = creche.run(["run", "-b", made, container_id], stdin=b"echo $((6*7))\nexit 3\n")

    assert result.rc == 3, result.describe()
    assert "42\r\n" in result.stdout


@pytest.mark.parametrize("terminal", [True, False])
def test_closed_standard_descriptors_are_not_taken_for_others(
    creche: Runtime, bundle: Bundles, container_id: str, terminal: bool
) -> None:
    made = bundle({"process": {"terminal": terminal}}, sh="echo x; cat; exit 4")
    words = creche.argv(["run", "-b", made, container_id])
    done = subprocess.run(
        ["/bin/sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *words], timeout=DEADLINE
    )

    assert done.returncode == 4


# exec -----------------------------------------------------------------------------------------


def test_exec_runs_and_reports(runtime: Runtime, bundle: Bundles, container_id: str) -> None:
    launched(runtime, container_id, bundle(sh=IDLE))
    for words, status, out in (
        (["echo", "-n", "hi"], 0, "hi"),
        (["sh", "-c", "exit 9"], 9, ""),
        (["sh", "-c", "kill -9 $$"], 137, ""),
    ):
        result = runtime.run(["exec", container_id, *words])
        assert (result.rc, result.stdout) == (status, out), result.describe()


def test_exec_flags(creche: Runtime, bundle: Bundles, container_id: str) -> None:
    launched(creche, container_id, bundle(sh=IDLE))
    for words, out in (
        (["-u", "1000:1000", container_id, "id"], "uid=1000(crt) gid=1000(crt)\n"),
        (["-u", "1000:1000", "-g", "5", container_id, "id", "-G"], "1000 5\n"),
        (["--cwd", "/tmp", container_id, "pwd"], "/tmp\n"),
        (["-e", "A=1", "-e", "A=2", container_id, "sh", "-c", "echo $A"], "2\n"),
        (["-u", "1000", container_id, "sh", "-c", "echo $HOME"], "/home/crt\n"),
        (["-t", container_id, "tty"], "/dev/pts/0\r\n"),
    ):
        assert creche.run(["exec", *words]).ok().stdout == out


@pytest.mark.parametrize("flag", [("-e", "=x"), ("-e", "NAME"), ("--cwd", "tmp")], ids="=".join)
def test_exec_refuses_flags_that_mean_nothing(
    runtime: Runtime, bundle: Bundles, container_id: str, flag: tuple[str, str]
) -> None:
    launched(runtime, container_id, bundle(sh=IDLE))
    result = runtime.run(["exec", *flag, container_id, "true"]).failed(255)

    if runtime.name == "creche":
        name = {"-e": "--env", "--cwd": "--cwd"}[flag[0]]
        assert f"exec failed: {name}" in result.stderr


def test_exec_warns_of_a_capability_that_nobody_knows(
    runtime: Runtime, bundle: Bundles, container_id: str
) -> None:
    launched(runtime, container_id, bundle(sh=IDLE))
    words = ["exec", "--cap", "CAP_NONE_SUCH", container_id, "echo", "hi"]
    result = runtime.run(words).ok()

    assert result.stdout == "hi\n"
    assert "level=warning" in result.stderr
    assert "CAP_NONE_SUCH" in result.stderr


def test_a_document_that_is_no_json_is_named(
    creche: Runtime, bundle: Bundles, container_id: str, tmp_path: Path
) -> None:
    launched(creche, container_id, bundle(sh=IDLE))
    document = tmp_path / "document"
    document.write_text("{")
    calls: list[tuple[list[str | Path], int]] = [
        (["exec", "--process", document, container_id], 255),
        (["update", "--resources", document, container_id], 1),
        (["mounts", "add", container_id, document], 1),
        (["run", "--config", document, f"{container_id}-2"], 1),
    ]
    for words, status in calls:
        result = creche.run(words).failed(status)
        assert f"{document}: not valid JSON: " in result.stderr


def test_exec_adds_a_capability_but_never_an_inheritable_one(
    runtime: Runtime, bundle: Bundles, container_id: str
) -> None:
    launched(runtime, container_id, bundle(sh=IDLE))
    words = ["exec", "--cap", "CAP_NET_ADMIN", container_id, "grep", "^Cap", "/proc/self/status"]
    found = dict(line.split(":\t") for line in runtime.run(words).ok().stdout.splitlines())

    expected = f"{1 << 5 | 1 << 10 | 1 << 12 | 1 << 29:016x}"
    assert (found["CapInh"], found["CapAmb"]) == ("0" * 16, "0" * 16)
    assert {found[name] for name in ("CapPrm", "CapEff", "CapBnd")} == {expected}


def test_exec_process_inherits_nothing(
    runtime: Runtime, bundle: Bundles, container_id: str, tmp_path: Path
) -> None:
    launched(runtime, container_id, bundle(sh=IDLE))
    process = {"args": ["/bin/env"], "cwd": "/", "env": ["A=1"]}
    fifo = tmp_path / "process"
    os.mkfifo(fifo)
    writer = subprocess.Popen(
        ["/bin/sh", "-c", 'printf %s "$1" >"$2"', "sh", json.dumps(process), fifo]
    )
    result = runtime.run(["exec", "--process", fifo, container_id]).ok()
    writer.wait()

    assert sorted(result.stdout.splitlines()) == ["A=1", "HOME=/root"]


def test_exec_detached_writes_the_pid(runtime: Runtime, bundle: Bundles, container_id: str) -> None:
    made = bundle(sh=IDLE)
    launched(runtime, container_id, made)
    pid_file = made.path / "exec.pid"
    runtime.run(
        [
            "exec",
            "-d",
            "--pid-file",
            pid_file,
            container_id,
            "sh",
            "-c",
            "echo x >/tmp/done; exec sleep 99",
        ]
    ).ok()
    pids = runtime.run(["ps", "-f", "json", container_id]).ok().json()

    assert int(pid_file.read_text()) in pids


@pytest.mark.parametrize("user", ["root", "", "1 ", "-1", "4294967296", "1:", "1:x"])
def test_exec_never_takes_a_bad_user_for_root(
    creche: Runtime, bundle: Bundles, container_id: str, user: str
) -> None:
    launched(creche, container_id, bundle(sh=IDLE))
    result = creche.run(["exec", f"--user={user}", container_id, "id", "-u"]).failed(255)

    assert result.stdout == ""


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (
            ["nope"],
            'exec: "nope": executable file not found',
        ),
        (
            ["/nope"],
            'exec: "/nope": stat /nope: no such file',
        ),
    ],
)
def test_exec_of_what_is_not_there(
    runtime: Runtime, bundle: Bundles, container_id: str, args: list[str], expected: str
) -> None:
    launched(runtime, container_id, bundle(sh=IDLE))
    result = runtime.run(["exec", container_id, *args]).failed(255)

    begin = "exec failed: unable to start container process: "
    assert message(result.stderr).startswith(begin + expected)


# stop -----------------------------------------------------------------------------------------


def test_stop_asks_first(creche: Runtime, bundle: Bundles, container_id: str) -> None:
    made = bundle(sh=ASKED.format("TERM"))
    made.patch({"root": {"readonly": False}})
    launched(creche, container_id, made)
    wait_text(made.rootfs / "tmp/ready", "")
    creche.run(["stop", container_id]).ok()

    assert creche.status(container_id) == "stopped"
    assert (made.rootfs / "tmp/asked").read_text() == "asked\n"


@pytest.mark.parametrize("way", ["flag", "annotation"])
def test_stop_uses_the_images_signal(
    creche: Runtime, bundle: Bundles, container_id: str, way: str
) -> None:
    made = bundle(
        {"root": {"readonly": False}},
        sh=ASKED.format("USR1"),
    )
    if way == "annotation":
        made.patch({"annotations": {"org.opencontainers.image.stopSignal": "SIGUSR1"}})
    launched(creche, container_id, made)
    wait_text(made.rootfs / "tmp/ready", "")
    creche.run(["stop", *(["--signal", "usr1"] if way == "flag" else []), container_id]).ok()

    assert (made.rootfs / "tmp/asked").read_text() == "asked\n"


def test_stop_kills_what_does_not_listen(
    creche: Runtime, bundle: Bundles, container_id: str
) -> None:
    launched(creche, container_id, bundle(sh=DEAF))
    creche.run(["stop", "--time", "0", container_id]).ok()

    assert creche.status(container_id) == "stopped"
    creche.run(["stop", container_id]).ok()


def test_stop_of_nothing_is_an_error(creche: Runtime) -> None:
    assert message(creche.run(["stop", "none"]).failed(1).stderr) == "container does not exist"
