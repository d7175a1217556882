"""Taking writes back: what a file held before, in the form in which it is written.

An update sets several files, and the kernel may refuse the last one. The container is to be left
as it was then, not half-way.
"""

from __future__ import annotations

from runtime.errors import CrecheError

from .writes import OPTIONAL, apply_writes, read_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .writes import Write

# Files with a line for each device; what written after the device's number means "none".
_NO_LIMIT = {
    "io.max": "rbps=max wbps=max riops=max wiops=max",
    "io.weight": "default",
    "io.bfq.weight": "default",
    "blkio.throttle.read_bps_device": "0",
    "blkio.throttle.write_bps_device": "0",
    "blkio.throttle.read_iops_device": "0",
    "blkio.throttle.write_iops_device": "0",
    "blkio.weight_device": "0",
    "blkio.bfq.weight_device": "0",
    "blkio.leaf_weight_device": "0",
}


def snapshot(paths: Mapping[str, str], writes: Iterable[Write]) -> list[Write]:
    """The writes that bring back what `writes` are about to change, where that can be read."""
    before: list[Write] = []
    for hierarchy, name, value, key, _mode in writes:
        try:
            content = read_file(paths[hierarchy], name)
        except (KeyError, OSError):
            continue
        old = _old_value(name, value, content)
        write = [hierarchy, name, old, key, OPTIONAL]
        if old and write not in before:
            before.append(write)
    return before


def _old_value(name: str, value: str, content: str) -> str:
    """What to write; "" for a file of several lines that nobody here knows how to write."""
    lines = content.splitlines()
    device = value.split(" ", 1)[0]
    if ":" in device and name in _NO_LIMIT:
        for line in lines:
            if line.split(" ", 1)[0] == device:
                return line
        return f"{device} {_NO_LIMIT[name]}"
    if name in _NO_LIMIT:  # a weight for all devices beside those for single ones
        return next((line for line in lines if line.startswith("default ")), "")
    if name == "memory.oom_control":
        return lines[0].split()[-1] if lines else ""
    if name.startswith("cpuset.") and not content.strip():
        return "\n"  # version 2: what the cgroup above has
    if len(lines) > 1:  # net_prio.ifpriomap, rdma.max: a line for each interface or device
        return next((line for line in lines if line.split(" ", 1)[0] == device), "")
    return lines[0] if lines else ""


def restore(paths: Mapping[str, str], before: Iterable[Write]) -> None:
    """Write back what can be written back; a failure was reported already, by the update itself."""
    try:
        apply_writes(paths, before)
    except (CrecheError, OSError):
        for write in before:
            try:
                apply_writes(paths, [write])
            except (CrecheError, OSError):
                continue
