"""Wait for events, never for time to pass: every helper polls a descriptor.

``DEADLINE`` only turns a test that would hang into one that fails; nothing is measured with it.
"""

from __future__ import annotations

import ctypes
import os
import select
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.reaper import exits

# A machine that is emulated (tests/system) says by how much it is slower.
SLOWNESS = float(os.environ.get("CRECHE_TEST_SLOWNESS", "1"))
DEADLINE = 60.0 * SLOWNESS  # seconds

_libc = ctypes.CDLL(None, use_errno=True)
# inotify(7); everything that can make a directory entry or a file's content new.
_IN_CHANGES = 0x2 | 0x4 | 0x8 | 0x40 | 0x80 | 0x100 | 0x200


def wait_readable(fd: int, timeout: float = DEADLINE) -> bool:
    """Wait until a descriptor is readable or hung up; False when the deadline passes (seconds)."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(timeout * 1000))


def wait_pidfd(pidfd: int, timeout: float = DEADLINE) -> bool:
    """Wait until the process behind a pidfd has ended (it may be a zombie still)."""
    return wait_readable(pidfd, timeout)


def wait_exit(pid: int, timeout: float = DEADLINE) -> None:
    """Wait until a process has ended, whosever child it is."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if not wait_pidfd(pidfd, timeout):
            raise TimeoutError(f"process {pid} still runs after {timeout} s")
    finally:
        os.close(pidfd)


def reap(pid: int, timeout: float = DEADLINE) -> int:
    """Wait for a child, or for an orphan (a detached container's init), and say how it ended.

    The answer is the exit status, or minus the signal.
    """
    wait_exit(pid, timeout)
    try:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    except ChildProcessError:
        pass
    end = time.monotonic() + timeout
    while (code := exits.take(pid)) is None:
        if not wait_readable(exits.fd, max(0.0, end - time.monotonic())):
            raise TimeoutError(f"nobody has reaped process {pid} within {timeout} s")
    return code


def read_until(fd: int, marker: bytes, timeout: float = DEADLINE) -> bytes:
    """Read a pipe or socket up to the chunk that completes ``marker``; fail at its end."""
    data = b""
    end = time.monotonic() + timeout
    while marker not in data:
        if not wait_readable(fd, max(0.0, end - time.monotonic())):
            raise TimeoutError(f"no {marker!r} within {timeout} s, only {data!r}")
        chunk = os.read(fd, 65536)
        if not chunk:
            raise EOFError(f"no {marker!r} before the end, only {data!r}")
        data += chunk
    return data


def read_all(fd: int, timeout: float = DEADLINE) -> bytes:
    """Read a pipe or socket up to its end."""
    data = b""
    end = time.monotonic() + timeout
    while wait_readable(fd, max(0.0, end - time.monotonic())):
        chunk = os.read(fd, 65536)
        if not chunk:
            return data
        data += chunk
    raise TimeoutError(f"no end within {timeout} s, only {data!r}")


@contextmanager
def watch(*paths: Path | str) -> Iterator[int]:
    """Watch existing files and directories for changes; gives the inotify descriptor."""
    fd = int(_libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK))
    if fd < 0:
        raise OSError(ctypes.get_errno(), "inotify_init1")
    try:
        for path in paths:
            if _libc.inotify_add_watch(fd, os.fsencode(path), _IN_CHANGES) < 0:
                raise OSError(ctypes.get_errno(), "inotify_add_watch", str(path))
        yield fd
    finally:
        os.close(fd)


def wait_for(
    condition: Callable[[], bool], *watched: Path | str, timeout: float = DEADLINE
) -> None:
    """Wait until ``condition`` holds, looking again whenever one of the watched paths changes.

    The watch is there before the first look, so no change is missed. A file that does not exist yet
    is awaited by watching its directory.
    """
    end = time.monotonic() + timeout
    with watch(*watched) as fd:
        while not condition():
            if not wait_readable(fd, max(0.0, end - time.monotonic())):
                raise TimeoutError(f"{condition} does not hold after {timeout} s")
            os.read(fd, 65536)


def wait_path(path: Path, timeout: float = DEADLINE) -> None:
    """Wait until a file exists in an existing directory."""
    wait_for(path.exists, path.parent, timeout=timeout)


def wait_text(path: Path, text: str, timeout: float = DEADLINE) -> str:
    """Wait until a regular file contains ``text``, and return all of it."""
    wait_for(
        lambda: path.exists() and text in path.read_text(errors="replace"),
        path.parent,  # tells about its files' contents, too
        timeout=timeout,
    )
    return path.read_text(errors="replace")
