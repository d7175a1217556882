"""Whole configurations compiled: pure, JSON-able, and refused where a promise could not be kept."""

from __future__ import annotations

import copy
import json
import sys
from typing import Any

import pytest

import runtime.linux.mounts as m
from runtime.cgroups import Hierarchy, Layout
from runtime.errors import ConfigError
from runtime.linux.namespaces import FLAGS
from runtime.plan.compile import DEFAULT_DEVICES, compile_plan
from runtime.spec import default_spec, parse

V1 = Layout({n: Hierarchy(n, f"/cg/{n}", "/", "/") for n in ("memory", "pids", "devices")}, [])
ROOT_MAP = [{"containerID": 0, "hostID": 100000, "size": 65536}]
SMALL: dict[str, Any] = {
    "ociVersion": "1.3.0",
    "root": {"path": "rootfs"},
    "linux": {"namespaces": [{"type": "mount"}]},
}


def spec(**linux: Any) -> dict[str, Any]:
    document = copy.deepcopy(SMALL)
    document["linux"].update(linux)
    return document


def compiled(document: dict[str, Any], bundle: str = "/b") -> Any:
    warnings: list[str] = []
    plan = compile_plan(document, V1, bundle, warnings.append)  # type: ignore[arg-type]
    assert not warnings
    return plan


def refused(document: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        compiled(document)
    return str(caught.value)


def test_the_smallest() -> None:
    plan = compiled(SMALL)

    assert plan["rootfs"] == "/b/rootfs"
    assert plan["new"] == FLAGS["mount"]
    assert plan["process"] is None  # create works, start is the error
    assert plan["seccomp"] is None
    assert plan["personality"] is None
    assert plan["hostname"] == plan["domainname"] == ""
    assert plan["loopback"] is False
    assert plan["setup_dev"] is True
    assert [device["path"] for device in plan["devices"]] == [d[0] for d in DEFAULT_DEVICES]
    for key in ("join", "uid_map", "gid_map", "time_offsets", "mounts", "masked", "readonly"):
        assert plan[key] == []
    for key in ("sysctl", "create_container_hooks", "start_container_hooks", "cgroup_writes"):
        assert plan[key] == []


def test_a_plan_is_plain_data() -> None:
    """It goes over a socket, into a digest, and to `creche plan`."""
    document = parse(json.dumps(default_spec()).encode(), print)
    plan = compile_plan(document, V1, "/b", print)
    again = json.loads(json.dumps(plan))

    assert json.dumps(again, sort_keys=True) == json.dumps(plan, sort_keys=True)


def test_compiling_twice_is_the_same_and_changes_nothing() -> None:
    document = parse(json.dumps(default_spec()).encode(), print)
    before = copy.deepcopy(document)
    one = compile_plan(document, V1, "/b", print)
    one["mounts"].clear()
    one["devices"].clear()
    other = compile_plan(document, V1, "/b", print)

    assert document == before
    assert other["mounts"]
    assert other["devices"]
    assert compile_plan(document, V1, "/b", print) == other


def test_compiling_is_pure() -> None:
    """No file, no process, no socket, no clock: an audit hook sees whatever Python does."""
    document = parse(json.dumps(default_spec()).encode(), print)
    compile_plan(document, V1, "/b", print)  # imports are done now
    seen: list[str] = []
    watching = True

    def hook(event: str, _: tuple[Any, ...]) -> None:
        if watching:
            seen.append(event)

    sys.addaudithook(hook)  # stays for the life of the process, silent from here on
    compile_plan(document, V1, "/b", print)
    watching = False

    assert [event for event in seen if not event.startswith("object.")] == []


@pytest.mark.parametrize(
    ("path", "expected"),
    [("rootfs", "/b/rootfs"), ("/abs", "/abs"), ("../x", "/b/../x")],
)
def test_root_path_is_relative_to_the_bundle(path: str, expected: str) -> None:
    document = spec()
    document["root"]["path"] = path

    assert compiled(document)["rootfs"] == expected


# Namespaces ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", sorted(FLAGS))
def test_each_namespace_new_or_joined(kind: str) -> None:
    others = [] if kind == "mount" else [{"type": "mount"}]
    maps: dict[str, Any] = {"uidMappings": ROOT_MAP, "gidMappings": ROOT_MAP}
    linux = maps if kind == "user" else {}
    new = compiled(spec(namespaces=[*others, {"type": kind}], **linux))
    joined = compiled(spec(namespaces=[*others, {"type": kind, "path": "/p"}]))

    assert new["new"] & FLAGS[kind]
    assert new["join"] == []
    assert not joined["new"] & FLAGS[kind]
    assert joined["join"] == [(kind, "/p", f"linux.namespaces[{len(others)}].path")]


def test_a_user_namespace_without_mappings_maps_root_alone_and_says_so() -> None:
    warnings: list[str] = []
    document = spec(namespaces=[{"type": "mount"}, {"type": "user"}])
    plan = compile_plan(document, V1, "/b", warnings.append)  # type: ignore[arg-type]

    assert plan["uid_map"] == plan["gid_map"] == [(0, 0, 1)]
    assert [text.partition(":")[0] for text in warnings] == [
        "linux.uidMappings", "linux.gidMappings",
    ]  # fmt: skip


def test_loopback_only_in_a_new_network() -> None:
    mount = {"type": "mount"}
    assert compiled(spec(namespaces=[mount, {"type": "network"}]))["loopback"] is True
    joined = [mount, {"type": "network", "path": "/p"}]
    assert compiled(spec(namespaces=joined))["loopback"] is False


@pytest.mark.parametrize(
    ("key", "change"),
    [
        ("mounts", {"mounts": [{"destination": "/x", "type": "tmpfs"}]}),
        ("root.readonly", {"root": {"path": "r", "readonly": True}}),
        ("linux.maskedPaths", {"linux": {"maskedPaths": ["/x"]}}),
        ("linux.readonlyPaths", {"linux": {"readonlyPaths": ["/x"]}}),
    ],
)
def test_what_would_change_the_hosts_mounts_is_refused(key: str, change: dict[str, Any]) -> None:
    document = {**SMALL, "linux": {}, **change}

    assert refused(document) == (
        f'{key}: needs a mount namespace (add {{"type": "mount"}} to linux.namespaces)'
    )
    linux = {**document["linux"], "namespaces": [{"type": "mount"}]}
    compiled({**document, "linux": linux})


def test_mappings_and_offsets() -> None:
    plan = compiled(
        spec(
            uidMappings=[{"containerID": 0, "hostID": 100, "size": 10}],
            gidMappings=[
                {"containerID": 0, "hostID": 200, "size": 1},
                {"containerID": 1, "hostID": 300, "size": 9},
            ],
            timeOffsets={"boottime": {"secs": -5, "nanosecs": 7}, "monotonic": {"secs": 3}},
        )
    )

    assert plan["uid_map"] == [(0, 100, 10)]
    assert plan["gid_map"] == [(0, 200, 1), (1, 300, 9)]
    assert plan["time_offsets"] == [("monotonic", 3, 0), ("boottime", -5, 7)]


# Devices ------------------------------------------------------------------------------------------


def test_devices_of_the_configuration_come_first_and_replace_defaults() -> None:
    plan = compiled(
        spec(
            devices=[
                {"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 0o600},
                {"path": "/dev/../dev/null", "type": "u", "major": 1, "minor": 3, "uid": 5},
                {"path": "/run/pipe", "type": "p", "major": 9, "minor": 9, "gid": 6},
                {"path": "/dev/loop", "type": "b", "major": 7, "minor": 0},
            ]
        )
    )
    devices = plan["devices"]

    assert [d["path"] for d in devices[:4]] == ["/dev/fuse", "/dev/null", "/run/pipe", "/dev/loop"]
    assert [d["kind"] for d in devices[:4]] == ["c", "c", "p", "b"]
    assert [d["mode"] for d in devices[:4]] == [0o600, 0o666, 0o666, 0o666]
    assert (devices[1]["uid"], devices[2]["gid"]) == (5, 6)
    # A FIFO has no numbers, whatever is written.
    assert (devices[2]["major"], devices[2]["minor"]) == (0, 0)
    assert [d["key"] for d in devices[:2]] == ["linux.devices[0]", "linux.devices[1]"]
    assert [d["path"] for d in devices].count("/dev/null") == 1
    assert len(devices) == 4 + len(DEFAULT_DEVICES) - 1


@pytest.mark.parametrize(
    ("mounts", "expected"),
    [
        ([{"destination": "/dev", "type": "tmpfs"}], True),
        ([{"destination": "/dev/", "type": "none", "source": "/dev", "options": ["rbind"]}], False),
        ([{"destination": "/dev/x", "type": "none", "source": "/x", "options": ["bind"]}], True),
    ],
)
def test_nothing_is_made_in_a_dev_that_is_the_hosts(
    mounts: list[dict[str, Any]], expected: bool
) -> None:
    assert compiled({**SMALL, "mounts": mounts})["setup_dev"] is expected


# The rest -----------------------------------------------------------------------------------------


def test_masked_and_readonly_paths_once_each_in_order() -> None:
    plan = compiled(
        spec(maskedPaths=["/b", "/a/", "/b/.", "/a"], readonlyPaths=["/z", "/y", "//z"])
    )

    assert plan["masked"] == ["/b", "/a"]
    assert plan["readonly"] == ["/z", "/y"]


def test_sysctls_by_path_sorted() -> None:
    plan = compiled(
        spec(
            namespaces=[{"type": "mount"}, {"type": "network"}, {"type": "ipc"}],
            sysctl={"net.ipv4.ip_forward": "1", "kernel.msgmax": "9"},
        )
    )

    assert plan["sysctl"] == [("kernel/msgmax", "9"), ("net/ipv4/ip_forward", "1")]


@pytest.mark.parametrize(
    ("name", "flags"),
    [
        ("", m.MS_SLAVE | m.MS_REC),
        ("private", m.MS_PRIVATE),
        ("rprivate", m.MS_PRIVATE | m.MS_REC),
        ("slave", m.MS_SLAVE),
        ("rslave", m.MS_SLAVE | m.MS_REC),
        ("shared", m.MS_SHARED),
        ("rshared", m.MS_SHARED | m.MS_REC),
        ("unbindable", m.MS_UNBINDABLE),
        ("runbindable", m.MS_UNBINDABLE | m.MS_REC),
    ],
)
def test_propagation_of_the_root(name: str, flags: int) -> None:
    assert compiled(spec(rootfsPropagation=name))["propagation"] == flags


@pytest.mark.parametrize(("domain", "number"), [("LINUX", 0), ("LINUX32", 8)])
def test_personality(domain: str, number: int) -> None:
    assert compiled(spec(personality={"domain": domain}))["personality"] == number


def test_only_the_hooks_that_run_inside_are_in_the_plan() -> None:
    stages = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart")
    document = {**SMALL, "hooks": {stage: [{"path": f"/{stage}"}] for stage in stages}}
    plan = compiled(document)

    assert plan["create_container_hooks"] == [{"path": "/createContainer"}]
    assert plan["start_container_hooks"] == [{"path": "/startContainer"}]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (None, None),
        ({"mode": "MPOL_DEFAULT"}, (0, [])),
        ({"mode": "MPOL_BIND", "nodes": "0,2-3"}, (2, [0, 2, 3])),
        (
            {"mode": "MPOL_INTERLEAVE", "nodes": "1", "flags": ["MPOL_F_STATIC_NODES"]},
            (3 | 1 << 15, [1]),
        ),
    ],
)
def test_memory_policy(policy: dict[str, Any] | None, expected: object) -> None:
    linux = {"memoryPolicy": policy} if policy else {}

    assert compiled(spec(**linux))["memory_policy"] == expected


def test_limits_become_writes() -> None:
    plan = compiled(spec(resources={"pids": {"limit": 5}, "memory": {"limit": 1 << 20}}))

    assert ["pids", "pids.max", "5"] in [write[:3] for write in plan["cgroup_writes"]]
    assert ["memory", "memory.limit_in_bytes", "1048576"] in [
        write[:3] for write in plan["cgroup_writes"]
    ]


def test_a_limit_that_nobody_keeps_is_refused() -> None:
    assert "linux.resources.cpu" in refused(spec(resources={"cpu": {"shares": 5}}))


def test_seccomp_is_checked() -> None:
    profile = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["write"], "action": "SCMP_ACT_NOTIFY"}],
    }
    assert refused(spec(seccomp=profile)).startswith("linux.seccomp")
