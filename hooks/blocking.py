"""Runs hooks, blocking. For processes with one thread: `creche`, and a container's init.

In the init it works before and after the root changes and without /proc or cgroups (pass
isolate=False), and imports nothing when called. The trio runner is hooks.concurrent; what both
do with a hook is hooks.run.
"""

from __future__ import annotations

import ctypes
import os
import time

from hooks.command import Command, prepare
from hooks.errors import HookError, shown_path, strerror
from hooks.run import SETTLE, Run
from hooks.shim import become

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Callable, Sequence

    from hooks.result import HookResult
    from hooks.types import Hook
else:
    import _signal

_EVERY_SIGNAL = _signal.valid_signals()
_SIGPIPE = 13

_NR_CLOSE_RANGE = 436  # the same number on every architecture but alpha
_CLOSE_RANGE_CLOEXEC = 4  # Linux 5.11
_LAST_FD = 0xFFFFFFFF

_libc = ctypes.CDLL(None)
_syscall = _libc.syscall
_syscall.argtypes = [ctypes.c_long, ctypes.c_uint, ctypes.c_uint, ctypes.c_uint]
_syscall.restype = ctypes.c_long


def run_hooks(
    stage: str,
    hooks: Sequence[Hook],
    state: bytes,
    cwd: str | None = None,
    default_timeout: float | None = None,
    keep_going: bool = False,
    isolate: bool = True,
    before_exec: Callable[[], None] | None = None,
    first: int = 0,
    ended: Callable[[int], None] | None = None,
) -> list[HookError]:
    """Run one stage's hooks, one after the other; see `run_hook` for the arguments.

    Raises the first HookError, and runs no hook after it. With keep_going all run, and the
    errors are returned in order. first: how many to leave out, which have run already. ended: is
    told after each how many of the stage have run by then.
    """
    errors: list[HookError] = []
    for index, hook in list(enumerate(hooks))[first:]:
        try:
            run_hook(stage, index, hook, state, cwd, default_timeout, isolate, before_exec)
        except HookError as error:
            if not keep_going:
                raise
            errors.append(error)
        if ended is not None:
            ended(index + 1)
    return errors


def run_hook(
    stage: str,
    index: int,
    hook: Hook,
    state: bytes,
    cwd: str | None = None,
    default_timeout: float | None = None,
    isolate: bool = True,
    before_exec: Callable[[], None] | None = None,
) -> HookResult:
    """Run one hook to its end. Raises HookError unless it exits with status 0.

    stage, index: where it stands in the configuration, for messages. state: what it reads on its
    standard input. cwd: its working directory, None for the caller's. default_timeout: seconds
    for a hook that sets none; None: no limit. isolate: give it a cgroup of its own where
    possible, and look at /proc where not; False inside a container's init. before_exec: called
    in the hook's process last before execve, for what has to hold for the program but not for
    us, such as a seccomp filter; an exception from it is the hook's failure.

    At the deadline everything the hook has started is killed, as when it fails. What a successful
    hook leaves running lives on, without its standard output.
    """
    command = prepare(stage, index, hook, cwd, default_timeout)
    ignored = _ignore_sigpipe()
    try:
        return _run(command, state, isolate, before_exec)
    except OSError as error:
        reason = f"cannot run {shown_path(command.path)}: {strerror(error.errno or 0)}"
        raise HookError(stage, index, command.path, reason) from error
    finally:
        if ignored:
            _signal.signal(_SIGPIPE, _signal.SIG_DFL)


def _run(
    command: Command, state: bytes, isolate: bool, before_exec: Callable[[], None] | None
) -> HookResult:
    run = Run(command, isolate)
    try:
        limit = None if command.timeout is None else time.monotonic() + command.timeout
        run.started(_fork(run, before_exec), state)
        while not run.exited:
            left = None if limit is None else limit - time.monotonic()
            if left is not None and left <= 0:
                run.expire()
                break
            run.turn(left)
    except BaseException:
        run.kill()
        raise
    finally:
        try:
            _settle(run)
        finally:
            run.close()
    return run.result()


def _settle(run: Run) -> None:
    limit = time.monotonic() + SETTLE
    while not run.settled():
        left = limit - time.monotonic()
        if left <= 0:
            break
        run.turn(left)


def _fork(run: Run, before_exec: Callable[[], None] | None) -> int:
    """Fork the hook's process. Signals are held back meanwhile: the caller's handlers must not
    run in the child."""
    mask = _signal.pthread_sigmask(_signal.SIG_BLOCK, _EVERY_SIGNAL)
    try:
        pid = os.fork()
        if pid == 0:
            _child(run, before_exec)
        return pid
    finally:
        _signal.pthread_sigmask(_signal.SIG_SETMASK, mask)


def _child(run: Run, before_exec: Callable[[], None] | None) -> None:
    """Never returns."""
    try:
        command = run.command
        for number, fd in enumerate(run.child[:3]):
            os.dup2(fd, number)
        _close_on_exec()
        become(
            command.file,
            command.argv,
            command.env,
            command.directory,
            run.tree.procs_fd(),
            run.child[3],
            before_exec,
        )
    finally:
        os._exit(127)


def _close_on_exec() -> None:
    """Mark every descriptor from 3 up close-on-exec."""
    if _syscall(_NR_CLOSE_RANGE, 3, _LAST_FD, _CLOSE_RANGE_CLOEXEC) == 0:
        return
    # An older kernel, or the container's seccomp filter, which already holds for its init.
    # Python's own descriptors are close-on-exec anyhow; these are inherited ones.
    for fd in range(3, max(256, min(os.sysconf("SC_OPEN_MAX"), 4096))):
        try:
            os.set_inheritable(fd, False)
        except OSError:
            pass


def _ignore_sigpipe() -> bool:
    """A container's init may have given SIGPIPE its default meaning back; a hook that does not
    read its input must not kill it. Whether this changed anything."""
    try:
        if _signal.getsignal(_SIGPIPE) != _signal.SIG_DFL:
            return False
        _signal.signal(_SIGPIPE, _signal.SIG_IGN)
    except ValueError:
        return False  # not the main thread, hence not an init
    return True
