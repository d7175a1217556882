"""Containers in scopes that systemd makes for them: `--systemd-cgroup`, against the real systemd.

The test session has a /run of its own, so creche is called in the namespaces of process 1, as an
engine would call it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.bundle import FULL, Bundle
from tests.support.runtimes import CRECHE, Result
from tests.support.waiting import DEADLINE, wait_exit
from tests.system.service import outside

pytestmark = pytest.mark.skipif(
    "CRECHE_TEST_MACHINE" not in os.environ,
    reason="needs the virtual machine that ./dev system boots",
)

TOP = Path("/sys/fs/cgroup")
MIB = 1 << 20
UID = 1000
LIMITS = {
    "memory": {"limit": 64 * MIB, "swap": 96 * MIB},
    "cpu": {"quota": 12345, "period": 100000, "shares": 512, "cpus": "0"},
    "pids": {"limit": 20},
    "hugepageLimits": [{"pageSize": "2MB", "limit": 4 * MIB}],  # systemd has no word for it
}

Bundles = Callable[..., Bundle]


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """A state directory that process 1 sees as well; no unit of a test's container is left."""
    directory = tmp_path / "state"
    yield directory
    for entry in directory.iterdir() if directory.exists() else ():
        creche(directory, "delete", "--force", entry.name)
    units = outside("systemctl", "list-units", "--all", "--plain", "--no-legend", "*crt-*").stdout
    assert units == ""


def called(*words: str | os.PathLike[str], check: bool = True) -> Result:
    """Call something in the namespaces of process 1; a container may keep its output open."""
    argv = [
        "nsenter",
        "--target",
        "1",
        "--mount",
        "--net",
        "--uts",
        *(os.fspath(word) for word in words),
    ]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, stdout=out, stderr=err, timeout=DEADLINE
        )
        texts = [os.pread(file.fileno(), 1 << 20, 0).decode() for file in (out, err)]
    result = Result(argv, done.returncode, *texts)
    return result.ok() if check else result


def creche(root: Path, *words: str | os.PathLike[str], check: bool = True) -> Result:
    return called(CRECHE, "--root", root, *words, check=check)


def show(unit: str, *names: str) -> dict[str, str]:
    """Properties of a unit."""
    text = outside("systemctl", "show", unit, *(f"-p{name}" for name in names)).stdout
    return dict(line.split("=", 1) for line in text.splitlines())


def config(**linux: object) -> dict[str, object]:
    """A container with a cgroup namespace, as `creche spec` makes it on version 2."""
    namespaces = [*FULL["linux"]["namespaces"], {"type": "cgroup"}]
    kinds = {entry["type"]: entry for entry in namespaces}
    return {"linux": {"namespaces": list(kinds.values()), **linux}}


def read(directory: Path, name: str) -> str:
    return (directory / name).read_text().strip()


def test_the_life_of_a_scope(root: Path, bundle: Bundles) -> None:
    """Made around the container with its limits, changed, kept over a reload, gone with it."""
    patch = config(resources=LIMITS)
    patch["annotations"] = {
        "org.systemd.property.TimeoutStopSec": "7",
        "org.systemd.property.Description": "'a container of the test'",
        "org.systemd.property.ExecStopPost": "'/bin/touch /tmp/crt-escaped'",
    }
    directory = bundle(patch, sh="sleep 1000")
    made = creche(root, "--systemd-cgroup", "create", "-b", directory, "crt-life")
    unit, cgroup = "creche-crt-life.scope", TOP / "system.slice/creche-crt-life.scope"

    assert "ExecStopPost" in made.stderr  # passed over, with a warning
    assert show(unit, "ActiveState", "Slice", "Delegate", "CollectMode", "MemoryMax", "TasksMax",
                "MemorySwapMax", "CPUQuotaPerSecUSec", "CPUWeight", "AllowedCPUs", "Description",
                "TimeoutStopUSec") == {
        "ActiveState": "active",
        "Slice": "system.slice",
        "Delegate": "yes",
        "CollectMode": "inactive-or-failed",
        "MemoryMax": str(64 * MIB),
        "MemorySwapMax": str(32 * MIB),
        "TasksMax": "20",
        "CPUQuotaPerSecUSec": "130ms",
        "CPUWeight": "59",
        "AllowedCPUs": "0",
        "Description": "a container of the test",
        "TimeoutStopUSec": "7s",
    }  # fmt: skip
    # Exact in the files, where systemd keeps hundredths; and what it has no word for.
    assert read(cgroup, "cpu.max") == "12345 100000"
    assert read(cgroup, "hugetlb.2MB.max") == str(4 * MIB)
    pid = json.loads(creche(root, "state", "crt-life").stdout)["pid"]
    assert read(cgroup, "cgroup.procs") == str(pid)

    creche(root, "start", "crt-life")
    creche(root, "update", "--memory", "48M", "--cpu-quota", "23456", "crt-life")
    assert show(unit, "MemoryMax", "CPUQuotaPerSecUSec") == {
        "MemoryMax": str(48 * MIB),
        "CPUQuotaPerSecUSec": "240ms",
    }
    assert read(cgroup, "cpu.max") == "23456 100000"
    refused = creche(
        root, "update", "--cpu-quota", "500", "--memory", "40M", "crt-life", check=False
    )
    assert "cpu.max: invalid argument" in refused.stderr
    outside("systemctl", "daemon-reload")
    assert read(cgroup, "memory.max") == str(48 * MIB)
    assert show(unit, "MemoryMax")["MemoryMax"] == str(48 * MIB)

    inside = creche(root, "exec", "crt-life", "cat", "/proc/self/cgroup").stdout
    assert inside == "0::/\n"
    creche(root, "pause", "crt-life")
    creche(root, "resume", "crt-life")
    creche(root, "delete", "--force", "crt-life")
    assert not cgroup.exists()
    assert not Path("/proc/1/root/tmp/crt-escaped").exists()


def test_an_engines_path(root: Path, bundle: Bundles) -> None:
    """slice:prefix:name, in slices within slices; the container ends by itself."""
    patch = config(cgroupsPath="crt-a-b.slice:libpod:crt-1")
    patch["linux"]["namespaces"].remove({"type": "cgroup"})  # type: ignore[index]
    directory = bundle(patch, sh="cat /proc/self/cgroup")
    done = creche(root, "--systemd-cgroup", "run", "-b", directory, "crt-path")
    place = "crt.slice/crt-a.slice/crt-a-b.slice/libpod-crt-1.scope"

    assert done.stdout == f"0::/{place}\n"
    assert not (TOP / place).exists()
    outside("systemctl", "stop", "crt.slice")


def test_a_create_that_fails_leaves_no_scope(root: Path, bundle: Bundles) -> None:
    """Refused by systemd, by the kernel after systemd has made it, and by a hook."""
    unit = "creche-crt-fail.scope"
    cases = [
        (config(cgroupsPath="/no/unit"), "slice:prefix:name"),
        (config(resources={"unified": {"memory.max": "much"}}), "invalid argument"),
        ({"hooks": {"createRuntime": [{"path": "/bin/false"}]}}, "createRuntime hook"),
    ]
    for patch, text in cases:
        directory = bundle(patch)
        done = creche(root, "--systemd-cgroup", "create", "-b", directory, "crt-fail", check=False)
        assert done.rc == 1
        assert text in done.stderr
        assert show(unit, "LoadState") == {"LoadState": "not-found"}
        assert not (root / "crt-fail").exists()


def test_somebody_elses_unit_is_left_alone(root: Path, bundle: Bundles) -> None:
    """A scope of that name that holds other processes is refused, and lives on."""
    unit = "creche-crt-taken.scope"
    held = subprocess.Popen(
        ["nsenter", "--target", "1", "--mount", "systemd-run", "--quiet", "--scope",
         f"--unit={unit}", "sh", "-c", "echo there; exec sleep 1000"],
        stdout=subprocess.PIPE,
    )  # fmt: skip
    assert held.stdout is not None
    try:
        directory = bundle(config())
        done = creche(root, "--systemd-cgroup", "create", "-b", directory, "crt-taken", check=False)
        assert done.rc == 1
        assert f"systemd has a unit {unit} already" in done.stderr
        assert held.poll() is None
    finally:
        outside("systemctl", "stop", unit)
        held.wait(DEADLINE)
        held.stdout.close()


def test_a_users_own_systemd(root: Path, bundle: Bundles, tmp_path: Path) -> None:
    """Without root's rights: the user's manager makes the scope, and moves processes there."""
    outside("useradd", "--create-home", f"--uid={UID}", "crt-user")
    home = Path("/home/crt-user")
    outside("systemctl", "start", f"user@{UID}.service")
    environment = (f"XDG_RUNTIME_DIR=/run/user/{UID}", f"HOME={home}", "PATH=/usr/bin:/bin")

    def as_user(*words: str | Path) -> Result:
        return called(
            "setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups",
            "env", "-i", "-C", home, *environment, *words,
        )  # fmt: skip

    try:
        (home / "b/rootfs/bin").mkdir(parents=True)
        for name in ("proc", "sys", "dev"):
            (home / "b/rootfs" / name).mkdir()
        shutil.copy("/bin/busybox", home / "b/rootfs/bin")
        as_user(CRECHE, "spec", "--rootless", "-b", "/tmp")
        document = json.loads(Path("/tmp/config.json").read_text())
        Path("/tmp/config.json").unlink()
        document["process"] |= {"terminal": False, "args": ["/bin/busybox", "sleep", "1000"]}
        document["linux"]["resources"] = {"memory": {"limit": 64 * MIB}, "pids": {"limit": 20}}
        (home / "b/config.json").write_text(json.dumps(document))
        as_user(CRECHE, "--systemd-cgroup", "create", "-b", home / "b", "crt-own")
        as_user(CRECHE, "start", "crt-own")
        as_user(CRECHE, "update", "--memory", "48M", "crt-own")
        shown = as_user(
            "systemctl", "--user", "show", "creche-crt-own.scope", "-pMemoryMax", "-pTasksMax"
        ).stdout
        manager = f"user.slice/user-{UID}.slice/user@{UID}.service"
        cgroup = TOP / manager / "user.slice/creche-crt-own.scope"
        assert set(shown.split()) == {f"MemoryMax={48 * MIB}", "TasksMax=20"}
        assert read(cgroup, "memory.max") == str(48 * MIB)
        inside = as_user(CRECHE, "exec", "crt-own", "/bin/busybox", "cat", "/proc/self/cgroup")
        assert inside.stdout.strip() in ("0::/", "0::/" + str(cgroup.relative_to(TOP)))
        pid = int(read(cgroup, "cgroup.procs").splitlines()[0])
        as_user(CRECHE, "delete", "--force", "crt-own")
        wait_exit(pid)
        assert not cgroup.exists()
    finally:
        outside("systemctl", "stop", f"user@{UID}.service")
        outside("systemctl", "stop", f"user-{UID}.slice")
        outside("userdel", "--remove", "crt-user")
