"""The published walk-through for runC, step by step, with `creche` typed for `runc`.

What both runtimes accept is run with both and has to give the same answer; the 1.0.0-rc1 dialect
and `stop` are creche's alone, and are compared with what runc does for the modern spelling.
"""

from __future__ import annotations

import copy
import json
import os
import re
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.bundle import PATH_VARIABLE, Bundle
from tests.support.export import MEMCACHE_UID
from tests.support.network import HandMadeNetwork, ip, ping
from tests.support.runtimes import Result, Runtime
from tests.support.waiting import DEADLINE, read_all, read_until, reap, wait_exit

pytestmark = pytest.mark.root

NAME = "mycontainer"
CAPABILITIES = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]
CAPABILITY_MASK = f"{1 << 29 | 1 << 5 | 1 << 10:016x}"
MEMCACHED = ["/usr/bin/memcached", "-vv"]
LISTENING = b"server listening"

# config.json as the guide prints it: the format of 1.0.0-rc1.
GUIDE: dict[str, Any] = {
    "ociVersion": "1.0.0-rc1",
    "platform": {"os": "linux", "arch": "amd64"},
    "process": {
        "terminal": False,
        "user": {"uid": 0, "gid": 0},
        "args": ["sh"],
        "env": [PATH_VARIABLE, "TERM=xterm"],
        "cwd": "/",
        "capabilities": CAPABILITIES,
        "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
        "noNewPrivileges": True,
    },
    "root": {"path": "rootfs", "readonly": True},
    "hostname": "guide",
    "mounts": [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {
            "destination": "/dev",
            "type": "tmpfs",
            "source": "tmpfs",
            "options": ["nosuid", "strictatime", "mode=755", "size=65536k"],
        },
        {"destination": "/mnt", "type": "bind", "source": "shared", "options": ["rbind", "rw"]},
    ],
    "hooks": {},
    "linux": {
        "namespaces": [
            {"type": "pid"},
            {"type": "network"},
            {"type": "ipc"},
            {"type": "uts"},
            {"type": "mount"},
        ],
    },
}

# What the container says about itself: everything that the guide's config asks for.
LOOK = """
grep -E '^(Cap|NoNewPrivs)' /proc/self/status
echo soft $(ulimit -Sn) hard $(ulimit -Hn)
hostname
while read -r source target type options rest; do
  case $target in /dev) echo "$source $target $type $options" ;; esac
done </proc/self/mounts
echo written >/mnt/from-inside && cat /mnt/from-outside
if echo x 2>/dev/null >/written; then echo root is writable; else echo root is read-only; fi
if echo x 2>/dev/null >/dev/written; then echo dev is writable; fi
"""


def modern(config: dict[str, Any]) -> dict[str, Any]:
    """Spell the guide's config as the specification has it since 1.0.0."""
    result = copy.deepcopy(config)
    del result["platform"]
    result["ociVersion"] = "1.0.2"
    sets = ("bounding", "effective", "permitted")
    result["process"]["capabilities"] = dict.fromkeys(sets, CAPABILITIES)
    return result


def guide_bundle(
    bundle: Callable[..., Bundle],
    runtime: Runtime,
    change: Callable[[dict[str, Any]], object] | None = None,
) -> Bundle:
    """Make the guide's bundle, in the spelling the runtime understands."""
    made = bundle()
    made.config = copy.deepcopy(GUIDE) if runtime.name == "creche" else modern(GUIDE)
    shared = made.path / "shared"
    shared.mkdir()
    (shared / "from-outside").write_text("read\n")
    return made.patch(change)


@pytest.fixture
def unpacked(tmp_path: Path, export_tar: Path) -> Path:
    """Give a bundle directory with a rootfs, made with the guide's own commands."""
    directory = tmp_path / "mycontainer"
    (directory / "rootfs").mkdir(parents=True)
    with export_tar.open("rb") as source:
        listing = subprocess.run(
            ["tar", "-C", "rootfs", "-xvf", "-"],
            check=True,
            cwd=directory,
            stdin=source,
            stdout=subprocess.PIPE,
            text=True,
        ).stdout
    assert "usr/bin/memcached" in listing.splitlines()
    assert (directory / "rootfs/usr/bin/memcached").is_file()
    return directory


def edit(directory: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Edit config.json, as the guide's reader does with an editor."""
    path = directory / "config.json"
    config = json.loads(path.read_text())
    change(config)
    path.write_text(json.dumps(config))


def serve_memcached(config: dict[str, Any]) -> None:
    """Make memcached the program, run by its own user."""
    config["process"]["terminal"] = False
    config["process"]["args"] = MEMCACHED
    config["process"]["user"] = {"uid": MEMCACHE_UID, "gid": MEMCACHE_UID}


@contextmanager
def running_in_foreground(runtime: Runtime, directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`run mycontainer` in another terminal, up to the moment when memcached listens."""
    with runtime.popen(["run", NAME], cwd=directory) as process:
        assert process.stderr is not None
        try:
            read_until(process.stderr.fileno(), LISTENING)
            yield process
        finally:
            if process.poll() is None:
                runtime.run(["kill", NAME, "KILL"])
                process.wait(DEADLINE)


def ask(runtime: Runtime, *questions: str) -> Result:
    """Send lines to memcached from inside the container and return its answers."""
    lines = "".join(f"{question}\r\n" for question in (*questions, "quit"))
    return runtime.run(["exec", NAME, "nc", "127.0.0.1", "11211"], stdin=lines.encode())


def test_spec_writes_a_config_once(runtime: Runtime, tmp_path: Path) -> None:
    """`spec` writes the template that the guide goes on to edit, and overwrites nothing."""
    result = runtime.run(["spec"], cwd=tmp_path).ok()
    assert (result.stdout, result.stderr) == ("", "")

    config = json.loads((tmp_path / "config.json").read_text())
    assert config["process"]["args"] == ["sh"]
    assert config["process"]["terminal"] is True
    assert config["process"]["noNewPrivileges"] is True
    assert config["process"]["capabilities"]["bounding"] == CAPABILITIES
    assert config["root"] == {"path": "rootfs", "readonly": True}

    again = runtime.run(["spec"], cwd=tmp_path).failed(1)
    assert "File config.json exists. Remove it first" in again.stderr


def test_the_template_runs_a_shell_on_a_terminal(runtime: Runtime, unpacked: Path) -> None:
    """`spec` and `run mycontainer`, nothing edited: a shell that can be typed to."""
    runtime.run(["spec"], cwd=unpacked).ok()
    ours, theirs = os.openpty()
    with runtime.popen(
        ["run", NAME], cwd=unpacked, stdin=theirs, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        try:
            os.write(ours, b"echo $((6 * 7)) $$; tty; exit 5\n")
            said = read_until(ours, b"/dev/pts/0")
            assert b"\n42 1\r\n" in said
            assert process.wait(DEADLINE) == 5
        finally:
            os.close(ours)
            if process.poll() is None:
                runtime.run(["delete", "--force", NAME])
    assert not runtime.exists(NAME)


def test_run_memcached_from_the_export(runtime: Runtime, unpacked: Path) -> None:
    """`spec`, edit, `run mycontainer`: memcached answers `version` and `stats`."""
    runtime.run(["spec"], cwd=unpacked).ok()
    edit(unpacked, serve_memcached)

    with running_in_foreground(runtime, unpacked) as process:
        answers = ask(runtime, "version", "stats").ok().stdout
        assert answers.startswith("VERSION 1.")
        # memcached is process 1 of its own world.
        assert "STAT pid 1\r\n" in answers
        assert re.search(r"STAT curr_connections \d+\r\n", answers)
        assert answers.endswith("END\r\n")

        state = runtime.state(NAME)
        assert state["id"] == NAME
        assert state["status"] == "running"
        assert state["bundle"] == str(unpacked)
        rows = runtime.run(["list"]).ok().stdout.splitlines()
        assert re.fullmatch(r"ID +PID +STATUS +BUNDLE +CREATED +OWNER *", rows[0])
        assert re.match(rf"{NAME} +{state['pid']} +running +{unpacked} +\S+ +root", rows[1])
        assert len(rows) == 2

        runtime.run(["kill", NAME, "TERM"]).ok()
        assert process.wait(DEADLINE) == 0
        assert process.stderr is not None
        assert b"Exiting normally" in read_all(process.stderr.fileno())

    # A container that was run in the foreground is gone with its end.
    assert "does not exist" in runtime.run(["state", NAME]).failed(1).stderr
    assert runtime.run(["list", "-q"]).ok().stdout == ""


def test_the_guides_config_seen_from_inside(
    creche: Runtime, runc: Runtime, bundle: Callable[..., Bundle]
) -> None:
    """The rc1 spelling gives what runc gives for the modern one, plus one warning."""
    seen = {}
    for runtime in (creche, runc):
        made = guide_bundle(
            bundle, runtime, lambda config: config["process"].update(args=["sh", "-c", LOOK])
        )
        result = runtime.run(["run", "--bundle", made, NAME]).ok()
        seen[runtime.name] = result.stdout
        assert (made.path / "shared/from-inside").read_text() == "written\n"
        assert not (made.rootfs / "written").exists()
        if runtime is creche:
            warnings = [line for line in result.stderr.splitlines() if "level=warning" in line]
            assert len(warnings) == 1, result.stderr
            assert "process.capabilities" in warnings[0]

    lines = seen["creche"].splitlines()
    assert "CapInh:\t0000000000000000" in lines
    assert f"CapPrm:\t{CAPABILITY_MASK}" in lines
    assert f"CapEff:\t{CAPABILITY_MASK}" in lines
    assert f"CapBnd:\t{CAPABILITY_MASK}" in lines
    assert "CapAmb:\t0000000000000000" in lines
    assert "NoNewPrivs:\t1" in lines
    assert "soft 1024 hard 1024" in lines
    assert "guide" in lines
    assert "read" in lines
    assert "root is read-only" in lines
    assert "dev is writable" in lines
    (dev,) = [line for line in lines if line.startswith("tmpfs /dev tmpfs ")]
    options = dev.split()[3].split(",")
    # strictatime is shown by the absence of relatime and noatime.
    assert {"rw", "nosuid", "size=65536k", "mode=755"} <= set(options)
    assert not {"relatime", "noatime"} & set(options)

    assert seen["creche"] == seen["runc"]


def test_a_writable_root(runtime: Runtime, bundle: Callable[..., Bundle]) -> None:
    """`root.readonly` false: what the container writes stays in the bundle."""

    def change(config: dict[str, Any]) -> None:
        config["root"]["readonly"] = False
        config["process"]["args"] = ["sh", "-c", LOOK]

    made = guide_bundle(bundle, runtime, change)

    result = runtime.run(["run", "--bundle", made, NAME]).ok()

    assert "root is writable" in result.stdout.splitlines()
    assert (made.rootfs / "written").read_text() == "x\n"


def without_new_privileges(config: dict[str, Any]) -> None:
    """Take the line out of the config."""
    del config["process"]["noNewPrivileges"]


def test_new_privileges_are_allowed_unless_forbidden(
    runtime: Runtime, bundle: Callable[..., Bundle]
) -> None:
    """The flag is what sets NoNewPrivs, not the runtime on its own account."""
    made = guide_bundle(bundle, runtime, without_new_privileges)
    made.patch(
        lambda config: config["process"].update(args=["grep", "NoNewPrivs", "/proc/self/status"])
    )

    result = runtime.run(["run", "--bundle", made, NAME]).ok()

    assert result.stdout == "NoNewPrivs:\t0\n"


def hook_script(made: Bundle, name: str) -> Path:
    """Write a hook that notes its name, its arguments and the state it is given."""
    return made.script(name, f'echo "{name} $# $*" >>{made}/log; cat >{made}/{name}.json')


def test_hooks_run_in_their_order(runtime: Runtime, bundle: Callable[..., Bundle]) -> None:
    """prestart by path only, poststart with a timeout, poststop with arguments."""
    made = guide_bundle(bundle, runtime)
    made.patch(
        lambda config: config.update(
            hooks={
                "prestart": [{"path": str(hook_script(made, "prestart.sh"))}],
                "poststart": [{"path": str(hook_script(made, "notify.sh")), "timeout": 5}],
                "poststop": [
                    {"path": str(hook_script(made, "cleanup.sh")), "args": ["cleanup.sh", "-f"]}
                ],
            }
        )
    )
    made.patch(
        lambda config: config["process"].update(args=["sh", "-c", "read line </mnt/fifo; exit 3"])
    )
    fifo = made.path / "shared/fifo"
    os.mkfifo(fifo)

    def log() -> list[str]:
        path = made.path / "log"
        return path.read_text().splitlines() if path.exists() else []

    def given(name: str) -> Any:
        return json.loads((made.path / f"{name}.json").read_text())

    runtime.run(["create", "--bundle", made, NAME]).ok()
    assert log()[0] == "prestart.sh 0 "
    if runtime.name == "creche":
        # runc 1.1 runs poststart here already, where the specification has it after `start`.
        assert len(log()) == 1
    assert given("prestart.sh")["id"] == NAME
    assert given("prestart.sh")["bundle"] == str(made)
    pid = runtime.pid(NAME)
    assert given("prestart.sh")["pid"] == pid

    runtime.run(["start", NAME]).ok()
    assert log() == ["prestart.sh 0 ", "notify.sh 0 "]
    if runtime.name == "creche":
        assert given("notify.sh")["status"] == "running"
    assert given("notify.sh")["pid"] == pid

    fifo.write_text("go\n")
    assert reap(pid) == 3
    assert runtime.status(NAME) == "stopped"
    assert len(log()) == 2

    runtime.run(["delete", NAME]).ok()
    assert log() == ["prestart.sh 0 ", "notify.sh 0 ", "cleanup.sh 1 -f"]
    assert given("cleanup.sh")["status"] == "stopped"
    assert given("cleanup.sh")["id"] == NAME


def test_a_failing_prestart_hook_ends_the_start(
    runtime: Runtime, bundle: Callable[..., Bundle]
) -> None:
    """The program never runs, the error names the hook, nothing is left to delete."""
    made = guide_bundle(bundle, runtime)
    hook = made.script("prestart.sh", "echo no disk; exit 4")
    made.patch(lambda config: config.update(hooks={"prestart": [{"path": str(hook)}]})).patch(
        lambda config: config["process"].update(args=["touch", "/mnt/ran"])
    )

    result = runtime.run(["run", "--bundle", made, NAME]).failed()

    # runc 1.1 does not say which kind of hook it was; creche does, as newer ones do.
    assert re.search(r"error running (prestart )?hook #0: ", result.stderr)
    assert "exit status 4, stdout: no disk" in result.stderr
    assert not (made.path / "shared/ran").exists()
    assert not runtime.exists(NAME)


def test_create_start_list_stop_delete(runtime: Runtime, unpacked: Path, tmp_path: Path) -> None:
    """The life of a container, each step typed by hand, and what `list` says in between."""
    runtime.run(["spec"], cwd=unpacked).ok()
    edit(unpacked, serve_memcached)

    def listed() -> list[tuple[str, str]]:
        rows = json.loads(runtime.run(["list", "--format", "json"]).ok().stdout) or []
        return [(row["id"], row["status"]) for row in rows]

    assert listed() == []
    said, their_end = os.pipe()
    try:
        with runtime.popen(
            ["create", NAME], cwd=unpacked, stdout=their_end, stderr=their_end
        ) as create:
            os.close(their_end)
            assert create.wait(DEADLINE) == 0
        assert listed() == [(NAME, "created")]

        runtime.run(["start", NAME]).ok()
        read_until(said, LISTENING)
        assert listed() == [(NAME, "running")]
        assert ask(runtime, "version").ok().stdout.startswith("VERSION 1.")
        assert runtime.run(["list", "-q"]).ok().stdout == f"{NAME}\n"
        again = runtime.run(["start", NAME]).failed(1)
        assert "cannot start an already running container" in again.stderr
        refused = runtime.run(["delete", NAME]).failed(1)
        assert "is not stopped: running" in refused.stderr

        pid = runtime.pid(NAME)
        if runtime.name == "creche":
            runtime.run(["stop", NAME]).ok()
        else:
            runtime.run(["kill", NAME, "TERM"]).ok()
        wait_exit(pid)
        assert reap(pid) == 0
        # memcached ended by itself, on SIGTERM: it had the time to say so.
        assert b"Exiting normally" in read_all(said)
        assert listed() == [(NAME, "stopped")]

        runtime.run(["delete", NAME]).ok()
        assert listed() == []
    finally:
        os.close(said)


def test_stop_kills_what_does_not_listen(creche: Runtime, bundle: Callable[..., Bundle]) -> None:
    """`stop --time` ends a program that ignores the polite signal."""
    made = guide_bundle(bundle, creche)
    made.patch(
        lambda config: config["process"].update(
            args=["sh", "-c", "trap '' TERM; echo ready >/mnt/fifo; while :; do sleep 1000; done"]
        )
    )
    fifo = made.path / "shared/fifo"
    os.mkfifo(fifo)
    creche.run(["run", "--detach", "--bundle", made, NAME]).ok()
    assert fifo.read_text() == "ready\n"
    pid = creche.pid(NAME)

    creche.run(["stop", NAME, "--time", "0"]).ok()

    assert reap(pid) == -9
    creche.run(["delete", NAME]).ok()


def test_a_network_made_by_hand(runtime: Runtime, unpacked: Path, network: HandMadeNetwork) -> None:
    """The namespace named in the config is joined: the host pings the container."""
    runtime.run(["spec"], cwd=unpacked).ok()
    edit(unpacked, serve_memcached)

    def join(config: dict[str, Any]) -> None:
        (entry,) = [ns for ns in config["linux"]["namespaces"] if ns["type"] == "network"]
        entry["path"] = str(network.path)

    edit(unpacked, join)
    before = ip("netns", "exec", network.name, "ip", "-4", "addr")

    with running_in_foreground(runtime, unpacked) as process:
        pid = runtime.pid(NAME)
        assert os.stat(f"/proc/{pid}/ns/net").st_ino == os.stat(network.path).st_ino
        assert network.container in runtime.run(["exec", NAME, "ip", "addr"]).ok().stdout
        assert ping(network.container)
        with socket.create_connection((network.container, 11211), DEADLINE) as connection:
            connection.sendall(b"version\r\nquit\r\n")
            assert read_all(connection.fileno()).startswith(b"VERSION 1.")
        runtime.run(["kill", NAME, "TERM"]).ok()
        assert process.wait(DEADLINE) == 0

    # The namespace was somebody else's: it is as it was.
    assert ip("netns", "exec", network.name, "ip", "-4", "addr") == before
    assert ping(network.container)
