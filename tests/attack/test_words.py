"""Words that look harmless and are read as something else: users, ids, cgroup paths, sysctls.

crun's CVE-2026-30892 (`exec -u 1` was root), the ids and cgroup paths that crun 1.28 and 1.29 began
to refuse, CRI-O's CVE-2022-0811 (a sysctl smuggled in by another one) and CVE-2024-3154 (properties
of systemd units in annotations).
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.attack.lab import Copy, Lab
from tests.support.inside import message
from tests.support.mountinfo import cgroup_mounts, cgroup_of
from tests.support.runtimes import Runtime

pytestmark = pytest.mark.root

# Users of exec ------------------------------------------------------------------------------------

# What each has to come to: uid and gid, or None for an error. The container's own user is 0:0.
USERS: dict[str, tuple[int, int] | None] = {
    "1": (1, 0),
    "1:2": (1, 2),
    "4294967294": (4294967294, 0),
    "01": (1, 0),
    "1 ": None,
    " 1": None,
    "+1": None,
    "-1": None,
    "1_0": None,
    "\u0661": None,  # a digit, in Arabic
    "0x1": None,
    "1:": None,
    ":1": None,
    "1:2:3": None,
    "1.0": None,
    "": None,
    "4294967295": None,  # (uid_t)-1, which setresuid(2) takes for "leave it"
    "4294967296": None,  # would wrap around to 0
    "18446744073709551616": None,
    "root": None,
    "nobody": None,
}


def running(lab: Lab, runtime: Runtime) -> str:
    name = lab.name()
    runtime.run(["run", "-d", "-b", lab.bundle(args=["/bin/sleep", "1000"]), name]).ok()
    return name


def identity(runtime: Runtime, name: str, user: str) -> tuple[int, int] | None:
    """Who a program runs as, or None if there was an error."""
    words = ["exec", "--user", user, name, "/bin/stat", "-c", "%u %g", "/proc/self/."]
    result = runtime.run(words)
    if result.rc:
        return None
    uid, gid = result.stdout.split()
    return int(uid), int(gid)


def wrong_users(lab: Lab, runtime: Runtime) -> str:
    """Users that came to be somebody else; an error is always right."""
    name = running(lab, runtime)
    found = {user: identity(runtime, name, user) for user in USERS}
    wrong = {user: who for user, who in found.items() if who not in (None, USERS[user])}
    return f"not who was asked for: {wrong}" if wrong else ""


def test_a_user_is_exactly_that_or_an_error(lab: Lab, creche: Runtime) -> None:
    name = running(lab, creche)

    assert {user: identity(creche, name, user) for user in USERS} == USERS
    assert "'': (0" in wrong_users(lab, lab.creche("lenient-users"))


def test_peers_users(lab: Lab, peer: Callable[[Callable[[Runtime], str]], str]) -> None:
    peer(lambda runtime: wrong_users(lab, runtime))


# Container ids ------------------------------------------------------------------------------------

IDS = [
    "",
    ".",
    "..",
    "../x",
    "a/b",
    "/x",
    "x" * 300,
    "a\nb",
    "a b",
    "a\x1b[2J",
    "\u00e9",
    "a\\b",
    "*",
]


def escaping_ids(lab: Lab, runtime: Runtime) -> str:
    """Ids whose state would lie somewhere else than below the root."""
    made = lab.bundle(args=["/bin/true"])
    before = set(lab.directory.iterdir())
    for name in IDS:
        runtime.run(["create", "-b", made, "--", name])
        new = set(lab.directory.iterdir()) - before
        if new or any(runtime.root.iterdir()):
            runtime.run(["delete", "--force", "--", name])
            return f"{name!r} was taken for an id"
    return ""


@pytest.mark.parametrize("name", IDS)
def test_an_id_is_no_path(lab: Lab, creche: Runtime, name: str) -> None:
    for words in (["create", "-b", str(lab.bundle()), "--", name], ["delete", "--", name]):
        assert "invalid container ID" in message(creche.run(words).failed(1))
    assert list(creche.root.iterdir()) == []


def test_any_id_is_taken_by_a_mutant(lab: Lab) -> None:
    assert escaping_ids(lab, lab.creche("any-id"))


def test_peers_ids(lab: Lab, peer: Callable[[Callable[[Runtime], str]], str]) -> None:
    peer(lambda runtime: escaping_ids(lab, runtime))


# cgroupsPath, exec --cgroup -----------------------------------------------------------------------

# crun runs without them, and would take ours for its own.
WITH_CGROUPS = pytest.mark.parametrize("other", ["runc"], indirect=True)
PATHS = ["/../../{name}", "{name}/../../{name}", "../{name}", "a\n0::/{name}", "/", "/.", "x" * 300]


def outside_cgroups(name: str) -> list[str]:
    """Control groups of this name that are not below our own, near it."""
    own = cgroup_of()
    found = []
    for hierarchy, top in cgroup_mounts().items():
        here = top / own.get(hierarchy, "/").lstrip("/")
        found += [str(up / name) for up in here.parents if (up / name).is_dir()]
    return found


def escaping_paths(lab: Lab, runtime: Runtime, path: str) -> str:
    name = lab.name()
    made = lab.bundle({"linux": {"cgroupsPath": path.format(name=name)}}, args=["/bin/true"])
    result = runtime.run(["create", "-b", made, name])
    found = outside_cgroups(name)
    runtime.run(["delete", "--force", name])
    return f"{path!r}: {found}" if found and not result.rc else ""


@pytest.mark.parametrize("path", PATHS)
def test_a_cgroup_stays_in_its_place(lab: Lab, creche: Runtime, path: str) -> None:
    name = lab.name()
    made = lab.bundle({"linux": {"cgroupsPath": path.format(name=name)}}, args=["/bin/true"])
    result = creche.run(["create", "-b", made, name]).failed(1)

    assert "linux.cgroupsPath: " in message(result)
    assert outside_cgroups(name) == []
    assert list(creche.root.iterdir()) == []


def test_a_mutants_cgroup_does_not(lab: Lab) -> None:
    assert escaping_paths(lab, lab.creche("climbing-cgroups"), "../{name}")


@WITH_CGROUPS
@pytest.mark.parametrize("path", PATHS[:3])
def test_peers_cgroups(
    lab: Lab, peer: Callable[[Callable[[Runtime], str]], str], path: str
) -> None:
    peer(lambda runtime: escaping_paths(lab, runtime, path))


def leaving(lab: Lab, runtime: Runtime) -> str:
    """exec --cgroup with a path that leads out of the container's own."""
    name = running(lab, runtime)
    words = ["exec", "--cgroup", "..", name, "/bin/cat", "/proc/self/cgroup"]
    result = runtime.run(words)
    left = result.rc == 0 and not all(line.endswith(f"/{name}") for line in result.stdout.split())
    return f"in {result.stdout}" if left else ""


def test_exec_does_not_leave_the_containers_cgroup(lab: Lab, creche: Runtime) -> None:
    assert leaving(lab, creche) == ""
    assert leaving(lab, lab.creche("climbing-exec"))


@WITH_CGROUPS
def test_peers_exec_cgroup(lab: Lab, peer: Callable[[Callable[[Runtime], str]], str]) -> None:
    peer(lambda runtime: leaving(lab, runtime))


# Sysctls ------------------------------------------------------------------------------------------

# The host's, under names that might pass for a namespace's. panic stands in for core_pattern: the
# value written is the one it has.
SYSCTLS = [
    "kernel.panic",
    "kernel/panic",
    "net/../kernel/panic",
    "net.ipv4/../../kernel.panic",
    "net//../kernel/panic",
    "fs/mqueue/../../kernel/panic",
    "net/ipv4/./../../kernel/panic",
]
HOST_VALUE = Path("/proc/sys/kernel/panic")


def foreign_sysctl(lab: Lab, runtime: Runtime, key: str) -> str:
    value = HOST_VALUE.read_text().strip()
    made = lab.bundle({"linux": {"sysctl": {key: value}}}, args=["/bin/true"])
    result = runtime.run(["run", "-b", made, lab.name()])
    return "" if result.rc else f"{key} was written"


@pytest.mark.parametrize("key", SYSCTLS)
def test_only_sysctls_of_namespaces_are_written(lab: Lab, creche: Runtime, key: str) -> None:
    assert foreign_sysctl(lab, creche, key) == ""


def test_a_mutant_writes_the_hosts(lab: Lab) -> None:
    assert foreign_sysctl(lab, lab.creche("any-sysctl"), SYSCTLS[0])


@pytest.mark.parametrize("key", SYSCTLS)
def test_peers_sysctls(lab: Lab, peer: Callable[[Callable[[Runtime], str]], str], key: str) -> None:
    peer(lambda runtime: foreign_sysctl(lab, runtime, key))


@pytest.mark.parametrize("value", ["1\nkernel.panic=1", "1+kernel.panic=1", "1 1", "+1x"])
def test_a_value_smuggles_no_other_sysctl_in(lab: Lab, creche: Runtime, value: str) -> None:
    """It is written as it is, in one write(2); the kernel says what it thinks of it."""
    before = HOST_VALUE.read_text()
    made = lab.bundle({"linux": {"sysctl": {"net.ipv4.ip_forward": value}}}, args=["/bin/true"])
    result = creche.run(["run", "-b", made, lab.name()])

    assert HOST_VALUE.read_text() == before
    if result.rc:
        assert "linux.sysctl" in result.stderr


# Annotations --------------------------------------------------------------------------------------


def unit_property(lab: Lab, runtime: Runtime) -> str:
    """An annotation that would have systemd run a program on the host."""
    marker = lab.host / "ran"
    value = f"[('/bin/touch', ['/bin/touch', '{marker}'], false)]"
    annotations: dict[str, Any] = {"org.systemd.property.ExecStartPost": value}
    made = lab.bundle({"annotations": annotations}, args=["/bin/true"])
    runtime.run(["run", "-b", made, lab.name()])
    return "it ran" if os.path.exists(marker) else ""


def test_an_annotation_runs_nothing_and_engines_are_warned(lab: Lab, creche: Runtime) -> None:
    assert unit_property(lab, creche) == ""
    unsafe = creche.run(["features"]).ok().json()["potentiallyUnsafeConfigAnnotations"]
    assert "org.systemd.property." in unsafe


# There is no systemd where these tests run; this is what it would be asked to set.
ASKED = """
import sys
sys.path.insert(0, sys.argv[1])
from runtime.systemd.annotations import properties
print(properties({"org.systemd.property.Slice": "'system.slice'"}, lambda text: None))
"""


def asked_of_systemd(creche: Copy) -> str:
    """A property that would take the container out of the control group that limits it."""
    argv = [str(creche.interpreter), "-I", "-S", "-c", ASKED, str(creche.tree)]
    said = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    return "" if said == "[]\n" else said


def test_properties_that_are_not_on_the_list_are_not_asked_for(lab: Lab) -> None:
    assert asked_of_systemd(lab.creche()) == ""
    assert asked_of_systemd(lab.creche("any-property"))


def test_peers_annotations(lab: Lab, peer: Callable[[Callable[[Runtime], str]], str]) -> None:
    peer(lambda runtime: unit_property(lab, runtime))
