"""What the program becomes: devices it finds, user, limits, capabilities, environment, errors."""

from __future__ import annotations

import os
import resource
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runtime.plan.capabilities import SETS, mask
from tests.support.bundle import MINIMAL, PATH_VARIABLE, Bundle
from tests.support.inside import (
    IDLE,
    ask,
    ask_running,
    launched,
    message,
    parse_status,
    statuses,
)
from tests.support.runtimes import Runtime

pytestmark = pytest.mark.root

Bundles = Callable[..., Bundle]

NODES = "stat -c '%n %F %t:%T %a %u:%g' "
DEV: dict[str, Any] = {
    "destination": "/dev",
    "type": "tmpfs",
    "source": "tmpfs",
    "options": ["mode=755"],
}


# Devices ------------------------------------------------------------------------------------------


def test_default_devices_and_links(runtime: Runtime, bundle: Bundles, container_id: str) -> None:
    inside = ask(
        runtime,
        bundle(),
        container_id,
        nodes=NODES + "/dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty",
        links="cd /dev; for n in fd stdin stdout stderr ptmx; do readlink $n; done",
        use="echo x >/dev/null; head -c 3 /dev/zero | wc -c; head -c1 /dev/urandom | wc -c",
        full="echo x >/dev/full || echo full",
        kmsg="cat /dev/kmsg || echo none",
        ls="ls /dev | sort | tr '\\n' ' '",
    )

    kind = "character special file"
    assert inside["nodes"].splitlines() == [
        f"/dev/{name} {kind} {numbers} 666 0:0"
        for name, numbers in (
            ("null", "1:3"), ("zero", "1:5"), ("full", "1:7"),
            ("random", "1:8"), ("urandom", "1:9"), ("tty", "5:0"),
        )
    ]  # fmt: skip
    assert inside["links"].split() == [
        "/proc/self/fd", "/proc/self/fd/0", "/proc/self/fd/1", "/proc/self/fd/2", "pts/ptmx",
    ]  # fmt: skip
    assert inside["use"].split() == ["3", "1"]
    assert inside["full"].endswith("full")
    assert inside["kmsg"].endswith("none")
    names = set(inside["ls"].split()) - {"core"}
    assert names == {
        "fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin",
        "stdout", "tty", "urandom", "zero",
    }  # fmt: skip


def test_configured_devices(runtime: Runtime, bundle: Bundles, container_id: str) -> None:
    """Kinds, modes whatever the umask, owners, parents; a FIFO ignores its numbers."""
    devices = [
        {"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 0o640, "gid": 7},
        {"path": "/dev/deep/er/disk", "type": "b", "major": 7, "minor": 99, "fileMode": 0o660},
        {"path": "/run/pipe", "type": "p", "fileMode": 0o622, "uid": 1000, "gid": 1000},
        {"path": "/dev/copy", "type": "u", "major": 1, "minor": 3, "fileMode": 0o4777},
    ]
    if runtime.name == "runc":
        devices = [d for d in devices if d["type"] != "p"]  # it wants numbers for a FIFO
        devices[-1]["type"] = "c"
        devices[-1]["fileMode"] = 0o777
    made = bundle({"linux": {"devices": devices}})
    old = os.umask(0o077)
    try:
        found = ask(
            runtime,
            made,
            container_id,
            nodes=NODES + " ".join(str(d["path"]) for d in devices),
            parents="stat -c %a /dev/deep /dev/deep/er",
        )
    finally:
        os.umask(old)
    lines = found["nodes"].splitlines()

    assert lines[0] == "/dev/fuse character special file a:e5 640 0:7"
    assert lines[1] == "/dev/deep/er/disk block special file 7:63 660 0:0"
    assert lines[-1] == "/dev/copy character special file 1:3 777 0:0"
    if runtime.name == "creche":
        assert lines[2] == "/run/pipe fifo 0:0 622 1000:1000"
        assert found["parents"] == "755\n755"


def test_devices_of_the_configuration_replace_defaults(
    creche: Runtime, bundle: Bundles, container_id: str
) -> None:
    null = {"path": "/dev/null", "type": "c", "major": 1, "minor": 3, "fileMode": 0o600, "uid": 5}
    made = bundle({"linux": {"devices": [null]}})
    found = ask(creche, made, container_id, n=NODES + "/dev/null")["n"]

    assert found == "/dev/null character special file 1:3 600 5:0"


@pytest.mark.parametrize(
    ("prepare", "good"),
    [
        (lambda path: os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 3)), True),
        (lambda path: os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5)), False),
        (lambda path: os.mknod(path, stat.S_IFBLK | 0o666, os.makedev(1, 3)), False),
        (lambda path: path.write_text(""), False),
        (lambda path: path.mkdir(), False),
        (lambda path: path.symlink_to("zero"), False),
    ],
    ids=["same", "other-number", "other-kind", "file", "directory", "link"],
)
def test_what_is_in_a_devices_place(
    creche: Runtime,
    bundle: Bundles,
    container_id: str,
    prepare: Callable[[Path], object],
    good: bool,
) -> None:
    """config-linux.md#devices: an existing file that does not match is an error."""
    made = bundle(base=MINIMAL)
    prepare(made.rootfs / "dev/null")
    result = creche.run(["run", "-b", made, container_id])

    if good:
        result.ok()
    else:
        assert "/dev/null" in message(result.failed(1))
        assert "another kind of file is there" in message(result)
        assert not creche.exists(container_id)


def test_a_dev_that_is_a_link_makes_nothing_outside(
    creche: Runtime, bundle: Bundles, container_id: str, tmp_path: Path
) -> None:
    """Nodes and links go below the root, wherever /dev points (runc 1.1: CVE-2026-41579)."""
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "ptmx").write_text("precious")
    made = bundle(base=MINIMAL)
    (made.rootfs / "dev").rmdir()
    (made.rootfs / "dev").symlink_to(str(victim))
    creche.run(["run", "-b", made, container_id])

    assert [entry.name for entry in victim.iterdir()] == ["ptmx"]
    assert (victim / "ptmx").read_text() == "precious"


def test_devices_that_the_cgroup_denies(
    runtime: Runtime, bundle: Bundles, container_id: str
) -> None:
    """Only what is allowed opens; making nodes is another matter than opening them."""
    devices = [{"path": "/dev/blk", "type": "b", "major": 7, "minor": 0, "fileMode": 0o666}]
    rules = [
        {"allow": False, "access": "rwm"},
        {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "r"},
    ]
    made = bundle({"linux": {"devices": devices, "resources": {"devices": rules}}})
    made.patch({"process": {"capabilities": sets("CAP_MKNOD", "CAP_DAC_OVERRIDE")}})
    made.patch({"root": {"readonly": False}})
    inside = ask(
        runtime,
        made,
        container_id,
        node="mknod /tmp/mem c 1 1; cat /tmp/mem || echo denied",
        memory="mknod /tmp/kmsg c 1 11 && cat /tmp/kmsg || echo denied",
        null="echo x >/dev/null && echo allowed",
        tun="mknod /tmp/fuse c 10 229; (: >/tmp/fuse) 2>&1 || echo denied",
    )

    assert inside["node"].endswith("denied")
    assert inside["memory"].endswith("denied")
    assert inside["null"] == "allowed"
    assert inside["tun"].endswith("denied")


# Capabilities -------------------------------------------------------------------------------------


def sets(*names: str) -> dict[str, list[str]]:
    return {key: list(names) for key in ("bounding", "effective", "permitted")}


def caps(text: str) -> dict[str, int]:
    found = parse_status(text)
    return {
        name: int(found[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
    }


STATUS = "cat /proc/self/status"


@pytest.mark.parametrize("uid", [0, 1000])
def test_all_five_sets_are_exact(
    creche: Runtime, runc: Runtime, bundle: Bundles, container_id: str, uid: int
) -> None:
    """The program is executed: what it holds afterwards follows from capabilities(7)."""
    wanted = {
        "bounding": ["CAP_CHOWN", "CAP_KILL", "CAP_SETUID", "CAP_NET_RAW"],
        "permitted": ["CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW"],
        "effective": ["CAP_CHOWN", "CAP_NET_RAW"],
        "inheritable": ["CAP_KILL", "CAP_NET_RAW"],
        "ambient": ["CAP_NET_RAW"],
    }
    assert set(wanted) == set(SETS)
    found = []
    for runtime in (creche, runc):
        made = bundle({"process": {"capabilities": wanted, "user": {"uid": uid, "gid": uid}}})
        found.append(caps(ask(runtime, made, container_id, s=STATUS)["s"]))
    ours, theirs = found

    assert ours == theirs
    assert ours["CapBnd"] == mask(wanted["bounding"])
    assert ours["CapInh"] == mask(wanted["inheritable"])
    assert ours["CapAmb"] == mask(wanted["ambient"])
    # Without new privileges root keeps what was permitted; another user keeps what is ambient.
    assert ours["CapPrm"] == mask(wanted["permitted" if uid == 0 else "ambient"])


def test_without_capabilities_there_are_none(
    runtime: Runtime, bundle: Bundles, container_id: str
) -> None:
    made = bundle({"process": {"capabilities": None}})
    found = caps(ask(runtime, made, container_id, s=STATUS)["s"])

    assert set(found.values()) == {0}


def test_unknown_and_ungrantable_capabilities_are_warnings(
    creche: Runtime, bundle: Bundles, container_id: str
) -> None:
    """This machine's root may lack some itself."""
    held = int(statuses()["CapPrm"], 16)
    names = ["CAP_FROBNICATE", "CAP_KILL", "CAP_SYS_RESOURCE"]
    made = bundle({"process": {"capabilities": sets(*names)}}, sh=STATUS)
    result = creche.run(["run", "-b", made, container_id]).ok()

    assert caps(result.stdout)["CapBnd"] & mask(["CAP_KILL"])
    assert "CAP_FROBNICATE" in result.stderr
    if not held & mask(["CAP_SYS_RESOURCE"]):
        assert "CAP_SYS_RESOURCE cannot be granted; left out" in result.stderr


def test_no_new_privileges(runtime: Runtime, bundle: Bundles, container_id: str) -> None:
    for wanted in (True, False):
        made = bundle({"process": {"noNewPrivileges": wanted}})
        found = parse_status(ask(runtime, made, container_id, s=STATUS)["s"])
        assert found["NoNewPrivs"] == str(int(wanted))


def test_a_set_user_id_program_gains_only_what_bounding_has(
    runtime: Runtime, bundle: Bundles, container_id: str
) -> None:
    made = bundle({"root": {"readonly": False}})
    made.patch(
        {
            "process": {
                "user": {"uid": 1000, "gid": 1000},
                "noNewPrivileges": False,
                "capabilities": {"bounding": ["CAP_KILL"]},
            }
        }
    )
    program = made.rootfs / "bin/busybox"
    program.chmod(0o4755)
    found = parse_status(
        ask(runtime, made, container_id, s="/bin/busybox cat /proc/self/status")["s"]
    )

    assert int(found["CapBnd"], 16) == mask(["CAP_KILL"])
    assert int(found["CapPrm"], 16) & ~mask(["CAP_KILL"]) == 0


# User, groups, umask, stdio -----------------------------------------------------------------------


def test_user_groups_and_umask(runtime: Runtime, bundle: Bundles, container_id: str) -> None:
    user = {"uid": 1000, "gid": 1001, "additionalGids": [5, 77, 5], "umask": 0o027}
    made = bundle({"process": {"user": user}, "root": {"readonly": False}})
    (made.rootfs / "open").mkdir(mode=0o777)
    (made.rootfs / "open").chmod(0o777)
    inside = ask(
        runtime,
        made,
        container_id,
        s=STATUS,
        files="umask; touch /open/file; stat -c '%a %u:%g' /open/file",
        home="echo $HOME",
    )
    found = parse_status(inside["s"])

    assert found["Uid"].split() == ["1000"] * 4
    assert found["Gid"].split() == ["1001"] * 4
    assert sorted(set(found["Groups"].split())) == ["5", "77"]
    assert inside["files"] == "0027\n640 1000:1001"
    assert inside["home"] == "/home/crt"


def test_the_callers_umask_and_groups_do_not_leak_in(
    runtime: Runtime, bundle: Bundles, container_id: str
) -> None:
    old = os.umask(0o007)
    groups = os.getgroups()
    try:
        os.setgroups([42, 43])
        inside = ask(runtime, bundle(), container_id, u="umask", s=STATUS)
    finally:
        os.umask(old)
        os.setgroups(groups)

    assert inside["u"] == "0022"
    assert parse_status(inside["s"])["Groups"] == ""


def test_standard_streams_belong_to_the_user_but_the_hosts_null_does_not(
    runtime: Runtime, bundle: Bundles, container_id: str, tmp_path: Path
) -> None:
    """So that a program may open /dev/stderr again; /dev/null is everybody's."""
    made = bundle(
        {"process": {"user": {"uid": 1000, "gid": 1000}}},
        sh="echo out >/dev/stdout; echo err >/dev/stderr; stat -L -c %u /dev/stdout",
    )
    null = os.stat("/dev/null")
    process = runtime.popen(["run", "-b", made, container_id])
    out, err = process.communicate()

    assert process.returncode == 0, err
    assert (out, err) == (b"out\n1000\n", b"err\n")
    after = os.stat("/dev/null")
    assert (after.st_uid, after.st_gid, after.st_mode) == (null.st_uid, null.st_gid, null.st_mode)


def test_exec_with_another_user_leaves_the_hosts_null_alone(
    runtime: Runtime, bundle: Bundles, container_id: str
) -> None:
    launched(runtime, container_id, bundle(sh=IDLE))
    null = os.stat("/dev/null")
    runtime.run(["exec", "--user", "1000:1000", container_id, "true"]).ok()
    after = os.stat("/dev/null")

    assert (after.st_uid, after.st_gid, after.st_mode) == (null.st_uid, null.st_gid, null.st_mode)


# Environment, directory ---------------------------------------------------------------------------


def test_environment(runtime: Runtime, bundle: Bundles, container_id: str) -> None:
    """Nothing of the caller's; a variable once, with its last value; HOME from the image."""
    env = [PATH_VARIABLE, "A=1", "B=x\ny", "A=2", "HOME="]
    if runtime.name == "runc":
        env.remove("A=1")  # it hands on both
    made = bundle({"process": {"env": env}}, args=["/bin/env"])
    result = runtime.run(
        ["run", "-b", made, container_id], env={"PATH": "/usr/sbin:/usr/bin:/bin", "LEAK": "1"}
    ).ok()

    assert sorted(result.stdout.splitlines()) == sorted(
        [PATH_VARIABLE, "A=2", "B=x", "y", "HOME=/root"]
    )


@pytest.mark.parametrize(
    ("uid", "passwd", "expected"),
    [
        (1000, "crt:x:1000:1000::/home/crt:/bin/sh\n", "/home/crt"),
        (1000, "", "/"),
        (1000, "other:x:10000:1::/other:\nbroken\n:::\n", "/"),
        (1000, "a:x:1000:1:::\nb:x:1000:1::/second:\n", None),
        (0, "root:x:0:0::/somewhere:/bin/sh", "/somewhere"),
    ],
)
def test_home_is_the_images_word_for_the_user(
    creche: Runtime, bundle: Bundles, container_id: str, uid: int, passwd: str, expected: str | None
) -> None:
    made = bundle({"process": {"user": {"uid": uid, "gid": 0}}})
    (made.rootfs / "etc/passwd").write_text(passwd)
    found = ask(creche, made, container_id, h="echo $HOME")["h"]

    assert found in ("/", "/second") if expected is None else found == expected


def test_a_passwd_file_that_is_no_file_does_not_hold_anybody_up(
    creche: Runtime, bundle: Bundles, container_id: str
) -> None:
    made = bundle()
    (made.rootfs / "etc/passwd").unlink()
    os.mkfifo(made.rootfs / "etc/passwd")

    assert ask(creche, made, container_id, h="echo $HOME")["h"] == "/"


def test_working_directory(runtime: Runtime, bundle: Bundles, container_id: str) -> None:
    """Made where it is missing; entered as the user, where only the user may."""
    made = bundle({"root": {"readonly": False}, "process": {"cwd": "/made/for/me"}})
    assert ask(runtime, made, container_id, p="pwd")["p"] == "/made/for/me"

    private = made.rootfs / "home/crt"
    private.chmod(0o700)
    os.chown(private, 1000, 1000)
    user = {"uid": 1000, "gid": 1000}
    made.patch({"process": {"cwd": "/home/crt", "user": user, "capabilities": None}})
    assert ask(runtime, made, container_id, p="pwd")["p"] == "/home/crt"


def test_a_working_directory_that_cannot_be_is_named(
    runtime: Runtime, bundle: Bundles, container_id: str
) -> None:
    made = bundle({"process": {"cwd": "/etc/passwd"}})
    result = runtime.run(["run", "-b", made, container_id]).failed(1)

    assert "/etc/passwd" in message(result)
    assert "not a directory" in message(result)


# Limits -------------------------------------------------------------------------------------------

LIMITS = "cat /proc/self/limits"


def test_limits(runtime: Runtime, bundle: Bundles, container_id: str) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    rlimits = [
        {"type": "RLIMIT_NOFILE", "soft": 100, "hard": min(hard, 200)},
        {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
        {"type": "RLIMIT_FSIZE", "soft": 1 << 40, "hard": (1 << 64) - 1},
        {"type": "RLIMIT_CPU", "soft": 1000, "hard": 2000},
        {"type": "RLIMIT_STACK", "soft": 1 << 22, "hard": 1 << 23},
        {"type": "RLIMIT_SIGPENDING", "soft": 11, "hard": 12},
        {"type": "RLIMIT_RTTIME", "soft": 13, "hard": 14},
    ]
    text = ask(runtime, bundle({"process": {"rlimits": rlimits}}), container_id, l=LIMITS)["l"]
    found = {line[:26].strip(): line[26:].split()[:2] for line in text.splitlines()[1:]}

    assert found["Max open files"] == ["100", "200"]
    assert found["Max core file size"] == ["0", "0"]
    assert found["Max file size"] == [str(1 << 40), "unlimited"]
    assert found["Max cpu time"] == ["1000", "2000"]
    assert found["Max stack size"] == [str(1 << 22), str(1 << 23)]
    assert found["Max pending signals"] == ["11", "12"]
    assert found["Max realtime timeout"] == ["13", "14"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RLIMIT_NOFILE", 4),
        ("RLIMIT_NPROC", 1),
        ("RLIMIT_AS", 4 << 20),
        ("RLIMIT_DATA", 1 << 20),
        ("RLIMIT_FSIZE", 0),
        ("RLIMIT_STACK", 64 << 10),
        ("RLIMIT_MEMLOCK", 0),
    ],
)
def test_small_limits_are_the_programs_problem_and_not_the_runtimes(
    creche: Runtime, bundle: Bundles, container_id: str, name: str, value: int
) -> None:
    """They hold when the program begins; until then the runtime needs room of its own."""
    rlimits = [{"type": name, "soft": value, "hard": value}]
    made = bundle({"process": {"rlimits": rlimits}}, args=["/bin/true"])
    creche.run(["create", "-b", made, container_id]).ok()
    pid = creche.pid(container_id)
    creche.run(["delete", "--force", container_id]).ok()
    assert pid
    creche.run(["run", "-b", made, container_id]).ok()


def test_a_limit_that_may_not_be_raised_is_named(
    creche: Runtime, bundle: Bundles, container_id: str
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if int(statuses()["CapEff"], 16) & mask(["CAP_SYS_RESOURCE"]):
        pytest.skip("this root may raise limits")
    assert hard != resource.RLIM_INFINITY
    rlimits = [{"type": "RLIMIT_NOFILE", "soft": soft, "hard": hard + 1}]
    result = creche.run(
        ["run", "-b", bundle({"process": {"rlimits": rlimits}}), container_id]
    ).failed(1)

    assert "process.rlimits[0]: raise limit to" in message(result)
    assert "no CAP_SYS_RESOURCE" in message(result)
    assert not creche.exists(container_id)


def test_oom_score(runtime: Runtime, bundle: Bundles, container_id: str) -> None:
    """Raising takes no privilege; lowering does, and is an error where it is missing."""
    before = int(Path("/proc/self/oom_score_adj").read_text())
    made = bundle({"process": {"oomScoreAdj": before + 100}})
    assert ask(runtime, made, container_id, o="cat /proc/self/oom_score_adj")["o"] == str(
        before + 100
    )
    made = bundle()
    assert ask(runtime, made, container_id, o="cat /proc/self/oom_score_adj")["o"] == str(before)


def test_an_oom_score_that_may_not_be_set_is_named(
    creche: Runtime, bundle: Bundles, container_id: str
) -> None:
    if int(statuses()["CapEff"], 16) & mask(["CAP_SYS_RESOURCE"]):
        pytest.skip("this root may lower the score")
    made = bundle({"process": {"oomScoreAdj": -999}})
    result = creche.run(["run", "-b", made, container_id]).failed(1)

    assert "process.oomScoreAdj: write /proc/" in message(result)
    assert "permission denied" in message(result)
    assert not creche.exists(container_id)


def test_scheduling(creche: Runtime, bundle: Bundles, container_id: str) -> None:
    """runc has these since 1.2."""
    made = bundle(
        {
            "process": {
                "scheduler": {"policy": "SCHED_BATCH", "nice": 7},
                "ioPriority": {"class": "IOPRIO_CLASS_IDLE", "priority": 0},
            },
            "linux": {"personality": {"domain": "LINUX32"}},
        }
    )
    inside = ask(
        creche, made, container_id,
        stat="cut -d')' -f2 /proc/self/stat", io="ionice -p $$", machine="uname -m",
    )  # fmt: skip
    fields = inside["stat"].split()

    assert fields[16] == "7"  # nice
    assert fields[38] == "3"  # SCHED_BATCH
    assert inside["io"].startswith("idle")
    assert inside["machine"] in ("i686", "armv8l", "armv7l")


# What the program finds when it starts ------------------------------------------------------------


def test_the_program_starts_clean(runtime: Runtime, bundle: Bundles, container_id: str) -> None:
    """Descriptors, signals, session, name: nothing of the runtime's is left."""
    read, write = os.pipe()
    os.set_inheritable(read, True)
    try:
        made = bundle(args=["/bin/ls", "/proc/self/fd"])
        numbers = runtime.run(["run", "-b", made, container_id], pass_fds=[read]).ok().stdout
        made = bundle(args=["/bin/cat", "/proc/self/status"])
        result = runtime.run(["run", "-b", made, container_id], pass_fds=[read]).ok()
    finally:
        os.close(read)
        os.close(write)
    found = parse_status(result.stdout)

    assert numbers.split() == ["0", "1", "2", "3"]  # the last is ls' own
    assert int(found["SigBlk"], 16) == 0
    assert int(found["SigIgn"], 16) == 0
    assert found["NSsid"].split()[-1] == "1"
    assert found["Threads"] == "1"
    assert found["Seccomp"] == "0"


def test_preserved_descriptors(
    runtime: Runtime, bundle: Bundles, container_id: str, tmp_path: Path
) -> None:
    """As many as asked for, and no more."""
    files = [os.open(tmp_path / str(i), os.O_RDWR | os.O_CREAT) for i in range(3)]
    # pass_fds keeps the numbers; the runtime is told about 3 and 4.
    base = [os.dup2(fd, 3 + i + 100) for i, fd in enumerate(files)]
    try:
        made = bundle(sh="echo three >&3; echo four >&4; (echo five >&5) 2>/dev/null || echo none")
        words = runtime.argv(["run", "--preserve-fds", "2", "-b", made, container_id])
        script = 'exec 3>"$0/0" 4>"$0/1" 5>"$0/2" && exec "$@"'
        done = subprocess.run(
            ["/bin/sh", "-c", script, tmp_path, *words], capture_output=True, text=True
        )
    finally:
        for fd in (*files, *base):
            os.close(fd)

    assert (done.returncode, done.stdout) == (0, "none\n"), done.stderr
    assert [(tmp_path / str(i)).read_text() for i in range(3)] == ["three\n", "four\n", ""]


def test_preserved_descriptors_that_are_not_there_are_refused(
    runtime: Runtime, bundle: Bundles, container_id: str
) -> None:
    result = runtime.run(["run", "--preserve-fds", "5", "-b", bundle(), container_id]).failed(1)

    assert "unable to stat preserved-fd" in message(result)
    assert not runtime.exists(container_id)


def test_the_waiting_init_holds_no_files(
    runtime: Runtime, bundle: Bundles, container_id: str
) -> None:
    """Between create and start: no library, script, log or directory of the host is open."""
    runtime.run(["create", "-b", bundle(), container_id]).ok()
    pid = runtime.pid(container_id)
    allowed = (
        "pipe:[",
        "socket:[",
        "anon_inode:[",
        "/dev/null",
        "/dev/pts/",
        "/memfd:runc_cloned:",
    )
    held = {}
    for name in os.listdir(f"/proc/{pid}/fd"):
        held[int(name)] = os.readlink(f"/proc/{pid}/fd/{name}")

    for number, target in held.items():
        if number <= 2:
            continue  # the caller's own
        good = target.startswith(allowed) or target in ("/", "/proc", "/runc")
        assert good or target.endswith("/exec.fifo"), held
    if runtime.name == "creche":
        assert len(held) == 4, held  # standard streams, and the socket that start connects to


# Errors of the program itself ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "mode", "expected"),
    [
        ("script", "#!/no/interpreter\n", 0o755, "exec /script: no such file or directory"),
        ("garbage", "\x7fELF garbage", 0o755, "exec /garbage: exec format error"),
        ("empty", "", 0o755, "exec /empty: exec format error"),
    ],
)
def test_what_only_execve_finds_out(
    runtime: Runtime,
    bundle: Bundles,
    container_id: str,
    name: str,
    content: str,
    mode: int,
    expected: str,
) -> None:
    """create works, start says why: this line, and nothing before or after it."""
    made = bundle(args=[f"/{name}"])
    (made.rootfs / name).write_text(content)
    (made.rootfs / name).chmod(mode)
    result = runtime.run(["run", "-b", made, container_id]).failed(1)

    assert result.stderr == f"{expected}\n"
    assert not runtime.exists(container_id)


def test_start_fails_with_what_only_execve_finds_out(
    creche: Runtime, bundle: Bundles, container_id: str
) -> None:
    """runc's `start` succeeds, and its init says so on the container's stderr."""
    made = bundle(args=["/script"])
    (made.rootfs / "script").write_text("#!/no/interpreter\n")
    (made.rootfs / "script").chmod(0o755)
    creche.run(["create", "-b", made, container_id]).ok()
    result = creche.run(["start", container_id]).failed(1)

    assert "exec /script: no such file or directory" in message(result)
    assert creche.status(container_id) == "stopped"
    creche.run(["delete", container_id]).ok()


@pytest.mark.parametrize(
    ("args", "path", "expected"),
    [
        (["tool"], "/denied:/bin", 'exec: "tool": permission denied'),
        (["tool"], "relative:.:/nowhere", 'exec: "tool": executable file not found in $PATH'),
        (["./tool"], "/bin", 'exec: "./tool": stat ./tool: no such file or directory'),
    ],
)
def test_where_a_program_is_looked_for(
    creche: Runtime,
    bundle: Bundles,
    container_id: str,
    args: list[str],
    path: str,
    expected: str,
) -> None:
    made = bundle({"process": {"env": [f"PATH={path}"], "capabilities": None}}, args=args)
    (made.rootfs / "denied").mkdir()
    (made.rootfs / "denied/tool").write_text("")
    result = creche.run(["run", "-b", made, container_id]).failed(1)

    assert expected in message(result)


def test_the_path_is_that_of_the_configuration(
    runtime: Runtime, bundle: Bundles, container_id: str
) -> None:
    """With the container's user, in order, relative to nothing."""
    made = bundle({"process": {"env": ["PATH=/first:/second"]}}, args=["tool", "a b"])
    for name in ("first", "second"):
        made.script(f"{name}/tool", f'echo {name} "$1"', inside=True)
    made.rootfs.joinpath("first/tool").chmod(0o644)
    result = runtime.run(["run", "-b", made, container_id]).ok()

    assert result.stdout == "second a b\n"


def test_exec_uses_the_same_words(creche: Runtime, bundle: Bundles, container_id: str) -> None:
    made = bundle(sh=IDLE)
    (made.rootfs / "script").write_text("#!/no/interpreter\n")
    (made.rootfs / "script").chmod(0o755)
    launched(creche, container_id, made)
    result = creche.run(["exec", container_id, "/script"]).failed(255)

    assert "exec /script: no such file or directory" in message(result)
    assert ask_running(creche, container_id, a="echo alive")["a"] == "alive"
