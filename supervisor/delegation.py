"""The cgroup that systemd has handed over for containers, if it has, and creched's own place.

systemd owns the tree of cgroups. Only what it delegates is somebody else's to change, and only
there does it leave things alone (systemd, docs/CGROUP_DELEGATION.md): a service with `Delegate=yes`
may make cgroups below its own. A cgroup that hands controllers on cannot have processes in it,
however (cgroups(7), "no internal processes"), so containers need a unit besides creched's own:

    creched.service/supervisor             creched and its launcher
    creched-containers.service/NAME        one workload

Were they below creched.service, systemd could not start creched again while they run: it puts
the new main process into the unit's own cgroup, and that fails with EBUSY (seen with systemd 252;
`DelegateSubgroup=` avoids it, but is younger, 254). The second unit has one process, which sleeps
in a leaf of its own. Where it is not there, containers do go below creched's cgroup, and creched
cannot be started again before they have ended.
"""

from __future__ import annotations

import os

from runtime.cgroups import Layout
from runtime.cgroups.layout import UNIFIED
from runtime.errors import KernelError

SUPERVISOR = "supervisor"
CONTAINERS = "containers"
HOLDER = "-containers.service"
"""What the name of the containers' unit has in place of `.service`."""

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
        return _place(above, hierarchy.mountpoint)
    if own == hierarchy.mountpoint or not _delegated(own) or _others(own):
        return None
    leaf = f"{own}/{SUPERVISOR}"
    try:
        os.makedirs(leaf, exist_ok=True)
        with open(f"{leaf}/cgroup.procs", "wb", buffering=0) as file:
            file.write(b"0")
    except OSError as error:
        raise KernelError("move creched into cgroup", leaf, error.errno or 0) from None
    return _place(own, hierarchy.mountpoint)


def _place(unit: str, mountpoint: str) -> str:
    """Where containers go, for the cgroup of creched's unit."""
    holder = unit.removesuffix(".service") + HOLDER
    place = holder if _delegated(holder) else f"{unit}/{CONTAINERS}"
    return place.removeprefix(mountpoint)


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
