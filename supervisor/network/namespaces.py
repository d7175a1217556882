"""Network namespaces that outlive their processes: files that they are mounted on, as ip-netns(8).

What enters a namespace runs in a thread of its own that ends afterwards: the namespace is that of
the thread (setns(2)), and a thread that were used again would be in the wrong one.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from typing import TypeVar

import trio

import runtime.linux.foreign as ctypes
from runtime.linux import mounts
from runtime.linux import namespaces as ns
from runtime.linux.libc import call, libc
from supervisor.network.errors import NetworkError

T = TypeVar("T")
_MS_BIND = 0x1000


async def in_a_thread(work: Callable[[], T]) -> T:
    """What `work` gives or raises, from a thread that does nothing else."""

    def wait() -> T:
        given: list[T] = []
        raised: list[BaseException] = []

        def run() -> None:
            try:
                given.append(work())
            except BaseException as error:  # noqa: BLE001  raised again where it is waited for
                raised.append(error)

        thread = threading.Thread(target=run, name="network")
        thread.start()
        thread.join()
        if raised:
            raise raised[0]
        return given[0]

    return await trio.to_thread.run_sync(wait)


def is_there(path: str) -> bool:
    """Whether a network namespace is mounted there. Raises OSError."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return False
    try:
        return ns.namespace_type(fd) == ns.CLONE_NEWNET
    except OSError as error:
        if error.errno == errno.ENOTTY:
            return False
        raise
    finally:
        os.close(fd)


def make(path: str) -> None:
    """Make one, keep it at `path`, and be in it. Raises NetworkError; then there is none."""
    os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
    remove(path)
    try:
        ns.unshare(ns.CLONE_NEWNET)
        os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        _mount("/proc/thread-self/ns/net", path)
    except OSError as error:
        remove(path)
        raise NetworkError(
            f"make network namespace {path}: {os.strerror(error.errno or 0)}"
        ) from None


def keep(path: str, source: str) -> None:
    """Have the namespace that `source` stands for at `path`, too. Raises NetworkError, OSError."""
    os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
    remove(path)
    os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    try:
        _mount(source, path)
    except OSError as error:
        remove(path)
        raise NetworkError(
            f"keep network namespace {source}: {os.strerror(error.errno or 0)}"
        ) from None


def enter(path: str) -> None:
    """Be in one, for as long as this thread lives. Raises NetworkError."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            ns.setns(fd, ns.CLONE_NEWNET)
        finally:
            os.close(fd)
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise NetworkError(f"enter network namespace {path}: {reason}") from None


def remove(path: str) -> None:
    """Forget one; what still runs in it keeps it. Fine if there is none. Raises OSError."""
    while True:
        try:
            mounts.umount(path)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOENT):
                raise
            break
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def _mount(source: str, path: str) -> None:
    given = os.fsencode(source), os.fsencode(path)
    call("mount", libc.mount(*given, None, ctypes.c_ulong(_MS_BIND), None))


def names(directory: str) -> list[str]:
    """Of all that are kept in a directory."""
    try:
        return sorted(os.listdir(directory))
    except FileNotFoundError:
        return []
