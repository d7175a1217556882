"""Directories as nobody would make them: nothing blocks, nothing is followed, nothing is lost."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from supervisor.directories.directories import Directories
from supervisor.directories.generations import Generations
from supervisor.directories.settling import Settling
from supervisor.watch import Watcher
from supervisor.workload.directory import read_all
from tests.unit.supervisor.simulated import Script, World

GOOD = '[container]\nargs = ["{}"]\n'
NAMES = ["a", "b", "c\x1b[31m", "d\ne", "\udcff", ".hidden", "a.d", "x" * 200]
FILES = ["workload.toml", "config.json", "workload.d", "workload.d/z.toml", "rootfs", "odd"]


def everything(world: World, path: Path, state: Path, settling: Settling | None) -> Directories:
    """Directories with what they need."""
    generations = Generations(str(state), lambda *told: None)
    return Directories(
        str(path), "/scratch", world.nursery, world.log, generations, settling=settling
    )


def world() -> World:
    """Workloads of any name, which run for ever."""
    names = ("a", "b", "c", "a.d", *(f"w{number}" for number in range(2000)))
    return World({name: [Script()] for name in names}, events=Told())


# --- one operation on the tree -----------------------------------------------------------------


def clear(path: Path) -> None:
    """Whatever is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif os.path.lexists(path):
        path.unlink()


def make(kind: str, path: Path, number: int) -> None:
    """Something of this kind in this place."""
    if kind == "rename":
        other = path.parent / ("b" if path.name == "a" else "a")
        if os.path.lexists(path) and not os.path.lexists(other):
            path.rename(other)
        return
    clear(path)
    if not path.parent.is_dir():
        return
    text = GOOD.format(number) if path.suffix != ".json" else "{}"
    if kind == "file":
        path.write_text(text)
        path.chmod(0o644)
    elif kind == "open file":
        path.write_text(text)
        path.chmod(0o666)
    elif kind == "large file":
        with path.open("wb") as file:
            file.truncate(1 << 30)
        path.chmod(0o644)
    elif kind == "directory":
        path.mkdir(0o755)
    elif kind == "open directory":
        path.mkdir()
        path.chmod(0o777)
    elif kind == "deep directory":
        (path / "/".join(["d"] * 40)).mkdir(parents=True)
        path.chmod(0o755)
    elif kind == "fifo":
        os.mkfifo(path, 0o600)
    elif kind == "socket":
        if len(str(path)) < 100:
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(os.fsencode(path))
    elif kind == "loop":
        path.symlink_to(path.name)
    elif kind == "link out":
        path.symlink_to("/etc")
    elif kind == "device" and os.geteuid() == 0:
        os.mknod(path, 0o600 | 0o20000, os.makedev(1, 5))
    elif kind == "owner" and os.geteuid() == 0:
        path.mkdir(0o755)
        os.chown(path, 12345, 12345)


KINDS = [
    "gone", "file", "file", "file", "open file", "large file", "directory", "directory",
    "open directory", "deep directory", "fifo", "socket", "loop", "link out", "device", "owner",
    "rename",
]  # fmt: skip
MEMORY = "/dev/shm"
MOST = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
OPERATIONS = st.tuples(
    st.sampled_from(KINDS),
    st.sampled_from(NAMES[:3] * 4 + NAMES),
    st.sampled_from([None, None, *FILES, "workload.toml", "workload.toml"]),
    st.integers(0, 3),
)


def operate(base: Path, kind: str, name: str, file: str | None, number: int) -> None:
    """One of OPERATIONS."""
    path = base / name if file is None else base / name / file
    try:
        make(kind, path, number)
    except (NotADirectoryError, FileNotFoundError, FileExistsError):
        pass


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(st.lists(st.lists(OPERATIONS, min_size=1, max_size=12), min_size=1, max_size=5))
def test_whatever_is_there_is_read_and_followed(
    rounds: list[list[tuple[str, str, str | None, int]]],
) -> None:
    """What runs is what can be read now, or was the last that could; and `plan` had said so."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as base:
        path = Path(base) / "workloads"
        path.mkdir(0o755)

        async def follow() -> None:
            simulated = world()
            directories = everything(simulated, path, Path(base), None)
            async with trio.open_nursery() as tasks:
                directories.begin(await directories.load(), tasks)
                tasks.start_soon(simulated.nursery.run, False)
                for operations in rounds:
                    for operation in operations:
                        operate(path, *operation)
                    before = dict(directories.current)
                    plan = await directories.plan()
                    done = await directories.reload()
                    assert done.to_json() == plan.to_json()
                    good, bad = read_all(str(path), "/scratch")
                    expected = {workload.name: workload.digest for workload in good}
                    kept = {name: before[name].digest for name, _ in bad if name in before}
                    now = {name: w.digest for name, w in directories.current.items()}
                    assert now == kept | expected
                    assert not (await directories.plan()).changed
                tasks.cancel_scope.cancel()

        trio.run(follow)


# --- with the real inotify ---------------------------------------------------------------------


@asynccontextmanager
async def followed(base: Path) -> AsyncIterator[tuple[Directories, World]]:
    """Directories that are followed, in real time but quickly."""
    path = base / "workloads"
    path.mkdir(exist_ok=True)
    path.chmod(0o755)
    simulated = world()
    directories = everything(simulated, path, base, Settling(quiet=0.01, longest=0.1))
    async with Watcher() as watcher, trio.open_nursery() as tasks:
        directories.begin(await directories.load(), tasks)
        tasks.start_soon(simulated.nursery.run, False)
        tasks.start_soon(directories.run, watcher)
        yield directories, simulated
        tasks.cancel_scope.cancel()


class Told(list[dict[str, object]]):
    """Events, and when there is another one."""

    def __init__(self) -> None:
        super().__init__()
        self.news = trio.Event()

    def append(self, event: dict[str, object]) -> None:
        """One more."""
        super().append(event)
        self.news.set()
        self.news = trio.Event()


async def until(simulated: World, condition: Callable[[], bool]) -> None:
    """Until it holds: whatever changes is reported."""
    assert isinstance(simulated.events, Told)
    with trio.fail_after(120):
        while True:
            news = simulated.events.news
            if condition():
                return
            await news.wait()


def add(base: Path, name: str, number: int = 0) -> Path:
    """A workload, whatever the umask."""
    path = base / "workloads" / name
    path.mkdir(parents=True)
    path.parent.chmod(0o755)
    path.chmod(0o755)
    (path / "workload.toml").write_text(GOOD.format(number))
    (path / "workload.toml").chmod(0o644)
    return path


async def test_every_way_to_change_something_is_noticed(tmp_path: Path) -> None:
    """By the kernel's notices alone: nobody asks for a reload."""
    async with followed(tmp_path) as (directories, simulated):
        current = directories.current

        def args() -> object:
            return current["a"].settings.given["container.args"]

        path = add(tmp_path, "a")
        await until(simulated, lambda: "a" in current)
        (path / "workload.toml").write_text(GOOD.format(1))
        await until(simulated, lambda: args() == ("1",))
        (path / "new").write_text(GOOD.format(2))
        (path / "new").chmod(0o644)
        (path / "new").rename(path / "workload.toml")
        await until(simulated, lambda: args() == ("2",))
        (path / "workload.d").mkdir()
        (path / "workload.d").chmod(0o755)
        (path / "workload.d/x.toml").write_text(GOOD.format(3))
        (path / "workload.d/x.toml").chmod(0o644)
        await until(simulated, lambda: args() == ("3",))
        (path / "workload.d/x.toml").write_text(GOOD.format(4))
        await until(simulated, lambda: args() == ("4",))
        (path / "workload.d").rename(path / "workload.off")
        await until(simulated, lambda: args() == ("2",))
        path.rename(path.with_name("b"))
        await until(simulated, lambda: set(current) == {"b"})
        away = tmp_path / "away"
        (tmp_path / "workloads").rename(away)
        (tmp_path / "workloads").mkdir()
        (tmp_path / "workloads").chmod(0o755)
        add(tmp_path, "c")
        await until(simulated, lambda: set(current) == {"c"})


async def test_a_swapped_root_is_another_container(tmp_path: Path) -> None:
    """New versions are often put in place so."""
    async with followed(tmp_path) as (directories, simulated):
        path = add(tmp_path, "a")
        for name in ("rootfs", "next"):
            (path / name).mkdir()
            (path / name).chmod(0o755)
        (path / "workload.toml").write_text(GOOD.format(0) + 'rootfs = "rootfs"\n')
        await until(simulated, lambda: "a" in directories.current)
        before = len(simulated.named("workload-changed"))
        (path / "rootfs").rename(path / "old")
        (path / "next").rename(path / "rootfs")
        await until(simulated, lambda: len(simulated.named("workload-changed")) > before)
        assert simulated.named("workload-changed")[-1]["keys"] == ["root file system"]


async def test_permissions_that_are_mended_are_noticed(tmp_path: Path) -> None:
    """Nobody has to touch the file."""
    async with followed(tmp_path) as (directories, simulated):
        path = add(tmp_path, "a")
        (path / "workload.toml").chmod(0o666)
        await until(
            simulated, lambda: bool(simulated.named("workload-refused") or directories.current)
        )
        (path / "workload.toml").chmod(0o644)
        await until(simulated, lambda: "a" in directories.current)
        path.chmod(0o777)
        await until(simulated, lambda: bool(simulated.named("change-refused")))
        assert "a" in directories.current


async def test_names_that_are_no_text(tmp_path: Path) -> None:
    """What came with them is not lost."""
    async with followed(tmp_path) as (directories, simulated):
        (tmp_path / "workloads" / "\udcff\udcfe").mkdir(0o755)
        (tmp_path / "workloads" / "\x1b]0;owned\x07\n").mkdir(0o755)
        add(tmp_path, "a")
        await until(simulated, lambda: "a" in directories.current)
        await until(simulated, lambda: len(simulated.named("workload-refused")) == 2)


async def test_more_changes_than_the_kernel_has_room_for(tmp_path: Path) -> None:
    """IN_Q_OVERFLOW leads to a look at everything."""
    path = add(tmp_path, "a")
    async with followed(tmp_path) as (directories, simulated):
        await until(simulated, lambda: "a" in directories.current)
        for number in range(MOST // 2 + 100):  # nothing is read meanwhile
            (path / f"x{number % 7}").touch()
            (path / f"x{number % 7}").unlink()
        (path / "workload.toml").write_text(GOOD.format(9))
        add(tmp_path, "b")
        await until(
            simulated,
            lambda: (
                directories.current["a"].settings.given["container.args"] == ("9",)
                and "b" in directories.current
            ),
        )


async def test_two_thousand_workloads() -> None:
    """All are there, and one edit is one change of one of them."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as base:
        await two_thousand(Path(base))


async def two_thousand(tmp_path: Path) -> None:
    """The same, in a directory that is made and removed quickly."""
    for number in range(2000):
        path = add(tmp_path, f"w{number}")
    async with followed(tmp_path) as (directories, simulated):
        await until(simulated, lambda: len(simulated.named("started")) == 2000)
        (path / "workload.toml").write_text(GOOD.format(1))
        await until(simulated, lambda: len(simulated.named("started")) == 2001)
        assert len(directories.current) == 2000
        assert [e["workload"] for e in simulated.named("workload-changed")] == ["w1999"]


async def test_a_file_that_never_stops_growing(tmp_path: Path) -> None:
    """It is given a while, and is then a mistake like another; others do not wait for it."""
    path = add(tmp_path, "a")
    async with followed(tmp_path) as (directories, simulated):
        await until(simulated, lambda: "a" in directories.current)

        def grow() -> None:
            with (path / "workload.toml").open("a") as file:
                file.write("#" * 1000)

        add(tmp_path, "b")

        with trio.fail_after(120):
            while not simulated.named("change-refused"):
                grow()
                await trio.lowlevel.checkpoint()
        await until(simulated, lambda: "b" in directories.current)
        message = str(simulated.named("change-refused")[0]["message"])
        assert "larger than" in message or "being written" in message
        assert directories.current["a"].settings.given["container.args"] == ("0",)


@pytest.mark.root
async def test_an_owner_who_is_nobody(tmp_path: Path) -> None:
    """A file that is given away is refused, and what ran runs on."""
    path = add(tmp_path, "a")
    async with followed(tmp_path) as (directories, simulated):
        await until(simulated, lambda: "a" in directories.current)
        os.chown(path / "workload.toml", 12345, 12345)
        await until(simulated, lambda: bool(simulated.named("change-refused")))
        assert "owned by uid 12345" in str(simulated.named("change-refused")[0]["message"])
