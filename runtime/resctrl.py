"""linux.intelRdt: cache and memory bandwidth by groups of the resctrl filesystem.

Source: config-linux.md#intel-rdt and Documentation/filesystems/resctrl.rst. Kernels without it, or
hosts that have not mounted it, make a configuration that asks for it fail.
"""

from __future__ import annotations

import errno
import os

from runtime.cgroups.layout import unescape
from runtime.errors import ConfigError, CrecheError, KernelError
from runtime.linux.files import read_text, write_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.spec.types import IntelRdt

_KEY = "linux.intelRdt"

# Option of `update`, key in linux.intelRdt, directory of info/ that shows the feature, message.
_FEATURES = (
    ("l3CacheSchema", "L3", "Intel RDT/CAT: l3 cache schema is not enabled"),
    ("memBwSchema", "MB", "Intel RDT/MBA: memory bandwidth schema is not enabled"),
)


def mountpoint() -> str:
    """Where resctrl is mounted, "" if it is not."""
    for line in read_text("/proc/self/mountinfo").splitlines():
        before, _dash, after = line.partition(" - ")
        if after.startswith("resctrl "):
            return unescape(before.split(" ")[4])
    return ""


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


def join(rdt: IntelRdt, container_id: str, pid: int, root: str) -> Group:
    """Put a process into its group, made where closID names none that is there.

    root: mountpoint().
    All or nothing: what was made is removed again on failure. Raises ConfigError, KernelError.
    """
    if not root or not os.path.exists(f"{root}/tasks"):
        raise ConfigError(_KEY, "needs resctrl, which is not mounted")
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


def check(schemas: dict[str, str], configured: object, top: str) -> None:
    """Whether the schemas that are given (key of linux.intelRdt -> text) can be written.

    configured: linux.intelRdt of the container, or None; top: mountpoint(). Raises CrecheError.
    """
    for key, feature, refusal in _FEATURES:
        if schemas.get(key) and not (top and os.path.isdir(f"{top}/info/{feature}")):
            raise CrecheError(refusal)
    if not configured:
        raise CrecheError("updating a non-existent Intel RDT configuration is not supported")


def write(schemas: dict[str, str], group: str, top: str) -> None:
    """Write them to the group that the container is in ("/": the top one). Raises KernelError."""
    directory = top if group == "/" else f"{top}/{group}"
    for key, _feature, _refusal in _FEATURES:
        for line in schemas.get(key, "").splitlines():
            _write_line(directory, line, f"linux.intelRdt.{key}", top)


def _write_line(directory: str, line: str, key: str, top: str) -> None:
    try:
        write_text(f"{directory}/schemata", line + "\n")
    except OSError as error:
        hint = ""
        if error.errno == errno.EINVAL:
            try:  # the kernel says there what it did not like
                hint = read_text(f"{top}/info/last_cmd_status").strip()
            except OSError:
                hint = ""
        path = f"{directory}/schemata"
        raise KernelError(f"write {line!r} to", path, error.errno or 0, key, hint) from None
