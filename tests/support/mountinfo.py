"""Read mount tables and control group hierarchies, without any code of the runtime under test."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, order=True)
class Mount:
    """One line of /proc/PID/mountinfo (proc(5)), without the numbers that differ at each boot."""

    target: str
    root: str
    fstype: str
    source: str
    options: frozenset[str]
    super_options: frozenset[str]
    propagation: frozenset[str]


def _unescape(field: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)


def parse_mountinfo(text: str) -> list[Mount]:
    """Parse the whole table; later mounts on one target come later."""
    mounts = []
    for line in text.splitlines():
        left, _, right = line.partition(" - ")
        fields = left.split(" ")
        fstype, source, super_options = right.split(" ", 2)
        # A peer group's number is of no interest, whether there is one is.
        kinds = frozenset(tag.partition(":")[0] for tag in fields[6:] if tag)
        mounts.append(
            Mount(
                target=_unescape(fields[4]),
                root=_unescape(fields[3]),
                fstype=fstype,
                source=_unescape(source),
                options=frozenset(fields[5].split(",")),
                super_options=frozenset(super_options.split(",")),
                propagation=kinds,
            )
        )
    return mounts


def mounts(pid: int | str = "self") -> list[Mount]:
    """Return the mount table of a process."""
    return parse_mountinfo(Path(f"/proc/{pid}/mountinfo").read_text())


def cgroup_mounts() -> dict[str, Path]:
    """Return hierarchy name -> mount point; the name is what /proc/PID/cgroup writes ("" is v2)."""
    found: dict[str, Path] = {}
    for mount in mounts():
        if mount.fstype == "cgroup2":
            found.setdefault("", Path(mount.target))
        elif mount.fstype == "cgroup":
            known = {"rw", "ro", "xattr", "noprefix", "clone_children"}
            named = [option for option in mount.super_options if option.startswith("name=")]
            rest = [option for option in mount.super_options - known if "=" not in option] or named
            found.setdefault(",".join(sorted(rest)), Path(mount.target))
    return found


def cgroup_of(pid: int | str = "self") -> dict[str, str]:
    """Return hierarchy name -> path of a process within that hierarchy."""
    found = {}
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        found[",".join(sorted(controllers.split(",")))] = path
    return found
