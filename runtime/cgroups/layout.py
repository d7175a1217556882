"""Which cgroup hierarchies this process sees, and where it is in each.

Parsing is pure: the two texts come from `/proc/self/mountinfo` (proc_pid_mountinfo(5)) and
`/proc/self/cgroup` (cgroups(7)). A hierarchy is called as the kernel calls it: `cpu,cpuacct` or
`name=systemd` on version 1, and `unified` for the one version 2 tree.
"""

from __future__ import annotations

from runtime.linux.files import read_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

UNIFIED = "unified"


class Hierarchy:
    """One mounted hierarchy.

    root: which cgroup the mount shows at its top ("/" unless it is a bind mount of a part);
    own: the cgroup of this process; both as the kernel prints them.
    """

    __slots__ = ("mountpoint", "name", "own", "root")

    def __init__(self, name: str, mountpoint: str, root: str, own: str) -> None:
        self.name = name
        self.mountpoint = mountpoint
        self.root = root
        self.own = own

    def controllers(self) -> list[str]:
        """The version 1 controllers of this hierarchy; none for a named or the unified one."""
        if self.name == UNIFIED:
            return []
        return [word for word in self.name.split(",") if not word.startswith("name=")]

    def own_directory(self) -> str:
        """Where this process's own cgroup is in the file system."""
        return self.directory_of(self.own)

    def directory_of(self, cgroup: str) -> str:
        """Where a cgroup is in the file system, given as the kernel prints it.

        A cgroup outside of the mount's root (seen from within a cgroup namespace it starts with
        `/..`) has no directory here: the mount's top is the nearest one that has.
        """
        root = self.root.rstrip("/")
        if ".." in cgroup.split("/"):
            return self.mountpoint
        if cgroup == root or cgroup == "/":
            return self.mountpoint
        if not cgroup.startswith(root + "/"):
            return self.mountpoint
        return self.mountpoint + cgroup[len(root) :].rstrip("/")


class Layout:
    """All visible hierarchies.

    mode: "v1", "v2", or "hybrid" (version 1 controllers beside a version 2 tree).
    available: the controllers that the unified tree offers (its top `cgroup.controllers`).
    """

    __slots__ = ("available", "hierarchies", "mode")

    def __init__(self, hierarchies: dict[str, Hierarchy], available: list[str]) -> None:
        self.hierarchies = hierarchies
        self.available = available
        if UNIFIED not in hierarchies:
            self.mode = "v1"
        elif len(hierarchies) == 1:
            self.mode = "v2"
        else:
            self.mode = "hybrid"

    def find(self, controller: str) -> str | None:
        """The hierarchy that carries a controller (version 1's name of it: `blkio`, not `io`)."""
        for name, hierarchy in self.hierarchies.items():
            if controller in hierarchy.controllers():
                return name
        modern = "io" if controller == "blkio" else controller
        return UNIFIED if modern in self.available else None

    def to_json(self) -> dict[str, Any]:
        """A JSON-able copy."""
        rows = {h.name: [h.mountpoint, h.root, h.own] for h in self.hierarchies.values()}
        return {"hierarchies": rows, "available": list(self.available)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Layout:
        """The opposite of to_json."""
        rows = {name: Hierarchy(name, *row) for name, row in data["hierarchies"].items()}
        return cls(rows, list(data["available"]))


class _Mount:
    __slots__ = ("id", "kind", "options", "parent", "point", "root")

    def __init__(self, line: str) -> None:
        fields = line.split(" ")
        tail = fields.index("-", 6)
        self.id = fields[0]
        self.parent = fields[1]
        self.root = unescape(fields[3])
        self.point = unescape(fields[4])
        self.kind = fields[tail + 1]
        self.options = fields[tail + 3].split(",")


def unescape(text: str) -> str:
    """Undo mountinfo's octal escapes (space, tab, newline, backslash)."""
    if "\\" not in text:
        return text
    head, *rest = text.split("\\")
    return head + "".join(chr(int(part[:3], 8)) + part[3:] for part in rest)


def parse_own(text: str) -> dict[str, str]:
    """`/proc/PID/cgroup` as hierarchy name -> cgroup path."""
    own = {}
    for line in text.splitlines():
        _number, name, path = line.split(":", 2)
        own[name or UNIFIED] = path.removesuffix(" (deleted)")
    return own


def parse(mountinfo: str, own_text: str) -> dict[str, Hierarchy]:
    """The hierarchies that both texts agree on, in the order of `/proc/self/cgroup`."""
    lines = mountinfo.splitlines()
    groups = [_Mount(line) for line in lines if " - cgroup" in line]
    groups = [mount for mount in groups if mount.kind in ("cgroup", "cgroup2")]
    # Only mounts at or above a cgroup mount can hide one.
    above = {"/"}
    for mount in groups:
        point = mount.point
        while point and point not in above:
            above.add(point)
            point = point.rpartition("/")[0]
    covers = [_Mount(line) for line in lines if unescape(line.split(" ", 5)[4]) in above]
    visible = [mount for mount in groups if not _hidden(mount, covers)]
    found = {}
    for name, own in parse_own(own_text).items():
        mounts = [mount for mount in visible if _carries(mount, name)]
        if mounts:
            best = min(mounts, key=lambda mount: _distance(mount, own))
            found[name] = Hierarchy(name, best.point, best.root, own)
    return found


def _carries(mount: _Mount, name: str) -> bool:
    if name == UNIFIED:
        return mount.kind == "cgroup2"
    return mount.kind == "cgroup" and all(word in mount.options for word in name.split(","))


def _distance(mount: _Mount, own: str) -> tuple[bool, bool]:
    """Sorts the mounts of one hierarchy: the one that shows our own cgroup, in the usual place."""
    shows = own == mount.root or own.startswith(mount.root.rstrip("/") + "/")
    usual = mount.point == "/sys/fs/cgroup" or mount.point.startswith("/sys/fs/cgroup/")
    return (not shows, not usual)


def _hidden(mount: _Mount, covers: list[_Mount]) -> bool:
    """Whether another mount lies on top of this one or of a directory on the way to it."""
    parents = {cover.id: cover.parent for cover in covers}
    line = {mount.id}
    step = mount.parent
    while step in parents and step not in line:
        line.add(step)
        step = parents[step]
    for cover in covers:
        if cover.id in line or cover.parent not in line:
            continue
        if mount.point == cover.point or mount.point.startswith(cover.point.rstrip("/") + "/"):
            return True
    return False


def discover() -> Layout:
    """Look at the running system (reads three small files)."""
    hierarchies = parse(read_text("/proc/self/mountinfo"), read_text("/proc/self/cgroup"))
    available: list[str] = []
    if UNIFIED in hierarchies:
        top = hierarchies[UNIFIED].mountpoint
        available = read_text(top + "/cgroup.controllers").split()
    return Layout(hierarchies, available)
