"""The cgroup that systemd has handed over to creched, if it has, and who lives where in it.

systemd owns the tree of cgroups. Only what it delegates is somebody else's to change, and only
there does it leave things alone (systemd, docs/CGROUP_DELEGATION.md): a service with `Delegate=yes`
may make cgroups below its own. A cgroup that has processes in it cannot hand controllers on,
however (cgroups(7), "no internal processes"), so the service's own cgroup gets two children:

    creched.service/supervisor        creched and its launcher
    creched.service/containers/NAME   one workload

`DelegateSubgroup=` would do half of it, but is younger (systemd 254) than Debian 12.
"""

from __future__ import annotations

import os

from runtime.cgroups import Layout
from runtime.cgroups.layout import UNIFIED
from runtime.errors import KernelError

SUPERVISOR = "supervisor"
CONTAINERS = "containers"

# systemd marks what it delegates: the first for root to read, the second, of late, for anybody.
_MARKS = ("trusted.delegate", "user.delegate")


def settle(layout: Layout) -> str | None:
    """Move this process into its leaf and return where containers go, as a `cgroupsPath`.

    None where there is nothing delegated: started by hand, or on a host with version 1. Has to come
    before any child process is started. Raises KernelError.
    """
    if layout.mode != "v2":
        return None
    hierarchy = layout.hierarchies[UNIFIED]
    own = hierarchy.own_directory()
    above, _, name = own.rpartition("/")
    if name == SUPERVISOR and _delegated(above):  # there already: creched has executed itself anew
        return f"{above.removeprefix(hierarchy.mountpoint)}/{CONTAINERS}"
    if own == hierarchy.mountpoint or not _delegated(own) or _others(own):
        return None
    leaf = f"{own}/{SUPERVISOR}"
    try:
        os.makedirs(leaf, exist_ok=True)
        with open(f"{leaf}/cgroup.procs", "wb", buffering=0) as file:
            file.write(b"0")
    except OSError as error:
        raise KernelError("move creched into cgroup", leaf, error.errno or 0) from None
    return f"{own.removeprefix(hierarchy.mountpoint)}/{CONTAINERS}"


def _delegated(directory: str) -> bool:
    for mark in _MARKS:
        try:
            if os.getxattr(directory, mark) == b"1":
                return True
        except OSError:
            continue
    return False


def _others(directory: str) -> bool:
    """Whether processes besides this one are in the cgroup: then it is not creched's alone."""
    with open(f"{directory}/cgroup.procs", "rb") as file:
        return set(file.read().split()) != {b"%d" % os.getpid()}
