"""Waiting for the kernel: real processes and real files, no root needed."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import trio
import trio.testing

from supervisor.container import Exit
from supervisor.exits import close_pidfd, process_exit
from supervisor.watch import Watcher, read_counters


def spawn(script: str) -> int:
    """A pidfd of a shell that runs `script`."""
    pid = os.posix_spawn("/bin/sh", ["sh", "-c", script], dict(os.environ))
    return os.pidfd_open(pid)


@pytest.mark.parametrize(
    ("script", "end"),
    [
        ("exit 0", Exit(code=0)),
        ("exit 137", Exit(code=137)),
        ("kill -KILL $$", Exit(signal=signal.SIGKILL)),
        ("kill -TERM $$", Exit(signal=signal.SIGTERM)),
    ],
)
async def test_exit_status_or_signal(script: str, end: Exit) -> None:
    """137 is not SIGKILL."""
    pidfd = spawn(script)
    try:
        assert await process_exit(pidfd) == end
    finally:
        close_pidfd(pidfd)


async def test_waiting_can_be_cancelled_and_taken_up_again() -> None:
    """Nothing is lost by not waiting for a while."""
    reader, writer = os.pipe()
    onto = [(os.POSIX_SPAWN_DUP2, reader, 0)]
    pid = os.posix_spawn("/bin/cat", ["cat"], {}, file_actions=onto)  # noqa: ASYNC221
    os.close(reader)
    pidfd = os.pidfd_open(pid)
    try:
        with trio.CancelScope() as scope:
            scope.cancel()
            await process_exit(pidfd)
        assert scope.cancelled_caught
        os.close(writer)
        assert await process_exit(pidfd) == Exit(code=0)
    finally:
        close_pidfd(pidfd)


async def test_changes_are_noticed_and_none_is_lost(tmp_path: Path) -> None:
    """Also one that happened between two waits; a file's followers hear of that file only."""
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_text("")
    other.write_text("")
    async with Watcher() as watcher:
        with (
            watcher.following(str(one)) as changes,
            watcher.following(str(other), str(tmp_path / "none")) as others,
        ):
            one.write_text("x")
            await trio.testing.wait_all_tasks_blocked()
            with trio.fail_after(60):
                await changes.wait()
            one.write_text("y")
            with trio.fail_after(60):
                await changes.wait()
            other.write_text("z")
            with trio.fail_after(60):
                await others.wait()


async def test_a_file_that_goes_away(tmp_path: Path) -> None:
    """As those of a cgroup do: its watch goes with it, and the number may be used again."""
    path = tmp_path / "file"
    async with Watcher() as watcher:
        for _ in range(3):
            path.write_text("")
            with watcher.following(str(path)) as changes:
                path.unlink()
                # The kernel says that the watch is gone (IN_IGNORED), which counts as a change.
                with trio.fail_after(60):
                    await changes.wait()


async def test_no_descriptor_is_left(tmp_path: Path) -> None:
    """The watcher closes what it has opened."""
    before = len(os.listdir("/proc/self/fd"))
    async with Watcher() as watcher:
        with watcher.following(str(tmp_path)):
            pass

    assert len(os.listdir("/proc/self/fd")) == before


def test_counters(tmp_path: Path) -> None:
    """Files that are gone count nothing."""
    (tmp_path / "events").write_text("low 0\noom 2\noom_kill 1\n")

    assert read_counters(str(tmp_path / "events")) == {"low": 0, "oom": 2, "oom_kill": 1}
    assert read_counters(str(tmp_path / "none")) == {}
