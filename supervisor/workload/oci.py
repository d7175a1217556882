"""An OCI config made of a [container] table: the safe default, changed where the table says so.

Safe default: every namespace (the network one too, unless `network = "host"`), no new privileges,
a small set of capabilities, a read-only root, /sys read-only, the kernel's own knobs masked or
read-only (the lists are those of runtime-spec's `config-linux.md` and of the engines).
"""

from __future__ import annotations

from typing import Any

from supervisor.workload.model import Settings
from supervisor.workload.sections.container import Container
from supervisor.workload.sections.hooks import Hook

Config = dict[str, object]

PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CPU_PERIOD = 100_000
"""Microseconds; `cpu.quota` is `cpus` times this (cgroup-v2.rst, cpu.max)."""

CAPABILITIES = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_NET_BIND_SERVICE",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
)
MASKED = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
)
READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")


def make_config(
    name: str,
    directory: str,
    settings: Settings,
    container: Container,
    rootfs: str,
    filling: tuple[Config, ...] = (),
) -> Config:
    """The config.json of workload `name`; `directory` is what relative paths begin at. Pure.

    `filling` are the mounts that fill an embedded root; they come before the workload's own.
    """
    kinds = ["pid", "ipc", "uts", "mount", "cgroup"]
    if container.network != "host":
        kinds.append("network")
    capabilities = CAPABILITIES if container.capabilities is None else container.capabilities
    uid, gid = container.user
    return {
        "ociVersion": "1.2.0",
        "hostname": container.hostname or name,
        "root": {"path": rootfs, "readonly": container.read_only},
        "process": {
            "terminal": False,
            "user": {"uid": uid, "gid": gid},
            "args": list(container.args),
            "env": _environment(container),
            "cwd": container.cwd,
            "capabilities": {
                kind: list(capabilities) for kind in ("bounding", "effective", "permitted")
            },
            "noNewPrivileges": True,
        },
        "mounts": _mounts(container, filling),
        "hooks": {
            stage: [_hook(hook, directory, settings.hooks.timeout) for hook in hooks]
            for stage, hooks in settings.hooks.stages
        },
        "linux": {
            "namespaces": [{"type": kind} for kind in kinds],
            "resources": _resources(container),
            "maskedPaths": list(MASKED),
            "readonlyPaths": list(READ_ONLY),
        },
    }


def ended_whole(linux: Any) -> Config:
    """A config's `linux` part, with which the kernel kills all of it when memory runs out."""
    resources = linux.get("resources", {})
    unified = {**resources.get("unified", {}), "memory.oom.group": "1"}
    return {**linux, "resources": {**resources, "unified": unified}}


def _environment(container: Container) -> list[str]:
    given = [f"{name}={value}" for name, value in container.env]
    return given if any(name == "PATH" for name, _ in container.env) else [PATH, *given]


def _mounts(container: Container, filling: tuple[Config, ...]) -> list[Config]:
    safe = ["nosuid", "noexec", "nodev"]
    mounts: list[Config] = [
        {"destination": "/proc", "type": "proc", "source": "proc", "options": safe},
        {
            "destination": "/dev",
            "type": "tmpfs",
            "source": "tmpfs",
            "options": ["nosuid", "strictatime", "mode=755", "size=65536k"],
        },
        {
            "destination": "/dev/pts",
            "type": "devpts",
            "source": "devpts",
            "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"],
        },
        {
            "destination": "/dev/shm",  # noqa: S108  a mount point inside the container
            "type": "tmpfs",
            "source": "shm",
            "options": [*safe, "mode=1777", "size=65536k"],
        },
        {
            "destination": "/dev/mqueue",
            "type": "mqueue",
            "source": "mqueue",
            "options": safe,
        },
        {
            "destination": "/sys",
            "type": "sysfs",
            "source": "sysfs",
            "options": [*safe, "ro"],
        },
    ]
    mounts += filling
    for mount in container.mounts:
        mounts.append(
            {
                "destination": mount.destination,
                "type": mount.type,
                "source": mount.source,
                "options": list(mount.options),
            }
        )
    return mounts


def _hook(hook: Hook, directory: str, timeout: float) -> Config:
    path = hook.path if hook.path.startswith("/") else f"{directory}/{hook.path}"
    seconds = timeout if hook.timeout is None else hook.timeout
    made: Config = {"path": path, "args": list(hook.args or (hook.path,))}
    if hook.env:
        made["env"] = [f"{name}={value}" for name, value in hook.env]
    # config.json counts whole seconds and wants more than none; a shorter deadline than a second
    # is kept by the supervisor's own limit.
    made["timeout"] = max(1, -int(-seconds // 1))
    return made


def _resources(container: Container) -> Config:
    resources: Config = {"devices": [{"allow": False, "access": "rwm"}], **limits(container)}
    if container.memory is None:
        del resources["memory"]
    if container.cpus is None:
        del resources["cpu"]
    return resources


def limits(container: Container) -> Config:
    """Of `linux.resources` what may change while it runs, in full: -1 is no limit."""
    cpus = container.cpus
    quota = -1 if cpus is None else max(1000, round(cpus * CPU_PERIOD))
    return {
        "pids": {"limit": container.pids},
        "memory": {"limit": -1 if container.memory is None else container.memory},
        "cpu": {"quota": quota, "period": CPU_PERIOD},
    }
