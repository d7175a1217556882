"""A machine that has run short, and a state that is lost: a clear error, and nothing is left."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.bundle import Bundle
from tests.support.inside import IDLE, cgroups_named, launched
from tests.support.isolation import mount
from tests.support.mountinfo import cgroup_mounts, cgroup_of, mounts
from tests.support.runtimes import PATH_VARIABLE, Result, Runtime
from tests.support.waiting import wait_exit

pytestmark = pytest.mark.root

Bundles = Callable[..., Bundle]

MS_RDONLY, MS_REMOUNT = 1, 32


def under(creche: Runtime, first: str, *words: str) -> Result:
    """Call creche from a shell that does something to itself first."""
    argv = ["/bin/sh", "-c", f'{first} && exec "$@"', "sh", *creche.argv(words)]
    # Files: the init of a container that is created keeps its standard streams.
    with (creche.root.parent / "answer").open("w+b") as answer:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=answer,
            stderr=answer,
            env={"PATH": PATH_VARIABLE},
            timeout=60,
        )
        answer.seek(0)
        return Result(argv, done.returncode, "", answer.read().decode())


def clear(result: Result, *reasons: str) -> None:
    """Insist on an error line that gives one of the reasons, and on no traceback."""
    result.failed()
    assert "Traceback" not in result.stderr, result.describe()
    assert any(reason in result.stderr for reason in reasons), result.describe()


def check_nothing_left(creche: Runtime, container: str, before: object) -> None:
    assert list(creche.root.iterdir()) == []
    assert cgroups_named(container) == []
    assert mounts() == before


# /bin/sh itself, which creche begins as, needs eleven.
LIMITS = range(12, 36)
NO_RLIMITS: dict[str, Any] = {"process": {"rlimits": []}}


def test_few_descriptors(creche: Runtime, bundle: Bundles, container_id: str) -> None:
    """Each limit is either enough, or an error that says so."""
    made = bundle(NO_RLIMITS, sh=IDLE)
    before = mounts()
    enough = []
    for limit in LIMITS:
        result = under(creche, f"ulimit -n {limit}", "create", "-b", str(made.path), container_id)
        enough.append(not result.rc)
        if result.rc:
            clear(result, "too many open files")
        creche.run(["delete", "--force", container_id]).ok()
        check_nothing_left(creche, container_id, before)

    assert enough[-1]
    assert not enough[0]
    assert enough == sorted(enough)  # from some limit on it is enough


def test_few_descriptors_for_exec_and_delete(
    creche: Runtime, bundle: Bundles, container_id: str
) -> None:
    before = mounts()
    pid = launched(creche, container_id, bundle(NO_RLIMITS, sh=IDLE))
    enough = []
    for limit in LIMITS:
        result = under(creche, f"ulimit -n {limit}", "exec", container_id, "/bin/true")
        enough.append(not result.rc)
        if result.rc:
            clear(result, "too many open files")
    assert enough[-1]
    assert not enough[0]
    assert enough == sorted(enough)
    assert under(creche, f"ulimit -n {LIMITS[0]}", "delete", "--force", container_id).rc == 0
    wait_exit(pid)
    check_nothing_left(creche, container_id, before)


@pytest.fixture
def cramped(cgroup_name: str) -> Iterator[Callable[[int], str]]:
    """Give a maker of words that lead a shell to where there may be so many tasks."""
    name = "pids" if "pids" in cgroup_of() else "unified"
    directory = cgroup_mounts()[name] / cgroup_of()[name].lstrip("/") / cgroup_name
    directory.mkdir()

    def words(limit: int) -> str:
        (directory / "pids.max").write_text(f"{limit}\n")
        return f"echo $$ >{directory}/cgroup.procs"

    yield words
    directory.rmdir()


def test_few_tasks(
    creche: Runtime, bundle: Bundles, container_id: str, cramped: Callable[[int], str]
) -> None:
    """The caller's own control group has room for so many tasks."""
    made = bundle(sh=IDLE)
    before = mounts()
    enough = []
    for limit in range(1, 9):
        result = under(creche, cramped(limit), "create", "-b", str(made.path), container_id)
        enough.append(not result.rc)
        if result.rc:
            clear(result, "resource temporarily unavailable")
        creche.run(["delete", "--force", container_id]).ok()
        check_nothing_left(creche, container_id, before)

    assert enough[-1]
    assert not enough[0]
    assert enough == sorted(enough)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own for the state."""
    where = tmp_path / "disk"
    where.mkdir()
    mount("disk", str(where), "tmpfs", 0, "size=1m,mode=700")
    yield where
    subprocess.run(["umount", where], check=True)


def make(disk: Path, flags: int) -> None:
    mount("disk", str(disk), None, MS_REMOUNT | flags)


@pytest.mark.parametrize("below", ["", "not-there"])
def test_a_root_of_state_that_cannot_be_written(
    bundle: Bundles, container_id: str, disk: Path, below: str
) -> None:
    runtime = Runtime("creche", disk / below)
    before = mounts()
    make(disk, MS_RDONLY)
    result = runtime.run(["create", "-b", bundle(sh=IDLE), container_id])

    clear(result, "read-only file system")
    assert str(disk) in result.stderr
    runtime.run(["delete", "--force", container_id]).ok()
    make(disk, 0)
    assert list(disk.iterdir()) == []
    assert cgroups_named(container_id) == []
    assert len(mounts()) == len(before)


def test_a_root_of_state_that_cannot_be_written_any_more(
    bundle: Bundles, container_id: str, disk: Path
) -> None:
    """What runs is ended; its state cannot be removed, which is said, and is later."""
    runtime = Runtime("creche", disk)
    pid = launched(runtime, container_id, bundle(sh=IDLE))
    make(disk, MS_RDONLY)
    clear(runtime.run(["delete", "--force", container_id]), "read-only file system")
    wait_exit(pid)
    assert cgroups_named(container_id) == []
    assert runtime.status(container_id) == "stopped"
    make(disk, 0)
    runtime.run(["delete", "--force", container_id]).ok()

    assert list(disk.iterdir()) == []


# A damaged state ----------------------------------------------------------------------------------


@pytest.mark.parametrize("own_pids", [True, False], ids=["pidns", "no-pidns"])
@pytest.mark.parametrize("paused", [False, True], ids=["running", "paused"])
def test_what_runs_is_found_without_its_state(
    creche: Runtime, bundle: Bundles, container_id: str, own_pids: bool, paused: bool
) -> None:
    made = bundle(sh="sleep 1000 & " + IDLE)
    if not own_pids:
        made.patch({"linux": {"namespaces": [{"type": "mount"}, {"type": "uts"}]}})
    before = mounts()
    pid = launched(creche, container_id, made)
    if paused:
        creche.run(["pause", container_id]).ok()
    assert cgroups_named(container_id)
    (creche.root / container_id / "state.json").write_bytes(b"{")
    result = creche.run(["delete", "--force", container_id]).ok()
    wait_exit(pid)

    assert "its poststop hooks are not known" in result.stderr
    check_nothing_left(creche, container_id, before)


@pytest.mark.parametrize("content", [b"", b"{}", b'{"pid":1,"cgroup":{}}', None])
def test_traces_that_are_damaged_too_are_not_believed(
    creche: Runtime, bundle: Bundles, container_id: str, content: bytes | None
) -> None:
    """Nothing is killed by a guess; a warning says how to find what may be left."""
    pid = launched(creche, container_id, bundle(sh=IDLE))
    directory = creche.root / container_id
    good = {name: (directory / name).read_bytes() for name in ("state.json", "traces.json")}
    (directory / "state.json").write_bytes(b"{")
    if content is None:
        (directory / "traces.json").unlink()
    else:
        (directory / "traces.json").write_bytes(content)
    result = creche.run(["delete", "--force", container_id]).ok()

    os.kill(pid, 0)
    assert f"find /sys/fs/cgroup -type d -name '*{container_id}*'" in result.stderr
    assert not directory.exists()
    directory.mkdir(mode=0o700)
    for name, data in good.items():
        (directory / name).write_bytes(data)
    creche.run(["delete", "--force", container_id]).ok()
    wait_exit(pid)
    assert cgroups_named(container_id) == []


def test_traces_of_another_container_lead_nowhere(
    creche: Runtime, bundle: Bundles, container_id: str
) -> None:
    launched(creche, container_id, bundle(sh=IDLE))
    other = creche.root / "other"
    shutil.copytree(
        creche.root / container_id, other, ignore=shutil.ignore_patterns("start*", "*.sock")
    )
    (other / "state.json").write_bytes(b"{")
    creche.run(["delete", "--force", "other"]).ok()

    assert not other.exists()
    assert creche.status(container_id) == "running"


def test_traces_hold_nothing_of_the_configuration(
    creche: Runtime, bundle: Bundles, container_id: str
) -> None:
    """They are small, and no secret is written twice."""
    made = bundle({"process": {"env": ["PATH=/bin", "SECRET=swordfish"]}}, sh=IDLE)
    launched(creche, container_id, made)
    path = creche.root / container_id / "traces.json"

    assert path.stat().st_mode & 0o777 == 0o600
    assert "swordfish" not in path.read_text()
    assert json.loads(path.read_text())["pid"] == creche.pid(container_id)
