"""Which unit a container gets, and where systemd puts the unit's cgroup. Pure.

Source: systemd.slice(5), and what runc makes of `cgroupsPath`: `SLICE:PREFIX:NAME`.
"""

from __future__ import annotations

from runtime.errors import ConfigError

KEY = "linux.cgroupsPath"
PREFIX = "creche"
_LONGEST = 255  # UNIT_NAME_MAX, and a file name
# What unit_name_is_valid() of systemd lets pass; it has \xNN for the rest.
_EXTRA = frozenset(":-_.\\@")


class Unit:
    """name: of the scope; slice: which it belongs to."""

    __slots__ = ("name", "slice")

    def __init__(self, name: str, slice_: str) -> None:
        self.name = name
        self.slice = slice_

    def cgroup(self) -> str:
        """Where the scope is below the manager's own cgroup."""
        return f"{slice_path(self.slice)}/{self.name}"


def unit_of(cgroups_path: str | None, container_id: str, user: bool) -> Unit:
    """The unit for `linux.cgroupsPath`, or without one `creche-ID.scope` in the default slice.

    user: the manager is a user's. Raises ConfigError for a path that is not of systemd's form.
    """
    default = "user.slice" if user else "system.slice"
    if not cgroups_path:
        return _scope(PREFIX, container_id, default, "id")
    parts = cgroups_path.split(":")
    if len(parts) != 3:
        raise ConfigError(
            KEY,
            'expected cgroupsPath to be of format "slice:prefix:name" for systemd cgroups, '
            f"got {cgroups_path!r} instead",
        )
    return _scope(parts[1], parts[2], parts[0] or default, KEY)


def _scope(prefix: str, name: str, slice_: str, key: str) -> Unit:
    if not name:
        raise ConfigError(key, "the name of the unit is empty, expected slice:prefix:name")
    if name.endswith(".slice"):
        raise ConfigError(key, f"{name!r} is a slice, which can hold no process itself")
    unit = (f"{prefix}-{name}" if prefix else name) + ".scope"
    if not _valid(unit):
        raise ConfigError(key, f"{unit!r} is no name that systemd accepts for a unit")
    slice_path(slice_)
    return Unit(unit, slice_)


def _valid(name: str) -> bool:
    return len(name) <= _LONGEST and all(
        (char.isascii() and char.isalnum()) or char in _EXTRA for char in name
    )


def slice_path(name: str) -> str:
    """`a-b.slice` lies in `a.slice`: its cgroup is `/a.slice/a-b.slice`; `-.slice` is the root."""
    if name == "-.slice":
        return ""
    stem = name.removesuffix(".slice")
    words = stem.split("-")
    if stem == name or not _valid(name) or not all(words):
        raise ConfigError(KEY, f"invalid slice name {name!r}, expected such as system.slice")
    return "".join(f"/{'-'.join(words[:count])}.slice" for count in range(1, len(words) + 1))
