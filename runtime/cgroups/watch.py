"""What the kernel tells about a container: OOM kills, and files that announce a change."""

from __future__ import annotations

import errno
import os

from .layout import UNIFIED
from .setup import holder
from .writes import read_file


def oom_kills(paths: dict[str, str]) -> int | None:
    """How many processes the OOM killer took here and below; None if nobody counts."""
    directory = holder(paths, "memory")
    try:
        if directory:
            return _count_v1(directory)
        if UNIFIED in paths:
            return _counter(read_file(paths[UNIFIED], "memory.events"))
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENODEV):
            raise
    return None


def _counter(text: str) -> int | None:
    for line in text.splitlines():
        name, _blank, value = line.partition(" ")
        if name == "oom_kill":
            return int(value)
    return None


def _count_v1(directory: str) -> int | None:
    """Each cgroup counts only its own (oom_kill in memory.oom_control: Linux 4.13)."""
    total = _counter(read_file(directory, "memory.oom_control"))
    if total is None:
        return None
    with os.scandir(directory) as entries:
        children = [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    for child in children:
        try:
            total += _count_v1(child) or 0
        except FileNotFoundError:
            continue
    return total


def events_files(paths: dict[str, str]) -> dict[str, str]:
    """Files that wake an inotify watch (version 2) or an eventfd (version 1)."""
    files = {}
    directory = paths.get(UNIFIED)
    memory = holder(paths, "memory")
    if directory:
        files["cgroup.events"] = directory + "/cgroup.events"
        if memory is None:
            files["memory.events"] = directory + "/memory.events"
            files["pids.events"] = directory + "/pids.events"
    if memory:
        files["memory.oom_control"] = memory + "/memory.oom_control"
    return {name: path for name, path in files.items() if os.path.exists(path)}
