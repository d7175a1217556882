"""linux.intelRdt: cache and memory bandwidth by groups of the resctrl filesystem.

Source: config-linux.md#intel-rdt and Documentation/filesystems/resctrl.rst. Kernels without it, or
hosts that have not mounted it, make a configuration that asks for it fail.
"""

from __future__ import annotations

import errno
import os

from runtime.errors import ConfigError, KernelError
from runtime.linux.files import write_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.spec.types import IntelRdt

ROOT = "/sys/fs/resctrl"
_KEY = "linux.intelRdt"


class Group:
    """A container's place in resctrl. made: directories that go when the container goes."""

    __slots__ = ("directory", "made", "monitoring")

    def __init__(self, directory: str, monitoring: str, made: list[str]) -> None:
        self.directory = directory
        self.monitoring = monitoring
        self.made = made


def schemata(rdt: IntelRdt) -> list[str]:
    """Every line to write, in the order the specification gives: L3, memory bandwidth, the rest."""
    lines = []
    for text in (rdt.get("l3CacheSchema", ""), rdt.get("memBwSchema", "")):
        lines += [line for line in text.split("\n") if line.strip()]
    return lines + list(rdt.get("schemata", []))


def join(rdt: IntelRdt, container_id: str, pid: int, root: str = ROOT) -> Group:
    """Put a process into its group, made where closID names none that is there.

    All or nothing: what was made is removed again on failure. Raises ConfigError, KernelError.
    """
    if not os.path.exists(f"{root}/tasks"):
        raise ConfigError(_KEY, f"needs resctrl, which is not mounted on {root}")
    name = rdt.get("closID", "") or container_id
    directory = root if name == "/" else f"{root}/{name}"
    made: list[str] = []
    try:
        _make_group(rdt, directory, made)
        monitoring = ""
        if rdt.get("enableMonitoring"):
            monitoring = f"{directory}/mon_groups/{container_id}"
            os.mkdir(monitoring)
            made.append(monitoring)
        for target in filter(None, (directory, monitoring)):
            write_text(f"{target}/tasks", str(pid))
    except OSError as error:
        remove(made)
        raise KernelError("resctrl", error.filename or directory, error.errno or 0, _KEY) from None
    except ConfigError:
        remove(made)
        raise
    return Group(directory, monitoring, made)


def remove(made: list[str]) -> None:
    """Remove groups, the last made first; fine if they are gone."""
    for directory in reversed(made):
        try:
            os.rmdir(directory)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.EBUSY):
                raise KernelError("remove", directory, error.errno or 0, _KEY) from None


def _make_group(rdt: IntelRdt, directory: str, made: list[str]) -> None:
    wanted = schemata(rdt)
    if os.path.isdir(directory):
        # An existing class of service is the administrator's: it must say what we would write.
        if rdt.get("closID") and wanted:
            _verify(directory, wanted)
        return
    if rdt.get("closID") and not wanted:
        raise ConfigError(f"{_KEY}.closID", f"{directory} does not exist, and no schema is given")
    os.mkdir(directory)
    made.append(directory)
    for line in wanted:
        write_text(f"{directory}/schemata", line + "\n")


def _verify(directory: str, wanted: list[str]) -> None:
    with open(f"{directory}/schemata", encoding="ascii") as file:
        present = {"".join(line.split()) for line in file}
    for line in wanted:
        if "".join(line.split()) not in present:
            raise ConfigError(_KEY, f"{directory}/schemata does not hold the line {line!r}")
