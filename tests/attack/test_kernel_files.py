"""Files of the kernel that a container could reach out with: control groups, devices.

CVE-2023-25809 (a writable /sys/fs/cgroup where sysfs is the host's), the kernel's CVE-2022-0492
(`release_agent` of a version 1 cgroup names a program that the host runs), device nodes that a
container makes itself.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from tests.attack.lab import Lab
from tests.support.bundle import Config
from tests.support.inside import namespace
from tests.support.runtimes import Runtime

pytestmark = pytest.mark.root

Peer = Callable[[Callable[[Runtime], str]], str]

PROC = {"destination": "/proc", "type": "proc", "source": "proc"}
SYS = {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["ro"]}
CGROUP = {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro"]}

# What these write does no harm where a mutant lets them: to make a group, at the top of each
# hierarchy; and, where that top is the container's own (there is no release_agent in it), a flag.
MAKE = """
cd /sys/fs/cgroup || exit 0
for directory in . */; do
    mkdir $directory/crt-attack-made && rmdir $directory/crt-attack-made && echo made $directory
    test -e $directory/release_agent || test ! -e $directory/notify_on_release ||
        ! echo 1 >$directory/notify_on_release || echo notify_on_release $directory
done 2>/dev/null
true
"""


def reach_cgroups(lab: Lab, runtime: Runtime, config: Config) -> str:
    made = lab.bundle(config, sh=MAKE)
    result = runtime.run(["run", "-b", made, lab.name()]).ok()
    return " ".join(result.stdout.split())


# All without CAP_SYS_ADMIN, with which a program would mount what it likes.
OWN: Config = {"mounts": [PROC, SYS, CGROUP]}
MAPPED: Config = {
    "mounts": [PROC, SYS, CGROUP],
    "linux": {
        # The host's network, so that the kernel refuses a sysfs of the container's own.
        "namespaces": [namespace(kind) for kind in ("user", "mount", "pid", "ipc", "uts")],
        "uidMappings": [{"containerID": 0, "hostID": 0, "size": 65536}],
        "gidMappings": [{"containerID": 0, "hostID": 0, "size": 65536}],
        "maskedPaths": [],
    },
}
BOUND: Config = {
    "mounts": [PROC, {**SYS, "type": "bind", "source": "/sys", "options": ["rbind", "rro"]}]
}
WAYS = {"own": OWN, "user namespace": MAPPED, "host's sysfs": BOUND}


@pytest.mark.parametrize("way", WAYS)
def test_read_only_cgroups_are(lab: Lab, creche: Runtime, way: str) -> None:
    assert reach_cgroups(lab, creche, WAYS[way]) == ""


def test_a_mutant_writes_to_cgroups(lab: Lab) -> None:
    assert "notify_on_release" in reach_cgroups(lab, lab.creche("writable-cgroups"), OWN)


def only_sys(config: Config) -> Config:
    return {**config, "mounts": [PROC, SYS]}


def test_the_hosts_sysfs_is_read_only_whole(lab: Lab, creche: Runtime) -> None:
    """Where sysfs cannot be mounted, the host's is bound, with all that is mounted in it."""
    assert reach_cgroups(lab, creche, only_sys(MAPPED)) == ""
    assert reach_cgroups(lab, lab.creche("writable-sys"), only_sys(MAPPED))


@pytest.mark.parametrize("way", ["own", "user namespace"])
def test_peers_cgroups(lab: Lab, peer: Peer, way: str) -> None:
    peer(lambda runtime: reach_cgroups(lab, runtime, WAYS[way]))


def test_peers_sysfs(lab: Lab, peer: Peer) -> None:
    peer(lambda runtime: reach_cgroups(lab, runtime, only_sys(MAPPED)))


# Devices ------------------------------------------------------------------------------------------

# kmsg, which nobody allows a container: reading the kernel's log does no harm here.
OPEN = (
    "/bin/busybox mknod /tmp/kmsg c 1 11; if (: </tmp/kmsg) 2>/dev/null; then echo opened; fi; true"
)


def reach_device(lab: Lab, runtime: Runtime, *, updated: bool = False) -> str:
    """A node that the container makes itself, with CAP_MKNOD, and opens."""
    able = ["CAP_MKNOD", "CAP_DAC_OVERRIDE", "CAP_SYSLOG"]
    sets = dict.fromkeys(("bounding", "effective", "permitted"), able)
    made = lab.bundle({"process": {"capabilities": sets}}, args=["/bin/sleep", "1000"])
    name = lab.name()
    runtime.run(["run", "-d", "-b", made, name]).ok()
    if updated:
        runtime.run(["update", "--pids-limit", "50", name]).ok()
    result = runtime.run(["exec", name, "/bin/sh", "-c", OPEN]).ok()
    return result.stdout.strip()


@pytest.mark.parametrize("updated", [False, True], ids=["", "updated"])
def test_a_device_made_inside_cannot_be_opened(lab: Lab, creche: Runtime, updated: bool) -> None:
    assert reach_device(lab, creche, updated=updated) == ""


def test_a_mutant_opens_it(lab: Lab) -> None:
    assert os.access("/dev/kmsg", os.R_OK)
    assert reach_device(lab, lab.creche("any-device")) == "opened"


def test_peers_devices(lab: Lab, peer: Peer) -> None:
    peer(lambda runtime: reach_device(lab, runtime))
