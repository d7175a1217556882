"""What a command line asks of CRIU, and what dumping and restoring have in common."""

from __future__ import annotations

import os

import runtime.linux.namespaces as ns
from runtime.errors import ConfigError, CrecheError, KernelError, strerror

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from runtime.spec.types import Spec

DESCRIPTORS = "descriptors.json"  # as runc names it: what 0, 1 and 2 were when it was dumped
_CONFIG = "org.criu.config"


class Order:
    """images, work, parent: directories, the last relative to the first; "" for none.

    flags: options of CRIU that are on or off, by name. cgroups: a criu_cg_mode. page_server:
    address and port. status_fd: -1 for none. empty_ns: CLONE_NEW* flags.
    """

    __slots__ = (
        "cgroups", "empty_ns", "flags", "images", "lsm_mount_context", "lsm_profile",
        "page_server", "parent", "status_fd", "work",
    )  # fmt: skip

    def __init__(self, images: str, work: str = "", parent: str = "") -> None:
        self.images = images
        self.work = work
        self.parent = parent
        self.flags: dict[str, bool] = {}
        self.cgroups = 3
        self.page_server: tuple[str, int] | None = None
        self.status_fd = -1
        self.empty_ns = 0
        self.lsm_profile = ""
        self.lsm_mount_context = ""

    def log(self, name: str) -> str:
        """Where CRIU tells what it does."""
        return f"{self.work or self.images}/{name}"


class Directories:
    """The images' and the working directory, open. Close it."""

    def __init__(self, order: Order, make: bool) -> None:
        """make: make them where they are missing. Raises KernelError."""
        self.images = _open(order.images, make, "--image-path")
        self.work = -1
        try:
            if order.work:
                self.work = _open(order.work, True, "--work-path")
        except BaseException:
            os.close(self.images)
            raise

    def close(self) -> None:
        for fd in (self.images, self.work):
            if fd >= 0:
                os.close(fd)


def _open(path: str, make: bool, option: str) -> int:
    try:
        if make:
            try:
                os.mkdir(path, 0o700)
            except FileExistsError:
                pass
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise KernelError(f"{option}: open", path, error.errno or 0) from None


def common(order: Order, directories: Directories, spec: Spec, log: str) -> dict[str, Any]:
    """Options that both requests have."""
    options: dict[str, Any] = {
        "images_dir_fd": directories.images,
        "log_level": 4,
        "log_file": log,
        "manage_cgroups": True,
        "manage_cgroups_mode": order.cgroups,
        "notify_scripts": True,
        "orphan_pts_master": True,
        "empty_ns": order.empty_ns,
        **order.flags,
    }
    if directories.work >= 0:
        options["work_dir_fd"] = directories.work
    # Whoever may write the configuration of a container may name a file of further options: the
    # list of unsafe annotations in `features` has it. An empty one means none.
    config = spec.get("annotations", {}).get(_CONFIG, "/etc/criu/runc.conf")
    if config:
        options["config_file"] = config
    return options


def binds(spec: Spec) -> Iterator[tuple[str, str]]:
    """Destination and source of each bind mount: CRIU takes them for somebody else's."""
    for mount in spec.get("mounts", []):
        options = mount.get("options", [])
        if mount.get("type") == "bind" or "bind" in options or "rbind" in options:
            yield normal(mount["destination"]), mount.get("source", "")


def normal(path: str) -> str:
    return "/" + "/".join(part for part in path.split("/") if part not in ("", "."))


def external_namespaces(spec: Spec) -> Iterator[tuple[str, str, str]]:
    """Kind, path and CRIU's key of each network and pid namespace that was joined."""
    for index, namespace in enumerate(spec.get("linux", {}).get("namespaces", [])):
        path = namespace.get("path", "")
        if not path:
            continue
        kind = namespace["type"]
        if kind == "cgroup":
            raise ConfigError(f"linux.namespaces[{index}]", "criu cannot join a cgroup namespace")
        yield kind, path, f"extRoot{ns.PROC_NAMES[kind].capitalize()}NS"


def check_parent(images: str, parent: str) -> None:
    """--parent-path is relative to the images and a directory there. Raises CrecheError."""
    if not parent:
        return
    if parent.startswith("/"):
        raise CrecheError(f"invalid --parent-path {parent}: expected a path relative to the images")
    path = os.path.normpath(f"{images}/{parent}")  # the images' directory may have to be made yet
    try:
        os.close(os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
    except OSError as error:
        raise CrecheError(
            f"invalid --parent-path: stat {path}: {strerror(error.errno or 0)}"
        ) from None
