"""Intel RDT: changing how much cache and memory bandwidth a container's resctrl group may use.

Source: Documentation/arch/x86/resctrl.rst; messages as runc's.
"""

from __future__ import annotations

import errno
import os

from runtime.errors import CrecheError, KernelError

from .layout import unescape
from .writes import read_file, write_file

# Option of `update`, key in linux.intelRdt, directory of info/ that shows the feature, message.
_FEATURES = (
    ("l3CacheSchema", "L3", "Intel RDT/CAT: l3 cache schema is not enabled"),
    ("memBwSchema", "MB", "Intel RDT/MBA: memory bandwidth schema is not enabled"),
)


def mountpoint() -> str:
    """Where resctrl is mounted, "" if it is not."""
    for line in read_file("/proc/self", "mountinfo").splitlines():
        before, _dash, after = line.partition(" - ")
        if after.startswith("resctrl "):
            return unescape(before.split(" ")[4])
    return ""


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
            _write(directory, line, f"linux.intelRdt.{key}", top)


def _write(directory: str, line: str, key: str, top: str) -> None:
    try:
        write_file(directory, "schemata", line + "\n")
    except OSError as error:
        hint = ""
        if error.errno == errno.EINVAL:
            try:  # the kernel says there what it did not like
                hint = read_file(f"{top}/info", "last_cmd_status").strip()
            except OSError:
                hint = ""
        path = f"{directory}/schemata"
        raise KernelError(f"write {line!r} to", path, error.errno or 0, key, hint) from None
