"""Control groups on the real kernel: made whole or not at all, kept, frozen, killed, removed."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runtime.cgroups import (
    Cgroup,
    Layout,
    compile_devices,
    compile_resources,
    discover,
    resolve_paths,
)
from runtime.cgroups.freezer import freeze_v1, state_v1, wait_event
from runtime.cgroups.resources_v2 import weight_of_shares
from runtime.errors import KernelError, StateError
from tests.support.bundle import BUSYBOX
from tests.support.waiting import DEADLINE, read_until, reap, wait_pidfd

pytestmark = pytest.mark.root

MIB = 1 << 20


class Inside:
    """A shell that does what it is told, one line at a time."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [BUSYBOX, "sh"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        self.pid = self.process.pid

    def tell(self, command: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(command.encode() + b"\n")
        self.process.stdin.flush()

    def ask(self, command: str) -> str:
        assert self.process.stdout is not None
        self.tell(f"{command}\necho '' end-of-answer")
        answer = read_until(self.process.stdout.fileno(), b"end-of-answer\n").decode()
        return answer.rpartition("\n end-of-answer")[0] or answer.partition(" end-of-answer")[0]

    def code(self) -> int:
        fd = os.pidfd_open(self.pid)
        try:
            assert wait_pidfd(fd)
        finally:
            os.close(fd)
        return self.process.wait()

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


@pytest.fixture
def shell() -> Iterator[Callable[[], Inside]]:
    """Give a maker of shells that ends them all afterwards."""
    made: list[Inside] = []

    def make() -> Inside:
        made.append(Inside())
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def layout() -> Layout:
    return discover()


@pytest.fixture
def group(layout: Layout, container_id: str) -> Iterator[Cgroup]:
    """Give a cgroup that is not made yet, and remove it afterwards."""
    cgroup = Cgroup(resolve_paths(None, container_id, layout))
    yield cgroup
    cgroup.kill_all()
    cgroup.remove()


@pytest.fixture
def unified(group: Cgroup) -> Cgroup:
    """Give the version 2 part alone, as on a host without version 1."""
    if "unified" not in group.paths:
        pytest.skip("no cgroup v2 tree here")
    return Cgroup({"unified": group.paths["unified"]})


@pytest.fixture
def old(group: Cgroup) -> Cgroup:
    """Give the version 1 part alone, as on a host without version 2."""
    paths = {name: path for name, path in group.paths.items() if name != "unified"}
    if not any("freezer" in name.split(",") for name in paths):
        pytest.skip("no cgroup v1 hierarchies here")
    return Cgroup(paths)


def value(cgroup: Cgroup, controller: str, name: str) -> str:
    for hierarchy, path in cgroup.paths.items():
        if controller in hierarchy.split(","):
            return Path(path, name).read_text().strip()
    if "unified" in cgroup.paths:
        return Path(cgroup.paths["unified"], name).read_text().strip()
    pytest.skip(f"the {controller} controller is in no hierarchy here")


def left(cgroup: Cgroup) -> list[str]:
    return [path for path in cgroup.paths.values() if os.path.exists(path)]


# -- making and joining ---------------------------------------------------------------------------


def test_limits_are_set_and_the_process_is_in_all_hierarchies(
    layout: Layout, group: Cgroup, shell: Callable[[], Inside]
) -> None:
    """/proc/PID/cgroup names the container in each line, and the kernel has the values."""
    resources = {
        "memory": {"limit": 64 * MIB, "reservation": 32 * MIB},
        "cpu": {"shares": 512, "quota": 20000, "period": 50000, "cpus": "0"},
        "pids": {"limit": 20},
    }
    assert group.create(compile_resources(resources, layout)) == []
    inside = shell()
    group.join(inside.pid)
    lines = Path(f"/proc/{inside.pid}/cgroup").read_text().splitlines()
    names = {os.path.basename(line) for line in lines}
    assert names == {os.path.basename(next(iter(group.paths.values())))}
    assert group.pids() == [inside.pid]
    assert group.populated()
    if layout.mode != "v2":
        assert value(group, "memory", "memory.limit_in_bytes") == str(64 * MIB)
        assert value(group, "cpu", "cpu.cfs_quota_us") == "20000"
        assert value(group, "cpu", "cpu.cfs_period_us") == "50000"
        assert value(group, "cpu", "cpu.shares") == "512"
        assert value(group, "cpuset", "cpuset.cpus") == "0"
    else:
        assert value(group, "memory", "memory.max") == str(64 * MIB)
        assert value(group, "memory", "memory.low") == str(32 * MIB)
        assert value(group, "cpu", "cpu.max") == "20000 50000"
        assert value(group, "cpu", "cpu.weight") == str(weight_of_shares(512))
        assert value(group, "cpuset", "cpuset.cpus") == "0"
    assert value(group, "pids", "pids.max") == "20"
    assert group.kill_all()
    assert inside.code() == -signal.SIGKILL
    group.remove()
    assert left(group) == []


def test_a_child_takes_itself_into_the_old_hierarchies(old: Cgroup) -> None:
    """By descriptors opened for it, written by the thread that moves."""
    old.create([])
    fds = old.self_join_fds()
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            for fd in fds:
                os.write(fd, b"0")
            os.write(write, b"in")
            signal.pause()
        finally:
            os._exit(1)
    for fd in [*fds, write]:
        os.close(fd)
    assert read_until(read, b"in") == b"in"
    os.close(read)
    lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    wanted = {name: os.path.basename(path) for name, path in old.paths.items()}
    found = {line.split(":")[1]: os.path.basename(line) for line in lines}
    assert {name: found[name] for name in wanted} == wanted
    assert old.kill_all()
    assert reap(pid) == -signal.SIGKILL


def test_all_or_nothing(layout: Layout, container_id: str) -> None:
    """A value that the kernel refuses names its key, and no directory stays, parents included."""
    missing = 4000
    paths = resolve_paths(f"{container_id}/a/b", "unused", layout)
    cgroup = Cgroup(paths)
    writes = compile_resources({"cpu": {"cpus": str(missing)}}, layout)
    with pytest.raises(KernelError) as caught:
        cgroup.create(writes)
    assert caught.value.key == "linux.resources.cpu.cpus"
    assert "cpuset.cpus" in str(caught.value)
    for path in paths.values():
        assert not os.path.exists(path.removesuffix("/a/b"))


def test_what_was_there_before_stays(layout: Layout, group: Cgroup) -> None:
    """A failed create removes what it made, and only that."""
    first = next(iter(group.paths.values()))
    os.mkdir(first)
    with pytest.raises(KernelError):
        group.create(compile_resources({"cpu": {"cpus": "4000"}}, layout))
    assert left(group) == [first]


def test_an_empty_one_is_used_and_an_inhabited_one_refused(
    group: Cgroup, shell: Callable[[], Inside]
) -> None:
    """In runc's words."""
    group.create([])
    assert group.create([]) == []
    group.join(shell().pid)
    with pytest.raises(StateError, match="container's cgroup is not empty"):
        Cgroup(group.paths).create([])


def test_a_frozen_one_is_refused(unified: Cgroup) -> None:
    """A container in it would never start."""
    unified.create([])
    Path(unified.paths["unified"], "cgroup.freeze").write_text("1")
    with pytest.raises(StateError, match="container's cgroup unexpectedly frozen"):
        unified.create([])


def test_a_v1_frozen_one_is_refused(old: Cgroup) -> None:
    """The same for the old freezer."""
    old.create([])
    old.freeze()
    with pytest.raises(StateError, match="container's cgroup unexpectedly frozen"):
        old.create([])
    old.thaw()


def test_without_permission_there_is_a_warning_and_a_limit_is_an_error(
    layout: Layout, container_id: str
) -> None:
    """Rootless: no cgroup is fine as long as nothing was to be limited."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        text = "nothing"
        try:
            os.setgroups([])
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
            cgroup = Cgroup(resolve_paths(None, container_id, layout))
            warnings = cgroup.create([])
            text = f"{len(warnings) == 1} {cgroup.paths} "
            writes = compile_resources({"pids": {"limit": 5}}, layout)
            try:
                Cgroup(resolve_paths(None, container_id, layout)).create(writes)
            except KernelError as error:
                text += str(error)
        finally:
            os.write(write, text.encode() + b"\n")
            os._exit(0)
    os.close(write)
    answer = read_until(read, b"\n").decode()
    os.close(read)
    assert reap(pid) == 0
    assert answer.startswith("True {} linux.resources.pids.limit: set pids.max")
    assert "for lack of permission" in answer


def test_controllers_are_enabled_for_the_v2_tree_and_an_inhabited_parent_is_explained(
    cgroup_name: str, shell: Callable[[], Inside]
) -> None:
    """The no-internal-process rule with its remedy (cgroups(7))."""
    layout = discover()
    if "hugetlb" not in layout.available:
        pytest.skip("the hugetlb controller is not with cgroup v2 here")
    top = layout.hierarchies["unified"].mountpoint
    control = Path(top, "cgroup.subtree_control")
    before = control.read_text().split()
    resources = {"hugepageLimits": [{"pageSize": "2MB", "limit": 2 * MIB}]}
    writes = compile_resources(resources, layout)
    parent = Cgroup({"unified": f"{top}/{cgroup_name}"})
    child = Cgroup({"unified": f"{top}/{cgroup_name}/inner"})
    try:
        child.create(writes)
        assert Path(child.paths["unified"], "hugetlb.2MB.max").read_text().strip() == str(2 * MIB)
        child.remove()
        handed_on = Path(parent.paths["unified"], "cgroup.subtree_control")
        handed_on.write_text(" ".join(f"-{name}" for name in handed_on.read_text().split()))
        parent.join(shell().pid)
        with pytest.raises(KernelError, match="move them to a sub-cgroup") as caught:
            child.create(writes)
        assert caught.value.number == errno.EBUSY
        assert not os.path.exists(child.paths["unified"])
        # Without limits it is made, and can be joined: no controller has made the parent threaded.
        child.create([])
        child.join(shell().pid)
        assert child.populated()
    finally:
        parent.kill_all()
        parent.remove()
        if "hugetlb" not in before:
            control.write_text("-hugetlb")


def test_delegation_hands_over_what_the_kernel_calls_safe(unified: Cgroup) -> None:
    """The directory and the delegatable files; limits stay ours."""
    unified.create([])
    unified.delegate(1234, 1234)
    path = Path(unified.paths["unified"])
    assert path.stat().st_uid == 1234
    assert (path / "cgroup.procs").stat().st_uid == 1234
    assert (path / "cgroup.freeze").stat().st_uid == 0


def test_unified_fd_is_a_directory_that_is_not_inherited(unified: Cgroup) -> None:
    """For CLONE_INTO_CGROUP."""
    unified.create([])
    fd = unified.unified_fd()
    assert fd is not None
    try:
        assert stat.S_ISDIR(os.fstat(fd).st_mode)
        assert not os.get_inheritable(fd)
    finally:
        os.close(fd)


# -- limits ---------------------------------------------------------------------------------------


def test_update_raises_and_lowers_in_the_order_that_the_kernel_accepts(
    layout: Layout, group: Cgroup
) -> None:
    """Memory and memory+swap bound each other both ways on version 1."""
    if layout.find("memory") is None:
        pytest.skip("the memory controller is in no hierarchy here")
    v1 = layout.find("memory") != "unified"

    def memory(limit: int, swap: int) -> list[list[str]]:
        resources = {"memory": {"limit": limit * MIB, "swap": swap * MIB}}
        return compile_resources(resources, layout)

    group.create(memory(64, 128))
    for limit, swap in ((256, 512), (32, 40), (41, 41)):
        group.apply(memory(limit, swap))
        if v1:
            assert value(group, "memory", "memory.limit_in_bytes") == str(limit * MIB)
            assert value(group, "memory", "memory.memsw.limit_in_bytes") == str(swap * MIB)
        else:
            assert value(group, "memory", "memory.max") == str(limit * MIB)
            assert value(group, "memory", "memory.swap.max") == str((swap - limit) * MIB)
    group.apply(compile_resources({"memory": {"limit": -1}}, layout))
    if v1:
        assert int(value(group, "memory", "memory.limit_in_bytes")) > 1 << 60
    else:
        assert value(group, "memory", "memory.max") == "max"


def test_a_bad_value_leaves_the_old_one(layout: Layout, group: Cgroup) -> None:
    """And names key and file."""
    group.create(compile_resources({"pids": {"limit": 7}}, layout))
    writes = compile_resources({"cpu": {"idle": 3}, "pids": {"limit": 9}}, layout)
    with pytest.raises(
        KernelError, match=r"^linux\.resources\.cpu\.idle: write '3' to .*cpu\.idle"
    ):
        group.apply(writes)
    assert value(group, "cpu", "cpu.idle") == "0"
    if layout.mode != "v2":  # in another hierarchy, which it did not come to
        assert value(group, "pids", "pids.max") == "7"


def test_pids_limit_holds(layout: Layout, group: Cgroup, shell: Callable[[], Inside]) -> None:
    """One process more than allowed is refused by the kernel."""
    group.create(compile_resources({"pids": {"limit": 1}}, layout))
    inside = shell()
    group.join(inside.pid)
    inside.tell(f"{BUSYBOX} true")
    assert inside.process.stdout is not None
    read_until(inside.process.stdout.fileno(), b"can't fork: Resource temporarily unavailable")


def test_oom_kills_are_counted_below_as_well(
    layout: Layout, group: Cgroup, shell: Callable[[], Inside]
) -> None:
    """The shell reads zeros without end into one line."""
    group.create(compile_resources({"memory": {"limit": 16 * MIB, "swap": 16 * MIB}}, layout))
    assert group.oom_kills() == 0
    inside = shell()
    group.join(inside.pid)
    inside.tell(f"exec {BUSYBOX} tail /dev/zero")
    assert inside.code() == -signal.SIGKILL
    assert group.oom_kills() == 1


# -- devices --------------------------------------------------------------------------------------


def _device_answers(inside: Inside, node: Path) -> tuple[bool, bool]:
    null = inside.ask(f"{BUSYBOX} true </dev/null && echo opened")
    other = inside.ask(f"{BUSYBOX} true <{node} && echo opened")
    return "opened" in null, "opened" in other


def _devices(cgroup: Cgroup, tmp_path: Path, shell: Callable[[], Inside]) -> None:
    node = tmp_path / "zero"
    # 1:11 is /dev/kmsg, which no container gets by default.
    os.mknod(node, 0o666 | stat.S_IFCHR, os.makedev(1, 11))
    deny_all = {"allow": False, "access": "rwm"}
    cgroup.create([], compile_devices([deny_all]))
    inside = shell()
    cgroup.join(inside.pid)
    assert _device_answers(inside, node) == (True, False)
    allow = {"allow": True, "type": "c", "major": 1, "minor": 11, "access": "r"}
    cgroup.apply([], compile_devices([deny_all, allow]))
    assert _device_answers(inside, node) == (True, True)
    cgroup.apply([], compile_devices([deny_all]))
    assert _device_answers(inside, node) == (True, False)


def test_devices_v1(old: Cgroup, tmp_path: Path, shell: Callable[[], Inside]) -> None:
    """Denied, allowed by an update, denied again."""
    _devices(old, tmp_path, shell)


def test_devices_v2(unified: Cgroup, tmp_path: Path, shell: Callable[[], Inside]) -> None:
    """The same by a BPF program, which each update replaces."""
    from runtime.cgroups.bpf import attached

    _devices(unified, tmp_path, shell)
    fd = os.open(unified.paths["unified"], os.O_RDONLY | os.O_DIRECTORY)
    try:
        assert len(attached(fd)) == 1
    finally:
        os.close(fd)


@pytest.mark.parametrize("count", [0, 1, 200])
def test_the_verifier_takes_every_program(unified: Cgroup, count: int) -> None:
    """With and without rules that settle everything."""
    rules: list[dict[str, Any]] = [
        {"allow": bool(i % 3), "type": "bc"[i % 2], "major": i, "minor": i, "access": "rm"}
        for i in range(count)
    ]
    for first in (True, False):
        unified.create([], compile_devices([{"allow": first, "access": "rwm"}, *rules]))


# -- freezing and killing -------------------------------------------------------------------------


def _frozen_then_killed(cgroup: Cgroup, inside: Inside) -> None:
    cgroup.create([])
    cgroup.join(inside.pid)
    assert not cgroup.frozen()
    cgroup.freeze()
    assert cgroup.frozen()
    cgroup.thaw()
    assert not cgroup.frozen()
    assert inside.ask("echo alive") == "alive"
    cgroup.freeze()
    assert cgroup.kill_all()
    assert inside.code() == -signal.SIGKILL
    assert not cgroup.populated()
    cgroup.thaw()


def test_freeze_thaw_and_kill_while_frozen_v1(old: Cgroup, shell: Callable[[], Inside]) -> None:
    """A frozen process of version 1 dies only once it is thawed."""
    _frozen_then_killed(old, shell())


def test_freeze_thaw_and_kill_while_frozen_v2(unified: Cgroup, shell: Callable[[], Inside]) -> None:
    """Version 2 kills the frozen."""
    _frozen_then_killed(unified, shell())


def test_freeze_thaw_and_kill_while_frozen(group: Cgroup, shell: Callable[[], Inside]) -> None:
    """With whatever this host has."""
    _frozen_then_killed(group, shell())


def test_kill_gets_at_those_whom_somebody_else_froze(
    group: Cgroup, old: Cgroup, shell: Callable[[], Inside]
) -> None:
    """In a sub-cgroup of the old freezer, too."""
    group.create([])
    inside = shell()
    group.join(inside.pid)
    path = next(path for name, path in old.paths.items() if "freezer" in name.split(","))
    os.mkdir(path + "/sub")
    Path(path, "sub/cgroup.procs").write_text(str(inside.pid))
    freeze_v1(path + "/sub")
    assert state_v1(path + "/sub") == "FROZEN"
    assert group.kill_all()
    assert inside.code() == -signal.SIGKILL
    group.remove()
    assert left(group) == []


def test_signal_all_reaches_children_and_leaves_a_paused_container_paused(
    group: Cgroup, unified: Cgroup, shell: Callable[[], Inside]
) -> None:
    """All have died once it is resumed (under cgroup v2, even before)."""
    group.create([])
    inside = shell()
    group.join(inside.pid)
    inside.ask("sleep 1000 & sleep 1000 &")
    assert len(group.pids()) == 3
    group.freeze()
    group.signal_all(signal.SIGTERM)
    assert group.frozen()
    group.thaw()
    assert inside.code() == -signal.SIGTERM
    assert wait_event(unified.paths["unified"], "populated", "0", DEADLINE)


def test_kill_wins_against_one_that_forks(old: Cgroup, shell: Callable[[], Inside]) -> None:
    """Without cgroup.kill: frozen, then killed, all of them."""
    old.create([])
    inside = shell()
    old.join(inside.pid)
    inside.tell("f() { while :; do (:) & done; }; f & f & f")
    assert old.kill_all()
    assert inside.code() == -signal.SIGKILL
    assert old.pids() == []


# -- removing -------------------------------------------------------------------------------------


def test_remove_takes_what_the_container_made_below(group: Cgroup) -> None:
    """In each hierarchy, several levels, several branches."""
    group.create([])
    for path in group.paths.values():
        for name in ("a/b/c", "a/d", "e"):
            os.makedirs(f"{path}/{name}")
    group.remove()
    assert left(group) == []
    group.remove()  # nothing left to do


def test_remove_reaches_deeper_than_a_path(unified: Cgroup) -> None:
    """A container can nest cgroups beyond PATH_MAX to have them left behind."""
    unified.create([])
    fds = [os.open(unified.paths["unified"], os.O_RDONLY | os.O_DIRECTORY)]
    name = "n" * 100
    try:
        for _level in range(200):
            os.mkdir(name, dir_fd=fds[-1])
            fds.append(os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=fds[-1]))
            os.close(fds.pop(0))
    finally:
        for fd in fds:
            os.close(fd)
    unified.remove()
    assert left(unified) == []


def test_remove_says_who_is_still_inside(
    group: Cgroup, old: Cgroup, shell: Callable[[], Inside]
) -> None:
    """And removes the hierarchies that are free."""
    group.create([])
    inside = shell()
    name, path = next(iter(old.paths.items()))
    Path(path, "cgroup.procs").write_text(str(inside.pid))
    with pytest.raises(KernelError, match=f"processes in it: {inside.pid}"):
        group.remove(timeout=0.0)
    assert left(group) == [group.paths[name]]


def test_events_files_exist(group: Cgroup, unified: Cgroup) -> None:
    """Something to watch in each version."""
    group.create([])
    files = group.events_files()
    assert "cgroup.events" in files
    assert all(os.path.exists(path) for path in files.values())


# -- a host with version 2 only -------------------------------------------------------------------


def test_pure_v2_view(container_id: str) -> None:
    """A cgroup2 mounted over everything else is all that is discovered and used."""
    from tests.support.isolation import mount, unshare

    if discover().mode == "v2":
        pytest.skip("this host has cgroup v2 alone, all other tests show that view")
    clone_newns, rec_private = 0x00020000, 0x4000 | 1 << 18
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        text = "failed"
        try:
            unshare(clone_newns)
            mount("none", "/", None, rec_private)
            mount("cgroup2", "/sys/fs/cgroup", "cgroup2", 0)
            layout = discover()
            cgroup = Cgroup(resolve_paths(f"/{container_id}", "x", layout))
            cgroup.create([], compile_devices([]))
            child = os.fork()
            if child == 0:
                signal.pause()
            cgroup.join(child)
            cgroup.freeze()
            killed = cgroup.kill_all()
            os.waitpid(child, 0)
            cgroup.remove()
            text = f"{layout.mode} {cgroup.paths} {killed} {left(cgroup)}"
        finally:
            os.write(write, text.encode() + b"\n")
            os._exit(0)
    os.close(write)
    answer = read_until(read, b"\n").decode().strip()
    os.close(read)
    assert reap(pid) == 0
    assert answer == f"v2 {{'unified': '/sys/fs/cgroup/{container_id}'}} True []"
