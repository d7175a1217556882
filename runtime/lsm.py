"""Labels of the Linux security modules: which of them this kernel can apply, and applying them.

config.md#linux-process: apparmorProfile, selinuxLabel; config-linux.md: mountLabel. Where the
kernel has no such module the label is left out with a warning, as crun does: images carry labels
to hosts that know nothing of them.
"""

from __future__ import annotations

import os

from runtime.errors import KernelError
from runtime.init import procfs
from runtime.linux.files import read_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.plan.types import ProcessPlan

SYSFS = "/sys"


class Labels:
    """What is to take effect at execve(2), and on the container's own mounts; "" for none."""

    __slots__ = ("apparmor", "mount", "selinux")

    def __init__(self, apparmor: str = "", selinux: str = "", mount: str = "") -> None:
        self.apparmor = apparmor
        self.selinux = selinux
        self.mount = mount


def usable(
    process: ProcessPlan | None,
    mount_label: str,
    warn: Callable[[str], None],
    sysfs: str = SYSFS,
) -> Labels:
    """The labels as far as this kernel has the modules for them."""
    labels = Labels()
    if mount_label:
        if selinux_enabled(sysfs):
            labels.mount = mount_label
        else:
            warn("linux.mountLabel: SELinux is not enabled on this host; left out")
    if process is None:
        return labels
    if process["apparmor"]:
        if apparmor_enabled(sysfs):
            labels.apparmor = process["apparmor"]
        else:
            warn("process.apparmorProfile: AppArmor is not enabled on this host; left out")
    if process["selinux"]:
        if selinux_enabled(sysfs):
            labels.selinux = process["selinux"]
        else:
            warn("process.selinuxLabel: SELinux is not enabled on this host; left out")
    return labels


def apparmor_enabled(sysfs: str = SYSFS) -> bool:
    """Whether the kernel runs with AppArmor (security/apparmor/lsm.c, parameter `enabled`)."""
    return _first(f"{sysfs}/module/apparmor/parameters/enabled") == "Y"


def selinux_enabled(sysfs: str = SYSFS) -> bool:
    """Whether a policy is loaded: selinuxfs is mounted and tells the mode."""
    return _first(f"{sysfs}/fs/selinux/enforce") in ("0", "1")


def apply(labels: Labels, proc: int) -> None:
    """Ask for the labels at the next execve(2), through a procfs of our own.

    An image could offer another file in place of attr/exec (CVE-2019-16884, CVE-2025-52881).
    proc: descriptor from runtime.init.procfs.open_private. Raises KernelError.
    """
    if labels.apparmor:
        text = f"exec {labels.apparmor}"
        try:
            _write(proc, "attr/apparmor/exec", text)  # Linux 5.8, beside other modules
        except FileNotFoundError:
            try:
                _write(proc, "attr/exec", text)
            except OSError as error:
                raise _error(labels.apparmor, error, "process.apparmorProfile") from None
        except OSError as error:
            raise _error(labels.apparmor, error, "process.apparmorProfile") from None
    if labels.selinux:
        try:
            _write(proc, "attr/exec", labels.selinux)
        except OSError as error:
            raise _error(labels.selinux, error, "process.selinuxLabel") from None


def label_keys(label: str, proc: int) -> None:
    """The SELinux label of keys that are made from here on; "" for the policy's own choice.

    A session keyring has to be usable by what runs under the process's label (keyrings(7)).
    Raises KernelError.
    """
    try:
        _write(proc, "attr/keycreate", label)
    except OSError as error:
        raise _error(label, error, "process.selinuxLabel") from None


def _write(proc: int, name: str, text: str) -> None:
    # `self` is a symbolic link, which strict look-ups refuse; our pid in this procfs is not.
    procfs.write(proc, f"{own_pid(proc)}/{name}", text)


def own_pid(proc: int) -> str:
    """Our own process id as this procfs numbers it."""
    return os.readlink("self", dir_fd=proc)


def _error(label: str, error: OSError, key: str) -> KernelError:
    return KernelError("set label", label, error.errno or 0, key)


def _first(path: str) -> str:
    try:
        return read_text(path).strip()
    except OSError:
        return ""
