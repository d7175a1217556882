"""Cgroups below a container's own: where `exec --cgroup` leads, and where init has gone."""

from __future__ import annotations

import errno
import os

from runtime.errors import CrecheError, KernelError

from .layout import UNIFIED, Hierarchy, discover, parse_own
from .writes import read_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .layout import Layout


def sub_cgroups(paths: Mapping[str, str], wanted: Sequence[str]) -> dict[str, str]:
    """Hierarchy -> directory for each `PATH` or `CONTROLLER[,CONTROLLER]:PATH` of `exec --cgroup`.

    A path is below the container's cgroup, also with a leading slash; `/` is the container's own.
    Without a controller it holds for all hierarchies. Raises CrecheError in runc's words.
    """
    chosen = dict(paths)
    for name, path in _pairs(wanted).items():
        names = list(paths) if not name else _hierarchies(paths, name)
        parts = [part for part in path.split("/") if part not in ("", ".")]
        if ".." in parts or "\0" in path:
            raise CrecheError(f"bad sub cgroup path: {path}")
        for hierarchy in names:
            chosen[hierarchy] = "/".join([paths[hierarchy], *parts])
    for hierarchy, directory in chosen.items():
        if directory != paths[hierarchy] and not os.path.isdir(directory):
            # runc's words; no process has been made yet, so that there is none to be undone.
            raise KernelError("adding pid of the new process to cgroup", directory, errno.ENOENT)
    return chosen


def _pairs(wanted: Sequence[str]) -> dict[str, str]:
    """Controller -> path; "" for all."""
    pairs: dict[str, str] = {}
    for argument in wanted:
        controllers, colon, path = argument.partition(":")
        if not colon:
            if len(wanted) > 1:
                raise CrecheError(
                    f"invalid --cgroup argument: {argument} (missing <controller>: prefix)"
                )
            return {"": argument}
        for name in controllers.split(","):
            if not name:
                raise CrecheError(
                    f"invalid --cgroup argument: {argument} (empty <controller> prefix)"
                )
            if name in pairs:
                raise CrecheError(
                    f"invalid --cgroup argument(s): controller {name} specified multiple times"
                )
            pairs[name] = path
    return pairs


def _hierarchies(paths: Mapping[str, str], controller: str) -> list[str]:
    names = [name for name in paths if name == controller or controller in name.split(",")]
    if not names:
        raise CrecheError(f"unknown controller {controller} in --cgroup")
    return names


def is_member(pid: int, paths: Mapping[str, str], layout: Layout) -> bool:
    """Whether a process is in the cgroup of these paths, or below; also one that is a zombie.

    cgroup.procs does not list those that are about to end, but /proc/PID/cgroup tells of them, on
    version 2 alone (proc_cgroup_show in kernel/cgroup/cgroup.c). On version 1 such a process counts
    as none that can be told.
    """
    try:
        own = parse_own(read_file(f"/proc/{pid}", "cgroup"))
    except OSError:
        return False
    for name in [UNIFIED] if UNIFIED in paths else list(paths):
        known = layout.hierarchies[name]
        found = Hierarchy(name, known.mountpoint, known.root, own.get(name, "/"))
        if f"{found.own_directory()}/".startswith(f"{paths[name]}/"):
            return True
    return False


def open_cgroup_of_init(paths: Mapping[str, str], pid: int) -> int | None:
    """The version 2 cgroup that init has moved to, below the container's own; the caller closes it.

    A container that gives controllers to its sub-cgroups may hold no process in its own cgroup
    (cgroups(7), "no internal processes"): whoever enters it has to go where its init is. None if
    init is where it was put. A cgroup outside of the container's is not followed.
    """
    own = paths.get(UNIFIED)
    if own is None:
        return None
    try:
        moved = parse_own(read_file(f"/proc/{pid}", "cgroup")).get(UNIFIED)
    except OSError:
        return None
    if moved is None or own.endswith(moved):
        return None
    hierarchy = discover().hierarchies[UNIFIED]
    hierarchy.own = moved
    directory = hierarchy.own_directory()
    if not directory.startswith(own + "/"):
        return None
    try:
        return os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
