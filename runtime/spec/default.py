"""The config.json that `creche spec` writes: a safe start for people to edit.

Shape and order are those of `runc spec`, since scripts edit the file with jq.
"""

from __future__ import annotations

from runtime.jsonio import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.spec.types import Mount, Namespace, Spec

OCI_VERSION = "1.3.0"  # of the runtime-spec that these modules implement


def default_spec(
    hostname: str = "creche",
    cgroup_namespace: bool = False,
    rootless: bool = False,
    uid: int = 0,
    gid: int = 0,
) -> Spec:
    """A fresh document; the keys stand in the order in which they are written.

    cgroup_namespace: True on hosts with cgroup v2 only, as in runc. rootless: for a user who is
    not root, who then is uid and gid (effective ids on the host) and sees himself as 0.
    """
    capabilities = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]
    spec: Spec = {
        "ociVersion": OCI_VERSION,
        "process": {
            "terminal": True,
            "user": {"uid": 0, "gid": 0},
            "args": ["sh"],
            "env": [
                "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "TERM=xterm",
            ],
            "cwd": "/",
            "capabilities": {
                "bounding": list(capabilities),
                "effective": list(capabilities),
                "permitted": list(capabilities),
            },
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
            "noNewPrivileges": True,
        },
        "root": {"path": "rootfs", "readonly": True},
        "hostname": hostname,
        "mounts": _mounts(rootless),
        "linux": {},
    }
    linux = spec["linux"]
    if rootless:
        linux["uidMappings"] = [{"containerID": 0, "hostID": uid, "size": 1}]
        linux["gidMappings"] = [{"containerID": 0, "hostID": gid, "size": 1}]
    else:
        linux["resources"] = {"devices": [{"allow": False, "access": "rwm"}]}
    kinds = ["pid", "network", "ipc", "uts", "mount"]
    if cgroup_namespace:
        kinds.append("cgroup")
    if rootless:
        kinds.remove("network")
        kinds.append("user")
    namespaces: list[Namespace] = [{"type": kind} for kind in kinds]
    linux["namespaces"] = namespaces
    linux["maskedPaths"] = [
        "/proc/acpi",
        "/proc/asound",
        "/proc/kcore",
        "/proc/keys",
        "/proc/latency_stats",
        "/proc/timer_list",
        "/proc/timer_stats",
        "/proc/sched_debug",
        "/sys/firmware",
        "/proc/scsi",
    ]
    linux["readonlyPaths"] = [
        "/proc/bus",
        "/proc/fs",
        "/proc/irq",
        "/proc/sys",
        "/proc/sysrq-trigger",
    ]
    return spec


def _mounts(rootless: bool) -> list[Mount]:
    terminals = ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]
    if not rootless:
        terminals.append("gid=5")  # tty; a single user's namespace has no such group
    mounts: list[Mount] = [
        _mount("/proc", "proc", "proc"),
        _mount("/dev", "tmpfs", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k"),
        _mount("/dev/pts", "devpts", "devpts", *terminals),
        _mount(
            "/dev/shm",  # noqa: S108
            "tmpfs",
            "shm",
            "nosuid",
            "noexec",
            "nodev",
            "mode=1777",
            "size=65536k",
        ),
        _mount("/dev/mqueue", "mqueue", "mqueue", "nosuid", "noexec", "nodev"),
    ]
    if rootless:
        # sysfs cannot be mounted without the network namespace's owner agreeing.
        mounts.append(_mount("/sys", "none", "/sys", "rbind", "nosuid", "noexec", "nodev", "ro"))
    else:
        mounts.append(_mount("/sys", "sysfs", "sysfs", "nosuid", "noexec", "nodev", "ro"))
    mounts.append(
        _mount("/sys/fs/cgroup", "cgroup", "cgroup", "nosuid", "noexec", "nodev", "relatime", "ro")
    )
    return mounts


def _mount(destination: str, kind: str, source: str, *options: str) -> Mount:
    mount: Mount = {"destination": destination, "type": kind, "source": source}
    if options:
        mount["options"] = list(options)
    return mount


def render(spec: Spec) -> str:
    """The text of config.json: indented by tabs, no newline at the end, as runc writes it."""
    return dumps(spec, indent="\t")
