"""Rules for a whole config.json: what one value says must agree with the others.

Every rule turns into one message what would otherwise be a bare EINVAL, or worse a setting that
the kernel quietly applies to the host. The document has passed its tables (document.py) before.
"""

from __future__ import annotations

from runtime.errors import ConfigError
from runtime.jsonio import quote
from runtime.spec.idmap import check_mappings
from runtime.spec.netdev import check_net_devices
from runtime.spec.numa import check_memory_policy
from runtime.spec.process import check_env, check_process
from runtime.spec.resources import check_resources
from runtime.spec.sysctl import check_sysctl

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from runtime.spec.types import Device, Hooks, IntelRdt, Linux, Mount, Namespace, Spec


def check_spec(spec: Spec, warn: Callable[[str], None]) -> None:
    """Raise ConfigError, or settle the details in place. No system call, no clock."""
    _check_version(spec["ociVersion"])
    linux: Linux = spec.get("linux", {})
    namespaces = _check_namespaces(linux.get("namespaces", []))
    if "process" in spec:
        check_process(spec["process"], "process", warn)
    for key, value in (("hostname", spec.get("hostname")), ("domainname", spec.get("domainname"))):
        if value is not None and "uts" not in namespaces:
            raise ConfigError(key, f"unable to set {key} without a private UTS namespace")
    check_mounts(spec.get("mounts", []), namespaces, warn)
    _check_hooks(spec.get("hooks", {}))
    _check_linux(linux, namespaces, warn)


def _check_version(version: str) -> None:
    """Semantic Versioning 2.0.0; major version 1 is what this runtime reads."""
    core, _, build = version.partition("+")
    core, dash, pre = core.partition("-")
    parts = core.split(".")
    good = len(parts) == 3 and all(p.isascii() and p.isdigit() for p in parts)
    for tail in (pre if dash else "x", build if "+" in version else "x"):
        words = tail.replace("-", "").split(".")
        good = good and all((w.isascii() and w.isalnum()) or w == "" for w in words)
        good = good and tail != ""
    if not good:
        raise ConfigError(
            "ociVersion", f'expected a version such as "1.3.0", found {quote(version)}'
        )
    if parts[0] != "1":
        raise ConfigError("ociVersion", f"expected version 1.x, found {quote(version)}")


def _check_namespaces(listed: list[Namespace]) -> dict[str, str]:
    """The container's own namespaces: type to path, "" for a new one."""
    seen: dict[str, int] = {}
    for index, namespace in enumerate(listed):
        kind = namespace["type"]
        if kind in seen:
            raise ConfigError(
                f"linux.namespaces[{index}].type",
                f"{kind} is already given by linux.namespaces[{seen[kind]}]",
            )
        seen[kind] = index
    return {namespace["type"]: namespace.get("path", "") for namespace in listed}


def check_mounts(
    mounts: list[Mount], namespaces: Collection[str], warn: Callable[[str], None]
) -> None:
    """Raise ConfigError. namespaces: the kinds that the container has."""
    for index, mount in enumerate(mounts):
        _check_mount(mount, f"mounts[{index}]", namespaces, warn)


def _check_mount(
    mount: Mount, path: str, namespaces: Collection[str], warn: Callable[[str], None]
) -> None:
    if not mount["destination"].startswith("/"):
        warn(
            f"{path}.destination: relative paths are deprecated, "
            f"taking {quote(mount['destination'])} from /"
        )
    options = mount.get("options", [])
    if "source" not in mount and (
        mount.get("type") == "bind" or "bind" in options or "rbind" in options
    ):
        raise ConfigError(f"{path}.source", "expected the path to bind, found nothing")
    uid, gid = mount.get("uidMappings"), mount.get("gidMappings")
    check_mappings(uid or [], f"{path}.uidMappings")
    check_mappings(gid or [], f"{path}.gidMappings")
    if bool(uid) != bool(gid):
        raise ConfigError(
            path, "id-mapped mounts must have both uid and gid mappings specified, found one"
        )
    if not uid and "user" not in namespaces and ("idmap" in options or "ridmap" in options):
        raise ConfigError(
            f"{path}.options",
            "idmap needs uidMappings and gidMappings here or a user namespace, found neither",
        )


def _check_hooks(hooks: Hooks) -> None:
    for stage, listed in hooks.items():
        for index, hook in enumerate(listed):  # type: ignore[arg-type, var-annotated]
            check_env(hook.get("env", []), f"hooks.{stage}[{index}].env")


def _check_linux(linux: Linux, namespaces: dict[str, str], warn: Callable[[str], None]) -> None:
    _check_user_namespace(linux, namespaces)
    if linux.get("timeOffsets"):
        if "time" not in namespaces:
            raise ConfigError("linux.timeOffsets", "needs a time namespace, found none")
        if namespaces["time"]:
            raise ConfigError(
                "linux.timeOffsets",
                "can be set for a new time namespace only, found one to join by path",
            )
    check_sysctl(linux.get("sysctl", {}), namespaces)
    if "resources" in linux:
        check_resources(linux["resources"], "linux.resources")
    cgroup = linux.get("cgroupsPath", "")
    if ".." in cgroup.replace(":", "/").split("/"):
        raise ConfigError("linux.cgroupsPath", f"expected a path without .., found {quote(cgroup)}")
    for index, device in enumerate(linux.get("devices", [])):
        _check_device(device, f"linux.devices[{index}]")
    if linux.get("netDevices"):
        if "network" not in namespaces:
            raise ConfigError(
                "linux.netDevices", "unable to move network devices without a NET namespace"
            )
        check_net_devices(linux["netDevices"])
    for key, paths in (
        ("maskedPaths", linux.get("maskedPaths")),
        ("readonlyPaths", linux.get("readonlyPaths")),
    ):
        if paths and "mount" not in namespaces:
            raise ConfigError(
                f"linux.{key}", "unable to restrict paths without a private MNT namespace"
            )
    if "intelRdt" in linux:
        _check_intel_rdt(linux["intelRdt"])
    if "memoryPolicy" in linux:
        check_memory_policy(linux["memoryPolicy"])
    if "personality" in linux and linux["personality"].pop("flags", None):  # type: ignore[typeddict-item]
        warn("linux.personality.flags: ignored, no flag is defined")


def _check_user_namespace(linux: Linux, namespaces: dict[str, str]) -> None:
    uid, gid = linux.get("uidMappings", []), linux.get("gidMappings", [])
    check_mappings(uid, "linux.uidMappings")
    check_mappings(gid, "linux.gidMappings")
    for key, mappings in (("uidMappings", uid), ("gidMappings", gid)):
        if mappings and "user" not in namespaces:
            raise ConfigError(f"linux.{key}", "needs a user namespace, found none")
    if bool(uid) != bool(gid):
        raise ConfigError(
            "linux.gidMappings" if uid else "linux.uidMappings",
            "expected at least one mapping, as for the other kind of id, found none",
        )


def _check_device(device: Device, path: str) -> None:
    if device["type"] != "p":
        for key in ("major", "minor"):
            if key not in device:
                raise ConfigError(f"{path}.{key}", "expected a device number, found nothing")
    if "fileMode" in device:
        device["fileMode"] &= 0o777


def _check_intel_rdt(rdt: IntelRdt) -> None:
    """config-linux.md, IntelRdt; closID becomes the name of a directory in resctrl."""
    closid = rdt.get("closID", "")
    if closid in (".", "..") or ("/" in closid and closid != "/"):
        raise ConfigError(
            "linux.intelRdt.closID", f"expected a directory's name or /, found {quote(closid)}"
        )
    schema = rdt.get("memBwSchema", "MB:")
    if not schema.startswith("MB:"):
        raise ConfigError(
            "linux.intelRdt.memBwSchema",
            f"expected a line that begins with MB:, found {quote(schema)}",
        )
