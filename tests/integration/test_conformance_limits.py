"""Limits of the less usual kinds: on the real kernel where it has the controller.

What this kernel has no controller for is written to a directory laid out as the kernel lays it out.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runtime.cgroups import Hierarchy, Layout, compile_resources
from runtime.cgroups.writes import apply_writes
from tests.support.bundle import Bundle
from tests.support.inside import IDLE, launched, message
from tests.support.mountinfo import cgroup_mounts, cgroup_of
from tests.support.runtimes import Runtime

pytestmark = pytest.mark.root

Bundles = Callable[..., Bundle]


def files(pid: int) -> Callable[[str], str]:
    """A reader of the cgroup files of a process, whatever hierarchy has them."""
    own = cgroup_of(pid)
    places = [top / own[name].lstrip("/") for name, top in cgroup_mounts().items() if name in own]

    def read(name: str) -> str:
        for place in places:
            if (place / name).exists():
                return (place / name).read_text().strip()
        pytest.skip(f"no controller here has {name}")

    return read


def limited(
    runtime: Runtime, bundle: Bundles, container: str, **resources: Any
) -> Callable[[str], str]:
    made = bundle({"linux": {"resources": resources}}, sh=IDLE)
    return files(launched(runtime, container, made))


def lacks(*names: str) -> bool:
    """Whether no hierarchy's own group has one of these controllers."""
    wanted = set(names)
    for name, top in cgroup_mounts().items():
        if wanted & set(name.split(",")):
            return False
        control = top / "cgroup.controllers"
        if control.exists() and wanted & set(control.read_text().split()):
            return False
    return True


# Block devices ------------------------------------------------------------------------------------


def disk() -> tuple[int, int]:
    """A block device of this machine, as numbers."""
    for path in sorted(Path("/sys/block").iterdir()):
        if path.name.startswith(("vd", "sd", "nvme", "loop")):
            major, minor = (path / "dev").read_text().strip().split(":")
            return int(major), int(minor)
    pytest.skip("no block device")


@pytest.mark.skipif(lacks("blkio", "io"), reason="no controller of block devices")
def test_throttles_of_block_devices(runtime: Runtime, bundle: Bundles, container_id: str) -> None:
    major, minor = disk()
    device = {"major": major, "minor": minor}
    read = limited(
        runtime,
        bundle,
        container_id,
        blockIO={
            "throttleReadBpsDevice": [{**device, "rate": 1048576}],
            "throttleWriteBpsDevice": [{**device, "rate": 2097152}],
            "throttleReadIOPSDevice": [{**device, "rate": 300}],
            "throttleWriteIOPSDevice": [{**device, "rate": 400}],
        },
    )
    number = f"{major}:{minor}"
    if any("blkio" in name.split(",") for name in cgroup_mounts()):
        for kind, rate in (
            ("read_bps", 1048576), ("write_bps", 2097152), ("read_iops", 300), ("write_iops", 400),
        ):  # fmt: skip
            assert read(f"blkio.throttle.{kind}_device") == f"{number} {rate}"
    else:
        assert read("io.max") == f"{number} rbps=1048576 wbps=2097152 riops=300 wiops=400"


@pytest.fixture
def weighed(tmp_path: Path) -> Iterator[str]:
    """The number of a loop device that uses the bfq scheduler."""
    image = tmp_path / "image"
    image.write_bytes(bytes(1 << 20))
    device = subprocess.run(
        ["losetup", "--find", "--show", image], check=True, capture_output=True, text=True
    ).stdout.strip()
    queue = Path("/sys/block") / Path(device).name
    try:
        if "bfq" not in (queue / "queue/scheduler").read_text():
            pytest.skip("this kernel has no bfq scheduler")
        (queue / "queue/scheduler").write_text("bfq")
        yield (queue / "dev").read_text().strip()
        (queue / "queue/scheduler").write_text("none")
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)


@pytest.mark.skipif(lacks("blkio", "io"), reason="no controller of block devices")
def test_weights_of_block_devices(
    runtime: Runtime, bundle: Bundles, container_id: str, weighed: str
) -> None:
    """For all devices and for one, of the bfq scheduler."""
    major, minor = map(int, weighed.split(":"))
    single = [{"major": major, "minor": minor, "weight": 700}]
    read = limited(runtime, bundle, container_id, blockIO={"weight": 300, "weightDevice": single})
    if any("blkio" in name.split(",") for name in cgroup_mounts()):
        assert read("blkio.bfq.weight") == "300"
        assert read("blkio.bfq.weight_device").splitlines()[-1] == f"{weighed} 700"
    else:
        assert read("io.bfq.weight").splitlines() == ["default 300", f"{weighed} 700"]


@pytest.mark.skipif(lacks("blkio", "io"), reason="no controller of block devices")
def test_a_weight_without_its_scheduler_is_refused(
    creche: Runtime, bundle: Bundles, container_id: str
) -> None:
    """For a device that uses another one, or where there is none: by its key."""
    single = [{"major": 7, "minor": 250, "weight": 700}]
    made = bundle({"linux": {"resources": {"blockIO": {"weightDevice": single}}}})
    result = creche.run(["run", "-b", made, container_id]).failed(1)

    assert "linux.resources.blockIO.weightDevice[0].weight" in message(result)
    assert not creche.exists(container_id)


# CPU ----------------------------------------------------------------------------------------------


def test_burst_and_nodes(creche: Runtime, bundle: Bundles, container_id: str) -> None:
    """runc has burst since 1.2."""
    cpu = {"quota": 50000, "period": 100000, "burst": 20000, "cpus": "0", "mems": "0"}
    read = limited(creche, bundle, container_id, cpu=cpu)
    v1 = any("cpu" in name.split(",") for name in cgroup_mounts())

    assert read("cpu.cfs_burst_us" if v1 else "cpu.max.burst") == "20000"
    assert read("cpuset.cpus") == "0"
    assert read("cpuset.mems") == "0"


def test_idle(creche: Runtime, bundle: Bundles, container_id: str) -> None:
    assert limited(creche, bundle, container_id, cpu={"idle": 1})("cpu.idle") == "1"


# Memory -------------------------------------------------------------------------------------------


@pytest.mark.skipif("memory" not in cgroup_mounts(), reason="cgroup v1 only")
def test_swappiness_and_the_oom_killer_of_version_1(
    runtime: Runtime, bundle: Bundles, container_id: str
) -> None:
    read = limited(
        runtime,
        bundle,
        container_id,
        memory={"limit": 64 << 20, "swappiness": 7, "disableOOMKiller": True},
    )

    assert read("memory.swappiness") == "7"
    assert "oom_kill_disable 1" in read("memory.oom_control")


# Huge pages ---------------------------------------------------------------------------------------


@pytest.fixture
def top_path(cgroup_name: str) -> Iterator[str]:
    """A place right below the root: above it no group with processes keeps controllers back."""
    tops = cgroup_mounts()
    control = tops[""] / "cgroup.subtree_control" if "" in tops else None
    before = control.read_text() if control is not None else ""
    yield f"/{cgroup_name}"
    if control is not None and "hugetlb" not in before.split():
        control.write_text("-hugetlb")


@pytest.mark.skipif(lacks("hugetlb"), reason="no controller of huge pages")
def test_huge_pages(creche: Runtime, bundle: Bundles, container_id: str, top_path: str) -> None:
    """What is reserved counts as well, where the kernel can tell (Linux 5.7)."""
    resources = {"hugepageLimits": [{"pageSize": "2MB", "limit": 4 << 20}]}
    made = bundle({"linux": {"cgroupsPath": top_path, "resources": resources}}, sh=IDLE)
    read = files(launched(creche, container_id, made))
    v1 = any("hugetlb" in name.split(",") for name in cgroup_mounts())

    names = ("hugetlb.2MB.limit_in_bytes", "hugetlb.2MB.rsvd.limit_in_bytes")
    if not v1:
        names = ("hugetlb.2MB.max", "hugetlb.2MB.rsvd.max")
    found = [read(name) for name in names]
    creche.run(["delete", "--force", container_id]).ok()

    assert found == [str(4 << 20)] * 2


@pytest.mark.skipif(lacks("hugetlb"), reason="needs a controller in the version 2 tree")
def test_unified_settings(
    creche: Runtime, bundle: Bundles, container_id: str, top_path: str
) -> None:
    """Files of version 2 by their names, in a hybrid machine's version 2 tree as well."""
    unified = {"hugetlb.2MB.max": str(2 << 20), "cgroup.max.depth": "3"}
    linux = {"cgroupsPath": top_path, "resources": {"unified": unified}}
    read = files(launched(creche, container_id, bundle({"linux": linux}, sh=IDLE)))
    found = {name: read(name) for name in unified}
    creche.run(["delete", "--force", container_id]).ok()

    assert found == unified


# Laid out -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("hierarchy", ["rdma", "unified"])
def test_rdma_on_a_directory_like_the_kernels(tmp_path: Path, hierarchy: str) -> None:
    """This kernel has no rdma controller: the line it would take, in the file it would have."""
    file = tmp_path / "rdma.max"
    file.write_text("")
    layout = Layout(
        {hierarchy: Hierarchy(hierarchy, str(tmp_path), "/", "/")},
        ["rdma"] if hierarchy == "unified" else [],
    )
    rdma = {"mlx5_1": {"hcaHandles": 3, "hcaObjects": 10000}}
    apply_writes({hierarchy: os.fspath(tmp_path)}, compile_resources({"rdma": rdma}, layout))

    assert file.read_text() == "mlx5_1 hca_handle=3 hca_object=10000"


def test_network_on_a_directory_like_the_kernels(tmp_path: Path) -> None:
    """net_cls and net_prio are seldom mounted, and to mount them here would be for everybody."""
    for name in ("net_cls.classid", "net_prio.ifpriomap"):
        (tmp_path / name).write_text("")
    layout = Layout(
        {"net_cls,net_prio": Hierarchy("net_cls,net_prio", str(tmp_path), "/", "/")}, []
    )
    network = {"classID": 0x100001, "priorities": [{"name": "lo", "priority": 5}]}
    writes = compile_resources({"network": network}, layout)
    apply_writes({"net_cls,net_prio": os.fspath(tmp_path)}, writes)

    assert (tmp_path / "net_cls.classid").read_text() == "1048577"
    assert (tmp_path / "net_prio.ifpriomap").read_text() == "lo 5"
