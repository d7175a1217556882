"""Security modules and resctrl, which this machine has not: on files laid out as the kernel does.

The labels are written to the real procfs as well, to see that they get to the kernel, which has no
module to take them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runtime import lsm, resctrl
from runtime.errors import KernelError
from runtime.init.procfs import open_private
from runtime.plan.process import compile_process
from tests.support.bundle import Bundle
from tests.support.inside import IDLE, launched
from tests.support.runtimes import Runtime

pytestmark = pytest.mark.root

PROCESS: Any = {
    "args": ["x"],
    "cwd": "/",
    "apparmorProfile": "creche-default",
    "selinuxLabel": "system_u:system_r:container_t:s0",
}
MOUNT_LABEL = "system_u:object_r:container_file_t:s0"


def sysfs(directory: Path, *, apparmor: str | None, enforce: str | None) -> str:
    """The two files that tell which modules the kernel runs with."""
    if apparmor is not None:
        parameters = directory / "module/apparmor/parameters"
        parameters.mkdir(parents=True)
        (parameters / "enabled").write_text(f"{apparmor}\n")
    if enforce is not None:
        (directory / "fs/selinux").mkdir(parents=True)
        (directory / "fs/selinux/enforce").write_text(enforce)
    return str(directory)


def found(top: str) -> tuple[tuple[str, str, str], list[str]]:
    warnings: list[str] = []
    labels = lsm.usable(compile_process(PROCESS), MOUNT_LABEL, warnings.append, top)
    return (labels.apparmor, labels.selinux, labels.mount), warnings


def test_labels_are_used_where_the_kernel_has_the_module(tmp_path: Path) -> None:
    everything = (PROCESS["apparmorProfile"], PROCESS["selinuxLabel"], MOUNT_LABEL)

    assert found(sysfs(tmp_path, apparmor="Y", enforce="0")) == (everything, [])


@pytest.mark.parametrize("apparmor", ["N", None])
def test_labels_are_left_out_with_a_warning_elsewhere(tmp_path: Path, apparmor: str | None) -> None:
    labels, warnings = found(sysfs(tmp_path, apparmor=apparmor, enforce=None))

    assert labels == ("", "", "")
    assert [text.partition(":")[0] for text in warnings] == [
        "linux.mountLabel", "process.apparmorProfile", "process.selinuxLabel",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("labels", "key"),
    [
        (lsm.Labels(apparmor="creche-no-such-profile"), "process.apparmorProfile"),
        (lsm.Labels(selinux="no:such:label:s0"), "process.selinuxLabel"),
    ],
)
def test_a_label_that_the_kernel_refuses_is_named(labels: lsm.Labels, key: str) -> None:
    """Written to the attributes of this very process, for its next execve(2): no such label."""
    proc = open_private()
    try:
        with pytest.raises(KernelError) as caught:
            lsm.apply(labels, proc)
    finally:
        os.close(proc)

    assert key in str(caught.value)


def test_a_label_for_keys_goes_to_the_kernel() -> None:
    """As the label for execve(2); nothing takes it here, and the error names its key."""
    proc = open_private()
    try:
        with pytest.raises(KernelError, match=r"process\.selinuxLabel"):
            lsm.label_keys("no:such:label:s0", proc)
    finally:
        os.close(proc)


def test_a_container_with_labels_runs_without_modules(
    creche: Runtime, bundle: Callable[..., Bundle], container_id: str
) -> None:
    if lsm.apparmor_enabled() or lsm.selinux_enabled():
        pytest.skip("this kernel has a security module")
    made = bundle({"process": {**PROCESS, "args": ["/bin/echo", "ran"]}})
    made.patch({"linux": {"mountLabel": MOUNT_LABEL}})
    result = creche.run(["run", "-b", made, container_id]).ok()

    assert result.stdout == "ran\n"
    assert result.stderr.count("level=warning") == 3


def test_exec_with_labels_runs_without_modules(
    creche: Runtime, bundle: Callable[..., Bundle], container_id: str
) -> None:
    if lsm.apparmor_enabled() or lsm.selinux_enabled():
        pytest.skip("this kernel has a security module")
    launched(creche, container_id, bundle(sh=IDLE))
    words = ["exec", "--apparmor", "profile", "--process-label", "a:b:c:s0", container_id]
    result = creche.run([*words, "echo", "ran"]).ok()

    assert result.stdout == "ran\n"
    assert "process.apparmorProfile" in result.stderr
    assert "process.selinuxLabel" in result.stderr


# resctrl ------------------------------------------------------------------------------------------


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A resctrl mount whose new directories come with their files, as the kernel's do."""
    (tmp_path / "tasks").write_text("")
    (tmp_path / "schemata").write_text("    L3:0=fff\n    MB:0=100\n")
    (tmp_path / "mon_groups").mkdir()
    plain = os.mkdir

    def mkdir(path: str, *rest: Any, **more: Any) -> None:
        plain(path, *rest, **more)
        if str(path).startswith(str(tmp_path)):
            Path(path, "tasks").write_text("")
            Path(path, "schemata").write_text("")
            plain(Path(path, "mon_groups"))

    monkeypatch.setattr("runtime.resctrl.os.mkdir", mkdir)
    return tmp_path


def test_a_class_of_its_own_with_monitoring(kernel: Path) -> None:
    """Named after the container where no closID is given; schema lines, then the process."""
    rdt: Any = {"l3CacheSchema": "L3:0=f", "memBwSchema": "MB:0=20", "enableMonitoring": True}
    group = resctrl.join(rdt, "c1", 7, str(kernel))

    assert group.made == [f"{kernel}/c1", f"{kernel}/c1/mon_groups/c1"]
    assert (kernel / "c1/tasks").read_text() == "7"
    assert (kernel / "c1/mon_groups/c1/tasks").read_text() == "7"
    assert (kernel / "c1/schemata").read_text().splitlines()[-1] == "MB:0=20"


def test_monitoring_in_the_root_class(kernel: Path) -> None:
    group = resctrl.join({"closID": "/", "enableMonitoring": True}, "c1", 7, str(kernel))

    assert group.made == [f"{kernel}/mon_groups/c1"]
    assert (kernel / "tasks").read_text() == (kernel / "mon_groups/c1/tasks").read_text() == "7"


def test_a_configuration_that_needs_resctrl_fails_without(
    creche: Runtime, bundle: Callable[..., Bundle], container_id: str
) -> None:
    if resctrl.mountpoint():
        pytest.skip("resctrl is mounted here")
    made = bundle({"linux": {"intelRdt": {"l3CacheSchema": "L3:0=f"}}})
    result = creche.run(["run", "-b", made, container_id]).failed(1)

    assert "linux.intelRdt" in result.stderr
    assert not creche.exists(container_id)
