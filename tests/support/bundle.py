"""Make OCI bundles: a root file system of busybox, and a config that a test patches."""

from __future__ import annotations

import copy
import functools
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

BUSYBOX = Path("/bin/busybox")

Config = dict[str, Any]
Patch = Mapping[str, Any] | Callable[[Config], object] | None

PATH_VARIABLE = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

MINIMAL: Config = {
    "ociVersion": "1.0.2",
    "root": {"path": "rootfs"},
    "process": {
        "terminal": False,
        "user": {"uid": 0, "gid": 0},
        "args": ["/bin/true"],
        "env": [PATH_VARIABLE],
        "cwd": "/",
    },
    "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
    "linux": {"namespaces": [{"type": "mount"}, {"type": "pid"}]},
}

_CAPABILITIES = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]


def _mount(destination: str, kind: str, source: str, *options: str) -> Config:
    return {
        "destination": destination,
        "type": kind,
        "source": source,
        "options": list(options),
    }


# What `runc spec` writes, but without a terminal: the config most containers resemble.
FULL: Config = {
    "ociVersion": "1.0.2",
    "process": {
        "terminal": False,
        "user": {"uid": 0, "gid": 0},
        "args": ["/bin/true"],
        "env": [PATH_VARIABLE, "TERM=xterm"],
        "cwd": "/",
        "capabilities": {
            "bounding": _CAPABILITIES,
            "effective": _CAPABILITIES,
            "permitted": _CAPABILITIES,
        },
        "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
        "noNewPrivileges": True,
    },
    "root": {"path": "rootfs", "readonly": True},
    "hostname": "crt",
    "mounts": [
        _mount("/proc", "proc", "proc"),
        _mount("/dev", "tmpfs", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k"),
        _mount(
            "/dev/pts",
            "devpts",
            "devpts",
            "nosuid",
            "noexec",
            "newinstance",
            "ptmxmode=0666",
            "mode=0620",
            "gid=5",
        ),
        _mount("/dev/shm", "tmpfs", "shm", "nosuid", "noexec", "nodev", "mode=1777", "size=65536k"),
        _mount("/dev/mqueue", "mqueue", "mqueue", "nosuid", "noexec", "nodev"),
        _mount("/sys", "sysfs", "sysfs", "nosuid", "noexec", "nodev", "ro"),
        _mount("/sys/fs/cgroup", "cgroup", "cgroup", "nosuid", "noexec", "nodev", "relatime", "ro"),
    ],
    "linux": {
        "resources": {"devices": [{"allow": False, "access": "rwm"}]},
        "namespaces": [
            {"type": "pid"},
            {"type": "network"},
            {"type": "ipc"},
            {"type": "uts"},
            {"type": "mount"},
        ],
        "maskedPaths": ["/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/timer_list"],
        "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys"],
    },
}


@functools.cache
def applets() -> tuple[str, ...]:
    """Return the names busybox answers to."""
    listing = subprocess.run([BUSYBOX, "--list"], check=True, capture_output=True, text=True)
    return tuple(listing.stdout.split())


def make_rootfs(directory: Path) -> Path:
    """Fill a directory with a busybox system small enough to be made anew for each test.

    /proc, /sys, /dev, /tmp … exist and are empty. ``id -u nobody`` and the like work: there is a
    passwd and a group file with root, nobody and a plain user ``crt`` (1000).
    """
    for name in ("bin", "etc", "dev", "proc", "sys", "run", "root", "home/crt", "var/tmp", "mnt"):
        (directory / name).mkdir(parents=True)
    (directory / "tmp").mkdir()
    (directory / "tmp").chmod(0o1777)
    shutil.copy(BUSYBOX, directory / "bin/busybox")
    for applet in applets():
        if applet != "busybox":
            (directory / "bin" / applet).symlink_to("busybox")
    (directory / "etc/passwd").write_text(
        "root:x:0:0:root:/root:/bin/sh\n"
        "crt:x:1000:1000:crt:/home/crt:/bin/sh\n"
        "nobody:x:65534:65534:nobody:/:/bin/false\n"
    )
    (directory / "etc/group").write_text("root:x:0:\ntty:x:5:\ncrt:x:1000:\nnogroup:x:65534:\n")
    return directory


def merge(config: Config, patch: Mapping[str, Any]) -> None:
    """Merge a patch into a config: objects are merged, None removes, everything else replaces."""
    for key, value in patch.items():
        if value is None:
            config.pop(key, None)
        elif isinstance(value, Mapping) and isinstance(config.get(key), dict):
            merge(config[key], value)
        else:
            config[key] = copy.deepcopy(value)


class Bundle:
    """A bundle directory. Change ``config``, then ``write()``."""

    def __init__(self, path: Path, config: Config) -> None:
        self.path = path
        self.rootfs = path / "rootfs"
        self.config = config

    def write(self) -> Bundle:
        """Write config.json."""
        (self.path / "config.json").write_text(json.dumps(self.config, indent="\t"))
        return self

    def patch(self, patch: Patch) -> Bundle:
        """Apply a patch (see ``merge``; or a function that changes the config) and write."""
        if callable(patch):
            patch(self.config)
        elif patch is not None:
            merge(self.config, patch)
        return self.write()

    def script(self, name: str, text: str, *, inside: bool = False) -> Path:
        """Write an executable sh script into the bundle, or into its root file system."""
        path = (self.rootfs if inside else self.path) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return path

    def __fspath__(self) -> str:
        return os.fspath(self.path)

    def __str__(self) -> str:
        return str(self.path)


def make_bundle(
    path: Path,
    patch: Patch = None,
    *,
    args: list[str] | None = None,
    sh: str | None = None,
    base: Config = FULL,
    rootfs: bool = True,
) -> Bundle:
    """Make a bundle in a new directory.

    ``args`` is the program; ``sh`` is short for ``["/bin/sh", "-c", sh]``. ``rootfs=False`` leaves
    the root file system an empty directory.
    """
    config = copy.deepcopy(base)
    if sh is not None:
        args = ["/bin/sh", "-c", sh]
    if args is not None:
        config["process"]["args"] = args
    path.mkdir(parents=True)
    bundle = Bundle(path, config)
    bundle.rootfs.mkdir()
    if rootfs:
        make_rootfs(bundle.rootfs)
    return bundle.patch(patch)
