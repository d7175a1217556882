"""Runs hooks under trio: a hook's deadline is a cancel scope.

The process is not forked from this one but started as a shim (hooks/shim.py) that becomes the
hook: Python code between fork and execve, which joining a cgroup needs, is unsound in a process
that may have threads. What both runners do with a hook is hooks.run.

Nobody else in this process may reap children by waitpid(-1). If the process is a subreaper,
what hooks leave running becomes its child, and reaping that is its own duty. Each running hook
takes six descriptors.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import trio

from hooks import shim
from hooks.command import prepare
from hooks.errors import HookError, shown_path, strerror
from hooks.run import SETTLE, Run

if TYPE_CHECKING:
    from hooks.result import HookResult
    from hooks.types import Hook


async def run_hooks(
    stage: str,
    hooks: Sequence[Hook],
    state: bytes,
    cwd: str | None = None,
    default_timeout: float | None = None,
    keep_going: bool = False,
    isolate: bool = True,
    first: int = 0,
    ended: Callable[[int], None] | None = None,
) -> list[HookError]:
    """hooks.blocking.run_hooks for trio."""
    errors: list[HookError] = []
    for index, hook in list(enumerate(hooks))[first:]:
        try:
            await run_hook(stage, index, hook, state, cwd, default_timeout, isolate)
        except HookError as error:
            if not keep_going:
                raise
            errors.append(error)
        if ended is not None:
            ended(index + 1)
    return errors


async def run_hook(
    stage: str,
    index: int,
    hook: Hook,
    state: bytes,
    cwd: str | None = None,
    default_timeout: float | None = None,
    isolate: bool = True,
) -> HookResult:
    """hooks.blocking.run_hook for trio; there is no before_exec.

    If the surrounding scope is cancelled, everything that the hook has started is killed and
    reaped before Cancelled goes on its way.
    """
    command = prepare(stage, index, hook, cwd, default_timeout)
    await trio.lowlevel.checkpoint_if_cancelled()
    try:
        return await _run(Run(command, isolate), state)
    except OSError as error:
        reason = f"cannot run {shown_path(command.path)}: {strerror(error.errno or 0)}"
        raise HookError(stage, index, command.path, reason) from error


async def _run(run: Run, state: bytes) -> HookResult:
    process: subprocess.Popen[bytes] | None = None
    timeout = run.command.timeout
    try:
        process = _start(run)
        run.started(process.pid, _request(run) + state)
        with trio.move_on_after(float("inf") if timeout is None else timeout):
            while not run.exited:
                await _turn(run)
        run.turn(0)
        if not run.exited:
            run.expire()
    except BaseException:
        run.kill()
        raise
    finally:
        try:
            with trio.CancelScope(shield=True):
                await _settle(run)
        finally:
            trio.lowlevel.notify_closing(run.epoll)
            run.close()
            if process is not None:
                process.returncode = 0  # it was reaped by its pidfd; nobody shall try again
    return run.result()


async def _turn(run: Run) -> None:
    # One epoll inside trio's: no task and no nursery for the five descriptors of a hook.
    await trio.lowlevel.wait_readable(run.epoll)
    run.turn(0)


async def _settle(run: Run) -> None:
    # In real seconds, whatever trio's clock: under a MockClock that jumps, its own would be over
    # before the kernel has killed anything.
    limit = time.monotonic() + SETTLE
    while not run.settled() and time.monotonic() < limit:
        with trio.move_on_after(limit - time.monotonic()):
            await _turn(run)


def _start(run: Run) -> subprocess.Popen[bytes]:
    """Start the shim. Blocks for about a millisecond (vfork), which a thread would cost too."""
    stdin, stdout, stderr, report = run.child
    pass_fds = [fd for fd in (run.tree.procs_fd(), report) if fd >= 0]
    return subprocess.Popen(
        [sys.executable, "-I", "-S", "-B", os.path.abspath(shim.__file__)],
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        pass_fds=pass_fds,
        env={},
        start_new_session=True,
    )


def _request(run: Run) -> bytes:
    command = run.command
    cgroup, report = run.tree.procs_fd(), run.child[3]
    return shim.request(command.file, command.argv, command.env, command.directory, cgroup, report)
