"""compile_plan: a validated Spec, for one bundle on one host, to a LaunchPlan."""

from __future__ import annotations

import runtime.linux.mounts as m
from runtime.cgroups import compile_devices, compile_resources
from runtime.errors import ConfigError
from runtime.linux.namespaces import FLAGS
from runtime.plan.mounts import compile_mount, id_map, normalise
from runtime.plan.numa import compile_memory_policy
from runtime.plan.process import compile_process
from runtime.seccomp import check as check_seccomp
from runtime.spec.sysctl import sysctl_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.cgroups import Layout
    from runtime.plan.types import DeviceOp, LaunchPlan
    from runtime.spec.types import Linux, Spec

PLAN_VERSION = 1

# config-linux.md#default-devices; /dev/console is bound when there is a terminal, ptmx is a link.
DEFAULT_DEVICES = (
    ("/dev/null", 1, 3),
    ("/dev/zero", 1, 5),
    ("/dev/full", 1, 7),
    ("/dev/tty", 5, 0),
    ("/dev/urandom", 1, 9),
    ("/dev/random", 1, 8),
)
ROOTFS_PROPAGATION = {
    "": m.MS_SLAVE | m.MS_REC,
    "private": m.MS_PRIVATE,
    "rprivate": m.MS_PRIVATE | m.MS_REC,
    "slave": m.MS_SLAVE,
    "rslave": m.MS_SLAVE | m.MS_REC,
    "shared": m.MS_SHARED,
    "rshared": m.MS_SHARED | m.MS_REC,
    "unbindable": m.MS_UNBINDABLE,
    "runbindable": m.MS_UNBINDABLE | m.MS_REC,
}
PERSONALITIES = {"LINUX": 0x0000, "LINUX32": 0x0008}


def compile_plan(
    spec: Spec, layout: Layout, bundle: str, warn: Callable[[str], None]
) -> LaunchPlan:
    """Compile; pure. bundle: absolute path of the bundle; layout: the host's cgroups.

    Raises ConfigError for what this runtime cannot do on such a host.
    """
    linux = spec.get("linux", {})
    new, join = _namespaces(linux)
    _check_namespaces(spec, new, join)
    mounts = [
        compile_mount(i, mount, linux, bundle, warn)
        for i, mount in enumerate(spec.get("mounts", []))
    ]
    resources = linux.get("resources", {})
    seccomp = linux.get("seccomp")
    if seccomp:
        check_seccomp(seccomp)
    process = spec.get("process")
    hooks = spec.get("hooks", {})
    personality = linux.get("personality")
    root = spec["root"]
    devices = _devices(linux)
    return {
        "version": PLAN_VERSION,
        "rootfs": root["path"] if root["path"].startswith("/") else f"{bundle}/{root['path']}",
        "new": new,
        "join": join,
        "uid_map": _id_map(linux, "uidMappings", new, warn),
        "gid_map": _id_map(linux, "gidMappings", new, warn),
        "time_offsets": _time_offsets(linux),
        "propagation": ROOTFS_PROPAGATION[linux.get("rootfsPropagation", "")],
        "mounts": mounts,
        # A bind mount over /dev brings its own nodes; they belong to the host.
        "setup_dev": not any(op["kind"] == "bind" and op["destination"] == "/dev" for op in mounts),
        "devices": devices,
        "masked": _unique_paths(linux.get("maskedPaths", [])),
        "readonly": _unique_paths(linux.get("readonlyPaths", [])),
        "root_readonly": root.get("readonly", False),
        "hostname": spec.get("hostname", ""),
        "domainname": spec.get("domainname", ""),
        "sysctl": sorted((sysctl_path(k), v) for k, v in linux.get("sysctl", {}).items()),
        "personality": PERSONALITIES[personality["domain"]] if personality else None,
        "memory_policy": compile_memory_policy(linux.get("memoryPolicy")),
        "loopback": bool(new & FLAGS["network"]),
        "net_devices": [
            (host, device.get("name") or host)
            for host, device in linux.get("netDevices", {}).items()
        ],
        "mount_label": linux.get("mountLabel", ""),
        "seccomp": dict(seccomp) if seccomp else None,
        "process": compile_process(process) if process else None,
        "create_container_hooks": list(hooks.get("createContainer", [])),
        "start_container_hooks": list(hooks.get("startContainer", [])),
        "cgroup_writes": [list(write) for write in compile_resources(resources, layout, warn)],
        "cgroup_devices": list(
            compile_devices(resources.get("devices", []), linux.get("devices", []))
        ),
    }


def _namespaces(linux: Linux) -> tuple[int, list[tuple[str, str, str]]]:
    new = 0
    join: list[tuple[str, str, str]] = []
    for index, namespace in enumerate(linux.get("namespaces", [])):
        path = namespace.get("path")
        if path:
            join.append((namespace["type"], path, f"linux.namespaces[{index}].path"))
        else:
            new |= FLAGS[namespace["type"]]
    return new, join


def _check_namespaces(spec: Spec, new: int, join: list[tuple[str, str, str]]) -> None:
    private_mounts = new & FLAGS["mount"] or any(kind == "mount" for kind, _, _ in join)
    if not private_mounts:
        linux = spec.get("linux", {})
        for key, value in (
            ("mounts", spec.get("mounts")),
            ("linux.maskedPaths", linux.get("maskedPaths")),
            ("linux.readonlyPaths", linux.get("readonlyPaths")),
            ("root.readonly", spec["root"].get("readonly")),
        ):
            if value:
                raise ConfigError(
                    key, 'needs a mount namespace (add {"type": "mount"} to linux.namespaces)'
                )


def _time_offsets(linux: Linux) -> list[tuple[str, int, int]]:
    offsets = linux.get("timeOffsets", {})
    clocks = (("monotonic", offsets.get("monotonic")), ("boottime", offsets.get("boottime")))
    return [
        (clock, offset.get("secs", 0), offset.get("nanosecs", 0))
        for clock, offset in clocks
        if offset
    ]


def _id_map(
    linux: Linux, name: str, new: int, warn: Callable[[str], None]
) -> list[tuple[int, int, int]]:
    entries = (
        linux.get("uidMappings", []) if name == "uidMappings" else linux.get("gidMappings", [])
    )
    if not entries and new & FLAGS["user"]:
        # crun's choice: a namespace without a map could not even own its root.
        warn(f"linux.{name}: none for the new user namespace; only 0 is mapped, to 0")
        return [(0, 0, 1)]
    return id_map(entries)


def _devices(linux: Linux) -> list[DeviceOp]:
    """The configuration's devices first, then the defaults it does not name itself."""
    ops: list[DeviceOp] = []
    for index, device in enumerate(linux.get("devices", [])):
        kind = "c" if device["type"] == "u" else device["type"]
        ops.append(
            {
                "key": f"linux.devices[{index}]",
                "path": normalise(device["path"]),
                "kind": kind,
                "major": 0 if kind == "p" else device.get("major", 0),
                "minor": 0 if kind == "p" else device.get("minor", 0),
                "mode": device.get("fileMode", 0o666) & 0o7777,
                "uid": device.get("uid", 0),
                "gid": device.get("gid", 0),
            }
        )
    named = {op["path"] for op in ops}
    for path, major, minor in DEFAULT_DEVICES:
        if path not in named:
            ops.append(
                {
                    "key": "default device",
                    "path": path,
                    "kind": "c",
                    "major": major,
                    "minor": minor,
                    "mode": 0o666,
                    "uid": 0,
                    "gid": 0,
                }
            )
    return ops


def _unique_paths(paths: list[str]) -> list[str]:
    """Duplicates are mounted once, so that they do not pile up."""
    return list(dict.fromkeys(normalise(path) for path in paths))
