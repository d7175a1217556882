"""Making a container's cgroups and setting what holds in them.

Functions over the paths of class Cgroup: hierarchy name -> directory.
"""

from __future__ import annotations

import errno
import os

from runtime.errors import KernelError

from . import tree
from .layout import UNIFIED
from .writes import read_file, write_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .devices import Rule
    from .writes import Write

# Enabled on version 2 where that is possible even if nothing is limited: they count what is used,
# and memory.events tells of an OOM kill.
_ACCOUNTING = frozenset(("cpu", "io", "memory", "pids"))

_DEVICES_KEY = "linux.resources.devices"


def holder(paths: dict[str, str], controller: str) -> str | None:
    """The version 1 directory of a controller."""
    for name, directory in paths.items():
        if controller in name.split(","):
            return directory
    return None


def make_all(
    paths: dict[str, str], made: list[str], warnings: list[str], tolerant: bool = True
) -> None:
    """Make the directories; takes those out of paths that may not be made.

    made: gets what was made, in order, also when it fails. tolerant: a missing permission is a
    warning. Raises KernelError.
    """
    refused = []
    for name, directory in list(paths.items()):
        try:
            tree.make(directory, made)
            if "cpuset" in name.split(","):
                tree.fill_cpuset(directory)
        except OSError as error:
            if error.errno not in tree.NO_PERMISSION or not tolerant:
                hint = ""
                if error.errno in tree.NO_PERMISSION:
                    hint = "--rootless true goes without the cgroups that cannot be made"
                raise KernelError("make cgroup", directory, error.errno or 0, hint=hint) from None
            del paths[name]
            reason = os.strerror(error.errno).lower()
            refused.append(f"{name} ({directory}: {reason})")
    if refused and not paths:
        warnings.append("no cgroups for the container (permission denied): it cannot be paused")
    elif refused:
        warnings.append("no cgroup for the container in: " + ", ".join(refused))


def enable_controllers(paths: dict[str, str], writes: Sequence[Write]) -> None:
    """Version 2: those that the writes need, and for accounting those that can be had."""
    directory = paths.get(UNIFIED)
    if directory is None:
        return
    files = {write[1] for write in writes if write[0] == UNIFIED}
    needed = {name.partition(".")[0] for name in files} - {"cgroup"}
    wanted = set(_ACCOUNTING) if len(paths) == 1 else set()
    if needed or wanted:
        tree.enable(directory, needed, wanted)


def limit_devices(
    paths: dict[str, str], rules: Sequence[Rule], writes: Sequence[tuple[str, str]]
) -> None:
    """By the version 1 controller with these writes, else by a program of the rules.

    On a hybrid host without the version 1 controller's hierarchy it is the program, too.
    """
    directory = holder(paths, "devices")
    if directory:
        for name, value in writes:
            try:
                write_file(directory, name, value)
            except OSError as error:
                raise KernelError(
                    f"write {value!r} to", f"{directory}/{name}", error.errno or 0, _DEVICES_KEY
                ) from None
    elif UNIFIED in paths:
        from . import bpf
        from .device_bpf import device_program

        try:
            bpf.set_program(paths[UNIFIED], device_program(rules))
        except KernelError as error:
            # Not for a user, nor root of a user namespace: neither can make device nodes either.
            if error.number != errno.EPERM or real_root():
                raise


def real_root() -> bool:
    """Root, and of the first user namespace: the one that maps every id to itself."""
    whole = ["0", "0", "4294967295"]
    return os.geteuid() == 0 and read_file("/proc/self", "uid_map").split() == whole
