"""The flat form of a limit, and how a list of them is carried out.

A write is five strings, so that it can sit in a JSON plan:
`[hierarchy, file, value, key, mode]`; key is the JSON path that asked for it. Modes:

* `""`          the file has to take the value
* `"optional"`  nothing is done where the file does not exist
* `"or-next"`   where the file does not exist the next write is done, otherwise that is skipped
* `"unused"`    refuse the value if more than that is in use already (memory.checkBeforeUpdate)

The value `keep N` of `cpu.max` keeps the present quota and sets the period.
"""

from __future__ import annotations

import errno
import os

from runtime.errors import KernelError
from runtime.linux.files import read_text, write_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import TypeAlias

    Write: TypeAlias = list[str]

REQUIRED = ""
OPTIONAL = "optional"
OR_NEXT = "or-next"
UNUSED = "unused"

# Which key of the configuration to look at when a file is missing altogether.
_HINTS = {
    "memory.memsw.limit_in_bytes": "this kernel does not account swap; boot with swapaccount=1",
    "memory.swap.max": "this kernel does not account swap; boot with swapaccount=1",
    "cpu.rt_runtime_us": "this kernel is built without CONFIG_RT_GROUP_SCHED",
    "cpu.rt_period_us": "this kernel is built without CONFIG_RT_GROUP_SCHED",
    "blkio.bfq.weight": "no block device uses the bfq scheduler, or it is not loaded",
    "blkio.bfq.weight_device": "no block device uses the bfq scheduler, or it is not loaded",
    "io.weight": "no block device uses the bfq scheduler or iocost, or they are not loaded",
}


def read_file(directory: str | int, name: str) -> str:
    """All of a cgroup file; directory is a path or a descriptor."""
    if isinstance(directory, int):
        return read_text(name, directory, nofollow=True)
    return read_text(directory + "/" + name, nofollow=True)


def write_file(directory: str | int, name: str, value: str) -> None:
    """One write(2): cgroup files take a value whole or not at all."""
    if isinstance(directory, int):
        write_text(name, value, directory, nofollow=True)
    else:
        write_text(directory + "/" + name, value, nofollow=True)


def apply_writes(paths: Mapping[str, str], writes: Iterable[Write]) -> None:
    """Carry out the writes, hierarchy by hierarchy. Raises KernelError with the key at fault.

    Values are validated by the kernel against each other: memory against memory+swap, quota
    against period and burst, whichever way round they change. So a rejected one is tried again
    after the others of its hierarchy, for as long as that gets any further.
    """
    grouped: dict[str, list[Write]] = {}
    for write in writes:
        grouped.setdefault(write[0], []).append(write)
    for hierarchy, group in grouped.items():
        directory = paths.get(hierarchy)
        if directory is None:
            raise KernelError(
                f"set {group[0][1]} in the {hierarchy} cgroup",
                "",
                errno.EACCES,
                group[0][3],
                "the container has no cgroup in this hierarchy, for lack of permission",
            )
        try:
            fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError as error:
            raise KernelError("open cgroup", directory, error.errno or 0) from None
        try:
            _apply_group(fd, directory, _present(fd, group))
        finally:
            os.close(fd)


def _present(fd: int, group: list[Write]) -> list[Write]:
    """Decide the modes that depend on which files this kernel has."""
    chosen = []
    skip = False
    for write in group:
        if skip:
            skip = False
            continue
        mode = write[4]
        exists = mode in (REQUIRED, UNUSED) or _exists(fd, write[1])
        if mode == OR_NEXT:
            skip = exists
        if exists:
            chosen.append(write)
    return chosen


def _exists(fd: int, name: str) -> bool:
    return os.access(name, os.F_OK, dir_fd=fd)


def _apply_group(fd: int, directory: str, todo: list[Write]) -> None:
    while todo:
        rejected: list[tuple[Write, OSError]] = []
        for write in todo:
            try:
                _apply_one(fd, write)
            except OSError as error:
                if error.errno not in (errno.EINVAL, errno.EBUSY):
                    raise _explain(fd, directory, write, error) from None
                rejected.append((write, error))
        if len(rejected) == len(todo):
            raise _explain(fd, directory, *rejected[0]) from None
        todo = [write for write, _error in rejected]


def _apply_one(fd: int, write: Write) -> None:
    _hierarchy, name, value, _key, mode = write
    if mode == UNUSED and value.isdigit():
        used = int(read_file(fd, "memory.current"))
        if used > int(value):
            raise OSError(errno.EBUSY, "in use")
    if name == "cpu.max" and value.startswith("keep "):
        value = read_file(fd, name).split()[0] + value[4:]
    write_file(fd, name, value)


def _explain(fd: int, directory: str, write: Write, error: OSError) -> KernelError:
    _hierarchy, name, value, key, mode = write
    hint = ""
    if error.errno == errno.ENOENT:
        hint = _HINTS.get(name, "this kernel has no such cgroup file")
    elif error.errno == errno.EBUSY and name in ("memory.limit_in_bytes", "memory.max"):
        usage = "memory.usage_in_bytes" if name == "memory.limit_in_bytes" else "memory.current"
        hint = f"more is in use: {usage} is {read_file(fd, usage).strip()}"
        if mode == UNUSED:  # runc's words for memory.checkBeforeUpdate
            hint = f"rejecting memory limit, {hint}"
    elif error.errno == errno.EINVAL and name.startswith("cpuset."):
        hint = "not all of them are online and allowed by the parent cgroup"
    shown = value if len(value) <= 64 else value[:61] + "..."
    return KernelError(f"write {shown!r} to", f"{directory}/{name}", error.errno or 0, key, hint)
