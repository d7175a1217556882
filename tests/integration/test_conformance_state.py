"""What creche says of a container and of itself, held against the specification's own rules."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from runtime import SPEC_VERSION
from runtime.linux.namespaces import FLAGS
from runtime.plan import numa
from runtime.plan.mounts import known_options
from runtime.seccomp import tables
from runtime.spec import names
from tests.support.bundle import Bundle
from tests.support.inside import IDLE, launched
from tests.support.runtimes import CRECHE, PATH_VARIABLE, Runtime
from tests.support.waiting import wait_exit

pytestmark = pytest.mark.root

Bundles = Callable[..., Bundle]

STATUSES = ("creating", "created", "running", "stopped", "paused")  # the last is runc's
SEMVER = re.compile(r"\d+\.\d+\.\d+(-[0-9A-Za-z.+-]+)?")


def valid(state: Any) -> bool:
    """schema/state-schema.json, by hand: required keys, their types, the least pid, the words."""
    assert {"ociVersion", "id", "status", "bundle"} <= set(state)
    assert SEMVER.fullmatch(state["ociVersion"])
    assert all(isinstance(state[key], str) for key in ("ociVersion", "id", "bundle"))
    assert state["status"] in STATUSES
    assert type(state["pid"]) is int
    assert state["pid"] >= 0
    assert (state["pid"] > 0) == (state["status"] != "stopped")
    assert state["bundle"].startswith("/")
    annotations = state.get("annotations", {})
    assert all(
        isinstance(key, str) and isinstance(value, str) for key, value in annotations.items()
    )
    return True


def test_the_state_is_valid_through_a_whole_life(
    runtime: Runtime, bundle: Bundles, container_id: str
) -> None:
    made = bundle({"annotations": {"org.example": "x"}}, sh=IDLE)
    runtime.run(["create", "-b", made, container_id]).ok()
    seen = [runtime.state(container_id)]
    runtime.run(["start", container_id]).ok()
    seen.append(runtime.state(container_id))
    runtime.run(["pause", container_id]).ok()
    seen.append(runtime.state(container_id))
    runtime.run(["resume", container_id]).ok()
    runtime.run(["kill", container_id, "KILL"]).ok()
    wait_exit(seen[0]["pid"])
    seen.append(runtime.state(container_id))

    assert [state["status"] for state in seen] == ["created", "running", "paused", "stopped"]
    assert all(valid(state) for state in seen)
    assert {state["id"] for state in seen} == {container_id}


def test_an_id_can_be_used_again(runtime: Runtime, bundle: Bundles, container_id: str) -> None:
    for _ in range(2):
        launched(runtime, container_id, bundle(sh=IDLE))
        runtime.run(["delete", "--force", container_id]).ok()
        assert not runtime.exists(container_id)


def test_features_are_the_tables_that_are_used(creche: Runtime) -> None:
    """features.md and features-linux.md: each key, and what stands behind it."""
    features = creche.run(["features"]).ok().json()
    linux = features["linux"]

    assert SEMVER.fullmatch(features["ociVersionMin"])
    assert features["ociVersionMax"] == SPEC_VERSION
    assert features["hooks"] == list(names.HOOK_STAGES)
    assert features["mountOptions"] == known_options()
    assert linux["namespaces"] == sorted(FLAGS)
    assert linux["capabilities"] == list(names.CAPABILITIES)
    assert set(linux["cgroup"]) == {"v1", "v2", "systemd", "systemdUser", "rdma"}
    assert all(type(value) is bool for value in linux["cgroup"].values())
    assert linux["cgroup"]["v1"] is linux["cgroup"]["v2"] is True
    for key in ("apparmor", "selinux", "intelRdt", "netDevices"):
        assert linux[key]["enabled"] is True
    assert set(linux["intelRdt"]) == {"enabled", "schemata", "monitoring"}
    assert linux["mountExtensions"] == {"idmap": {"enabled": True}}
    assert linux["memoryPolicy"] == {"modes": list(numa.MODES), "flags": list(numa.FLAGS)}
    assert {"bundle", "org.systemd.property.", "org.criu.config", "org.creche.network"} <= set(
        features["potentiallyUnsafeConfigAnnotations"]
    )
    seccomp = linux["seccomp"]
    if seccomp["enabled"]:
        assert set(seccomp["actions"]) == set(tables.ACTIONS)
        assert set(seccomp["operators"]) == set(tables.OPERATORS)
        assert set(seccomp["archs"]) == set(tables.ARCHITECTURES)
        assert seccomp["supportedFlags"] == seccomp["knownFlags"] == list(names.SECCOMP_FLAGS)


@pytest.mark.parametrize("words", [["--version"], ["-v"]])
def test_the_version_as_engines_read_it(runtime: Runtime, words: list[str]) -> None:
    lines = runtime.run(words).ok().stdout.splitlines()

    assert re.fullmatch(rf"{runtime.name} version \S+", lines[0])
    assert any(re.fullmatch(r"spec: \d+\.\d+\.\d+\S*", line) for line in lines)
    assert any(line.startswith("libseccomp: ") for line in lines)


@pytest.mark.parametrize("words", [["--help"], ["help"], ["-h"], []])
def test_help_names_each_command(creche: Runtime, words: list[str]) -> None:
    text = creche.run(words).ok().stdout

    for command in (
        *("create", "start", "run", "exec", "state", "list", "kill", "delete", "pause", "resume"),
        *("ps", "events", "spec", "update", "features"),
    ):
        assert re.search(rf"^ +{command}\b", text, re.MULTILINE), command


def test_the_root_directory_holds_no_state(runtime: Runtime) -> None:
    """Not by --root, and an empty $XDG_RUNTIME_DIR does not count."""
    env = {"PATH": PATH_VARIABLE, "XDG_RUNTIME_DIR": ""}
    refused = subprocess.run(
        [CRECHE, "--root", "/", "list"], env=env, capture_output=True, text=True
    )

    assert refused.returncode == 1
    assert "root directory" in refused.stderr
