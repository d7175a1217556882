"""Namespaces: new ones, joined ones, refused ones; names, sysctls and clocks inside them."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runtime.linux.namespaces import PROC_NAMES
from tests.support.bundle import MINIMAL, Bundle, make_bundle
from tests.support.inside import (
    IDLE,
    ask,
    ask_running,
    launched,
    message,
    namespace,
    namespaces,
)
from tests.support.mountinfo import mounts
from tests.support.runtimes import Runtime
from tests.support.waiting import read_until, reap, wait_pidfd

pytestmark = pytest.mark.root

Bundles = Callable[..., Bundle]

KINDS = ("mount", "network", "ipc", "uts", "pid", "cgroup")
LIST = 'for n in /proc/self/ns/*; do echo "${n##*/} $(readlink $n)"; done'
ROOT_MAP = [{"containerID": 0, "hostID": 100000, "size": 65536}]


def listed(text: str) -> dict[str, str]:
    pairs = dict(line.split(" ", 1) for line in text.splitlines())
    return {name: value for name, value in pairs.items() if not name.endswith("_for_children")}


@pytest.fixture
def holder() -> Iterator[int]:
    """A process in namespaces of its own: all but the user's and the clocks."""
    yield from _hold("--net", "--ipc", "--uts", "--mount", "--cgroup", "--pid", "--fork")


@pytest.fixture
def user_holder() -> Iterator[int]:
    """A process in a user namespace of its own, mapped, and nothing else."""
    yield from _hold("--user")


def _hold(*options: str) -> Iterator[int]:
    words = ["unshare", *options, "/bin/sh", "-c", "echo ready; exec sleep 1000"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None
    read_until(process.stdout.fileno(), b"ready")
    pid = process.pid
    if "--fork" in options:
        pid = int(Path(f"/proc/{pid}/task/{pid}/children").read_text())
    if "--user" in options:
        for name in ("uid_map", "gid_map"):
            Path(f"/proc/{pid}/{name}").write_text("0 100000 65536\n")
    try:
        yield pid
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that every user can reach: pytest's own are for root alone."""
    with tempfile.TemporaryDirectory(prefix="crt-", dir="/var/tmp") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def owned(bundle: Bundle, uid: int) -> Bundle:
    """Give the root file system to a mapped root."""
    for top, directories, files in os.walk(bundle.rootfs):
        for name in (".", *directories, *files):
            os.chown(os.path.join(top, name), uid, uid, follow_symlinks=False)
    return bundle


# New and inherited --------------------------------------------------------------------------------


def test_listed_namespaces_are_new_and_the_others_the_hosts(
    runtime: Runtime, bundle: Bundles, container_id: str
) -> None:
    host = namespaces()
    few = bundle(base=MINIMAL)
    found = listed(ask(runtime, few, container_id, ns=LIST)["ns"])
    assert {kind for kind in host if found[kind] != host[kind]} == {"mnt", "pid"}

    everything = bundle(
        {"linux": {"namespaces": [namespace(kind) for kind in KINDS]}}, base=MINIMAL
    )
    inside = ask(
        runtime,
        everything,
        container_id,
        ns=LIST,
        pid="echo $$",
        cgroup="cut -d: -f3 /proc/self/cgroup | sort -u",
        interfaces="ip -o link | cut -d' ' -f2,3",
        loopback="ip -o -4 addr show dev lo | cut -d' ' -f7",
    )
    found = listed(inside["ns"])
    assert {kind for kind in host if found[kind] != host[kind]} == {
        "mnt", "net", "ipc", "uts", "pid", "cgroup",
    }  # fmt: skip
    assert inside["pid"] == "1"
    assert inside["cgroup"] == "/"
    assert inside["interfaces"].split()[0] == "lo:"
    assert inside["loopback"] == "127.0.0.1/8"


def test_without_any_namespace(creche: Runtime, bundle: Bundles, container_id: str) -> None:
    """chroot(2) and nothing more; the harness sees whether the host's mounts change.

    runc 1.1 fails for want of /proc, and leaves its bind mount of the root behind.
    """
    made = bundle({"mounts": None, "linux": {"namespaces": None}}, base=MINIMAL, sh="echo $$; ls /")
    made.config["linux"] = {}
    made.write()
    result = creche.run(["run", "-b", made, container_id]).ok()
    pid, *names = result.stdout.split()

    assert int(pid) > 1
    assert {"bin", "etc", "home"} <= set(names)


def test_without_a_pid_namespace_kill_means_everybody(
    creche: Runtime, bundle: Bundles, container_id: str
) -> None:
    """runc does so since 1.2; 1.1 kills init alone and leaves its children."""
    namespaces_ = [namespace(kind) for kind in ("mount", "ipc", "uts")]
    made = bundle({"linux": {"namespaces": namespaces_}}, sh=f"sleep 1000 & {IDLE}")
    pid = launched(creche, container_id, made)
    pids = creche.run(["ps", "-f", "json", container_id]).ok().json()
    assert len(pids) > 1
    pidfds = [os.pidfd_open(number) for number in pids]
    try:
        creche.run(["kill", container_id, "KILL"]).ok()
        for pidfd in pidfds:
            assert wait_pidfd(pidfd)
    finally:
        for pidfd in pidfds:
            os.close(pidfd)
    assert not Path(f"/proc/{pid}/exe").exists()


def test_delete_ends_what_outlived_init(
    runtime: Runtime, bundle: Bundles, container_id: str
) -> None:
    namespaces_ = [namespace(kind) for kind in ("mount", "ipc", "uts")]
    made = bundle(
        {"linux": {"namespaces": namespaces_}}, sh="sleep 1000 & sleep 1000 & exec sleep 1000"
    )
    pid = launched(runtime, container_id, made)
    os.kill(pid, signal.SIGKILL)
    assert reap(pid) == -signal.SIGKILL
    assert runtime.status(container_id) == "stopped"
    runtime.run(["delete", container_id]).ok()


# Joined -------------------------------------------------------------------------------------------


def test_namespaces_are_joined_by_path(
    runtime: Runtime, bundle: Bundles, container_id: str, holder: int
) -> None:
    paths = {kind: f"/proc/{holder}/ns/{PROC_NAMES[kind]}" for kind in KINDS if kind != "mount"}
    listing = [namespace("mount"), *(namespace(kind, path) for kind, path in paths.items())]
    made = bundle({"hostname": None, "linux": {"namespaces": listing}}, sh=IDLE)
    launched(runtime, container_id, made)
    inside = ask_running(runtime, container_id, ns=LIST, init="cat /proc/1/comm")
    found, held = listed(inside["ns"]), namespaces(holder)

    assert {kind for kind in held if found[kind] == held[kind]} == {
        "net", "ipc", "uts", "pid", "cgroup", "user", "time",
    }  # fmt: skip
    assert inside["init"] == "sleep"


@pytest.mark.parametrize("kind", ["network", "ipc", "uts", "pid", "cgroup"])
def test_each_kind_is_joined_alone(
    runtime: Runtime, bundle: Bundles, container_id: str, holder: int, kind: str
) -> None:
    name = PROC_NAMES[kind]
    listing = [namespace("mount"), namespace(kind, f"/proc/{holder}/ns/{name}")]
    made = bundle({"linux": {"namespaces": listing}}, base=MINIMAL)
    found = listed(ask(runtime, made, container_id, ns=LIST)["ns"])

    assert found[name] == namespaces(holder)[name]
    assert {other for other, value in namespaces().items() if found[other] != value} == {
        "mnt", name,
    }  # fmt: skip


def test_a_mount_namespace_is_joined(
    creche: Runtime, bundle: Bundles, container_id: str, holder: int
) -> None:
    path = f"/proc/{holder}/ns/mnt"
    listing = [namespace("mount", path), namespace("pid")]
    made = bundle({"linux": {"namespaces": listing}}, base=MINIMAL)
    found = listed(ask(creche, made, container_id, ns=LIST)["ns"])

    assert found["mnt"] == namespaces(holder)["mnt"]


def test_a_user_namespace_is_joined_without_mappings(
    runtime: Runtime, open_directory: Path, container_id: str, user_holder: int
) -> None:
    listing = [namespace(kind) for kind in ("mount", "pid", "ipc", "uts")]
    listing.append(namespace("user", f"/proc/{user_holder}/ns/user"))
    made = make_bundle(open_directory / "b", {"linux": {"namespaces": listing}}, base=MINIMAL)
    owned(made, 100000)
    if runtime.name == "runc":
        # runc 1.1 wants the mappings again; since 1.2 it reads those of the namespace.
        made.patch({"linux": {"uidMappings": ROOT_MAP, "gidMappings": ROOT_MAP}})
    inside = ask(runtime, made, container_id, ns=LIST, id="id -u", map="cat /proc/self/uid_map")

    assert listed(inside["ns"])["user"] == namespaces(user_holder)["user"]
    assert inside["id"] == "0"
    assert inside["map"].split() == ["0", "100000", "65536"]


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (os.mkfifo, "not a namespace"),
        (lambda path: path.write_text(""), "not a namespace"),
        (lambda path: path.mkdir(), "not a namespace"),
        (lambda path: path.symlink_to("/proc/self/ns/uts"), "a uts namespace"),
        (lambda path: path.symlink_to("/dev/zero"), "not a namespace"),
    ],
    ids=["fifo", "file", "directory", "another-kind", "device"],
)
def test_what_is_no_such_namespace_is_refused_at_once(
    creche: Runtime,
    bundle: Bundles,
    container_id: str,
    tmp_path: Path,
    make: Callable[[Path], object],
    what: str,
) -> None:
    path = tmp_path / "ns"
    make(path)
    listing = [namespace("mount"), namespace("network", str(path))]
    made = bundle({"linux": {"namespaces": listing}}, base=MINIMAL)
    result = creche.run(["run", "-b", made, container_id]).failed(1)

    assert message(result).endswith(
        f"linux.namespaces[1].path: expected a network namespace, but {path} is {what}"
    )
    assert not creche.exists(container_id)


def test_a_missing_namespace_is_named(runtime: Runtime, bundle: Bundles, container_id: str) -> None:
    listing = [namespace("mount"), namespace("network", "/nowhere/ns")]
    made = bundle({"linux": {"namespaces": listing}}, base=MINIMAL)
    result = runtime.run(["run", "-b", made, container_id]).failed(1)

    assert "/nowhere/ns" in message(result)
    assert "no such file or directory" in message(result)
    assert not runtime.exists(container_id)


# User namespaces ----------------------------------------------------------------------------------


def test_ids_are_mapped(runtime: Runtime, open_directory: Path, container_id: str) -> None:
    """What the container's root makes belongs to the mapped user outside."""
    listing = [namespace(kind) for kind in (*KINDS, "user")]
    linux = {"namespaces": listing, "uidMappings": ROOT_MAP, "gidMappings": ROOT_MAP}
    made = make_bundle(open_directory / "b", {"linux": linux, "root": {"readonly": False}}, sh=IDLE)
    names = ["CAP_CHOWN"]
    sets = {"bounding": names, "effective": names, "permitted": names}
    made.patch({"process": {"capabilities": sets}})
    owned(made, 100000)
    before = mounts()
    launched(runtime, container_id, made)
    assert mounts() == before
    inside = ask_running(
        runtime,
        container_id,
        id="id -u; id -g",
        map="cat /proc/self/uid_map /proc/self/gid_map",
        files="touch /made; mkdir /tmp/made; stat -c '%u:%g' /made",
        unmapped="chown 70000 /made || echo refused",
        other="chown 1000:1001 /tmp/made",
        dev="stat -c '%F %t:%T' /dev/null /dev/tty; echo x >/dev/null && echo written",
        outside="stat -c '%u' /sys/kernel",
    )

    assert inside["id"] == "0\n0"
    assert inside["map"].split() == ["0", "100000", "65536"] * 2
    assert inside["files"] == "0:0"
    assert inside["unmapped"].endswith("refused")
    assert inside["dev"] == ("character special file 1:3\ncharacter special file 5:0\nwritten")
    assert inside["outside"] == "65534"
    info = (made.rootfs / "made").stat()
    assert (info.st_uid, info.st_gid) == (100000, 100000)
    info = (made.rootfs / "tmp/made").stat()
    assert (info.st_uid, info.st_gid) == (101000, 101001)


def test_the_containers_root_need_not_reach_the_bundle(
    creche: Runtime, bundle: Bundles, container_id: str, tmp_path: Path
) -> None:
    """pytest's directories are for root alone; bind sources there too."""
    secret = tmp_path / "secret"
    secret.mkdir(mode=0o700)
    (secret / "file").write_text("read\n")
    listing = [namespace(kind) for kind in ("mount", "pid", "user")]
    linux = {"namespaces": listing, "uidMappings": ROOT_MAP, "gidMappings": ROOT_MAP}
    made = bundle({"linux": linux}, base=MINIMAL)
    made.config["mounts"].append(
        {"destination": "/mnt", "source": str(secret), "options": ["bind", "ro"]}
    )
    owned(made, 100000)
    os.chown(secret, 100000, 100000)
    assert ask(creche, made, container_id, x="cat /mnt/file")["x"] == "read"


def test_without_mappings_root_is_mapped_alone(
    creche: Runtime, bundle: Bundles, container_id: str
) -> None:
    listing = [namespace(kind) for kind in ("mount", "pid", "user")]
    made = bundle({"linux": {"namespaces": listing}}, base=MINIMAL)
    inside = ask(creche, made, container_id, map="cat /proc/self/uid_map", id="id -u")

    assert inside["id"] == "0"
    assert inside["map"].split() == ["0", "0", "1"]


def test_a_map_without_root_is_refused(creche: Runtime, bundle: Bundles, container_id: str) -> None:
    listing = [namespace(kind) for kind in ("mount", "pid", "user")]
    mapping = [{"containerID": 5, "hostID": 100000, "size": 10}]
    linux = {"namespaces": listing, "uidMappings": mapping, "gidMappings": mapping}
    made = bundle({"linux": linux}, base=MINIMAL)
    result = creche.run(["run", "-b", made, container_id]).failed(1)

    assert "containerID 0 must be mapped" in message(result)


# Names, sysctls, clocks ---------------------------------------------------------------------------


def test_host_name_and_sysctls(runtime: Runtime, bundle: Bundles, container_id: str) -> None:
    sysctl = {
        "net.ipv4.ip_forward": "1",
        "kernel.msgmax": "9999",
        "fs.mqueue.msg_max": "11",
        "net.ipv4.ping_group_range": "0 7",
    }
    made = bundle({"hostname": "inside.example", "linux": {"sysctl": sysctl}})
    if runtime.name == "creche":
        made.patch({"domainname": "domain.example"})
    inside = ask(
        runtime,
        made,
        container_id,
        name="hostname",
        domain="cat /proc/sys/kernel/domainname",
        sysctl="cd /proc/sys; cat net/ipv4/ip_forward kernel/msgmax fs/mqueue/msg_max",
        range="cat /proc/sys/net/ipv4/ping_group_range",
    )

    assert inside["name"] == "inside.example"
    assert inside["domain"] == ("domain.example" if runtime.name == "creche" else "(none)")
    assert inside["sysctl"].split() == ["1", "9999", "11"]
    assert inside["range"].split() == ["0", "7"]
    assert Path("/proc/sys/kernel/msgmax").read_text() != "9999\n"


@pytest.mark.parametrize(
    ("sysctl", "namespaces_", "expected"),
    [
        ({"vm.swappiness": "1"}, ["mount", "network"], "linux.sysctl"),
        ({"net.ipv4.ip_forward": "1"}, ["mount"], "linux.sysctl"),
        ({"kernel.msgmax": "nonsense"}, ["mount", "ipc"], "linux.sysctl"),
        ({"net.no.such": "1"}, ["mount", "network"], "linux.sysctl"),
    ],
)
def test_sysctls_that_are_not_the_containers_are_refused(
    runtime: Runtime,
    bundle: Bundles,
    container_id: str,
    sysctl: dict[str, str],
    namespaces_: list[str],
    expected: str,
) -> None:
    linux = {"namespaces": [namespace(kind) for kind in namespaces_], "sysctl": sysctl}
    result = runtime.run(["run", "-b", bundle({"linux": linux}, base=MINIMAL), container_id])
    result.failed(1)

    assert not runtime.exists(container_id)
    if runtime.name == "creche":
        assert expected in message(result)


def test_the_hosts_namespace_joined_by_path_is_the_hosts_still(
    creche: Runtime, bundle: Bundles, container_id: str
) -> None:
    listing = [namespace("mount"), namespace("network", "/proc/self/ns/net")]
    linux = {"namespaces": listing, "sysctl": {"net.ipv4.ip_forward": "1"}}
    before = Path("/proc/sys/net/ipv4/ip_forward").read_text()
    result = creche.run(["run", "-b", bundle({"linux": linux}, base=MINIMAL), container_id])

    assert "is the host's own network namespace" in message(result.failed(1))
    assert Path("/proc/sys/net/ipv4/ip_forward").read_text() == before


@pytest.mark.skipif(not Path("/proc/self/timens_offsets").exists(), reason="no time namespaces")
def test_clocks_are_offset(creche: Runtime, bundle: Bundles, container_id: str) -> None:
    """runc 1.1 knows no time namespaces."""
    linux = {
        "namespaces": [namespace(kind) for kind in ("mount", "pid", "time")],
        "timeOffsets": {
            "boottime": {"secs": 1_000_000, "nanosecs": 5},
            "monotonic": {"secs": 2_000_000},
        },
    }
    before = float(Path("/proc/uptime").read_text().split()[0])
    made = bundle({"linux": linux}, base=MINIMAL, sh=IDLE)
    launched(creche, container_id, made)
    for _ in range(2):  # exec enters the same clocks
        inside = ask_running(
            creche,
            container_id,
            uptime="cat /proc/uptime",
            offsets="cat /proc/self/timens_offsets",
            ns="readlink /proc/self/ns/time",
        )
        assert float(inside["uptime"].split()[0]) >= before + 1_000_000
        assert inside["offsets"].split() == [
            "monotonic", "2000000", "0", "boottime", "1000000", "5",
        ]  # fmt: skip
        assert inside["ns"] != namespaces()["time"]


def test_an_offset_before_the_boot_is_an_error_that_names_it(
    creche: Runtime, bundle: Bundles, container_id: str
) -> None:
    linux: dict[str, Any] = {
        "namespaces": [namespace(kind) for kind in ("mount", "pid", "time")],
        "timeOffsets": {"boottime": {"secs": -1_000_000_000}},
    }
    result = creche.run(["run", "-b", bundle({"linux": linux}, base=MINIMAL), container_id])

    assert "linux.timeOffsets.boottime" in message(result.failed(1))
    assert not creche.exists(container_id)
