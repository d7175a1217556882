"""Directories of cgroups: making them, listing who is inside, removing them."""

from __future__ import annotations

import errno
import os
import time

from runtime.errors import KernelError

from .writes import read_file, write_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

# The errno of a write or mkdir by someone who may not; EROFS is a cgroup mount inside a container.
NO_PERMISSION = (errno.EACCES, errno.EPERM, errno.EROFS)

# Descriptors held while removing; a container may have nested its cgroups as deep as it liked.
_WINDOW = 128


def ancestors(directory: str) -> list[str]:
    """The cgroups above this one, the top of the hierarchy first.

    The top is where the parent is no cgroup any more, or not mounted.
    """
    above: list[str] = []
    step = directory.rpartition("/")[0]
    while step and not os.path.exists(step):
        above.append(step)
        step = step.rpartition("/")[0]
    while step and os.path.exists(step + "/cgroup.procs"):
        above.append(step)
        step = step.rpartition("/")[0]
    above.reverse()
    return above


def make(directory: str, made: list[str]) -> None:
    """mkdir -p; appends what it made, in order. OSError."""
    missing = []
    step = directory
    while True:
        try:
            os.mkdir(step, 0o755)
            made.append(step)
            break
        except FileExistsError:
            break
        except FileNotFoundError:
            missing.append(step)
            step = step.rpartition("/")[0]
            if not step:
                raise
    for step in reversed(missing):
        try:
            os.mkdir(step, 0o755)
        except FileExistsError:
            continue
        made.append(step)


def fill_cpuset(directory: str) -> None:
    """Version 1: a new cpuset has no CPUs and no memory, and nobody can join it like that.

    Copies what the nearest ancestor has, from the top down.
    """
    chain = [*ancestors(directory), directory]
    for name in ("cpuset.cpus", "cpuset.mems"):
        value = ""
        for step in chain:
            own = read_file(step, name).strip()
            if own:
                value = own
            else:
                write_file(step, name, value)


def enable(directory: str, needed: set[str], wanted: set[str]) -> None:
    """Version 2: have these controllers in the cgroup, by way of each ancestor's subtree_control.

    needed: must succeed, KernelError if not; wanted: for statistics and OOM events, may fail.
    Nothing is enabled where processes are in the cgroup above: the kernel would refuse memory and
    io, but not the threaded controllers (cpu, cpuset, pids), and these make that cgroup the root of
    a threaded subtree and its children places that no process can join (EOPNOTSUPP).
    """
    above = ancestors(directory)
    below = [*above[1:], directory] if above else []
    for parent, child in zip(above, below, strict=True):
        have = set(read_file(child, "cgroup.controllers").split())
        offered = set(read_file(parent, "cgroup.controllers").split())
        missing = sorted(((needed | wanted) - have) & (offered | needed))
        inhabited = bool(missing) and _inhabited(parent)
        for controller in missing:
            try:
                if inhabited:
                    raise OSError(errno.EBUSY, "processes")
                write_file(parent, "cgroup.subtree_control", "+" + controller)
            except OSError as error:
                if controller not in needed:
                    continue
                hint = ""
                if error.errno in (errno.EBUSY, errno.EOPNOTSUPP):
                    hint = (
                        "processes are in this cgroup itself: move them to a sub-cgroup, or set "
                        "linux.cgroupsPath to a place below a cgroup without processes"
                    )
                elif error.errno == errno.ENOENT:
                    hint = "the cgroup above does not offer this controller"
                raise KernelError(
                    f"enable the {controller} controller for the children of",
                    parent,
                    error.errno or 0,
                    "linux.resources",
                    hint,
                ) from None


def _inhabited(directory: str) -> bool:
    """Whether a cgroup of version 2 has processes itself. The root may, and has no cgroup.type."""
    try:
        return os.path.exists(directory + "/cgroup.type") and bool(
            read_file(directory, "cgroup.procs")
        )
    except OSError:
        return False  # threaded: the kernel has an answer of its own


def procs(directory: str, recursive: bool = True) -> Iterator[int]:
    """The processes in a cgroup and below; 0 stands for one outside of our pid namespace."""
    todo = [directory]
    while todo:
        step = todo.pop()
        try:
            text = read_file(step, "cgroup.procs")
            entries = list(os.scandir(step)) if recursive else []
        except OSError as error:
            # Gone, or threaded: then its processes are listed in the cgroup above. Or nested
            # deeper than a path can say.
            gone = (errno.ENOENT, errno.ENODEV, errno.EOPNOTSUPP, errno.ENAMETOOLONG)
            if error.errno in gone:
                continue
            raise
        yield from (int(word) for word in text.split())
        todo += [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]


def remove(directory: str, deadline: float) -> None:
    """Remove a cgroup and all below it; nothing to do if it is gone already.

    deadline: by time.monotonic(), how long to wait while the kernel says EBUSY, which version 1
    does for a moment after the last process has left, without an event to wait for.
    Raises KernelError.
    """
    delay = 0.001
    while True:
        try:
            if _remove_pass(directory):
                return
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() >= deadline:
                left = "" if error.errno != errno.EBUSY else _occupants(directory)
                raise KernelError("remove cgroup", directory, error.errno or 0, hint=left) from None
            time.sleep(delay)
            delay = min(delay * 2, 0.1)


def _occupants(directory: str) -> str:
    pids = sorted(procs(directory))
    return f"processes in it: {' '.join(map(str, pids[:16]))}" if pids else ""


def _remove_pass(directory: str) -> bool:
    """One attempt, children first. False: it was too deep to reach all; there is less now.

    Goes down by descriptors, so that neither the length of a path nor a directory moved meanwhile
    matters; no `..` is followed.
    """
    try:
        os.rmdir(directory)
        return True
    except OSError as error:
        if error.errno not in (errno.EBUSY, errno.ENOTEMPTY):
            raise
        busy = error
    # (descriptor, names of children still to remove, own name)
    stack = [_enter(directory, None)]
    cut = False
    try:
        while stack:
            fd, names = stack[-1]
            if names:
                name = names[-1]
                try:
                    os.rmdir(name, dir_fd=fd)
                    names.pop()
                except FileNotFoundError:
                    names.pop()
                except OSError as error:
                    if error.errno not in (errno.EBUSY, errno.ENOTEMPTY):
                        raise
                    child = _enter(name, fd)
                    stack.append(child)
                    if not child[1]:
                        raise
                    if len(stack) > _WINDOW:
                        os.close(stack.pop(0)[0])
                        cut = True
            else:
                os.close(stack.pop()[0])
    finally:
        for fd, _names in stack:
            os.close(fd)
    if cut:
        return False
    try:
        os.rmdir(directory)
    except FileNotFoundError:
        pass
    except OSError:
        raise busy from None
    return True


def _enter(name: str, parent: int | None) -> tuple[int, list[str]]:
    fd = os.open(name, _OPEN, dir_fd=parent)
    try:
        with os.scandir(fd) as entries:
            names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        os.close(fd)
        raise
    return fd, names
