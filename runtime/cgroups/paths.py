"""Where a container's cgroups are. Pure.

Source: runtime-spec config-linux.md "Cgroups Path", and what runc does where that leaves room.
"""

from __future__ import annotations

from runtime.errors import ConfigError

from .layout import UNIFIED, Layout

KEY = "linux.cgroupsPath"


def resolve_paths(cgroups_path: str | None, container_id: str, layout: Layout) -> dict[str, str]:
    """Hierarchy name -> absolute directory.

    An absolute `cgroupsPath` starts at each hierarchy's mount; a relative one, or the container's
    id where there is none, starts at this process's own cgroup, looked up in every hierarchy by
    itself because they need not agree. On a pure version 2 host it starts at the parent of our
    own cgroup, as with runc: our own contains us, so that it cannot hand controllers down
    (cgroups(7), "no internal processes").
    """
    given = cgroups_path or container_id
    key = KEY if cgroups_path else "id"
    parts = components(given, key)
    if not parts:
        raise ConfigError(key, f"{given!r} is the root cgroup, expected a cgroup of its own")
    tail = "/" + "/".join(parts)
    paths = {}
    for name, hierarchy in layout.hierarchies.items():
        top = hierarchy.mountpoint.rstrip("/")
        if given.startswith("/"):
            base = top
        else:
            base = hierarchy.own_directory().rstrip("/")
            if name == UNIFIED and layout.mode == "v2" and base != top:
                base = base.rpartition("/")[0]
        paths[name] = base + tail
    return paths


def components(path: str, key: str = KEY) -> list[str]:
    """The names in a cgroup path; refuses what could lead out of the tree or confuse its files.

    A newline would forge lines of /proc/PID/cgroup. `..` is refused rather than cleaned away:
    where it would have led is not where the caller meant (crun 1.29 hardened the same).
    """
    if "\0" in path or "\n" in path:
        raise ConfigError(key, f"{path!r} contains a NUL or a newline")
    parts = [part for part in path.split("/") if part not in ("", ".")]
    for part in parts:
        if part == "..":
            raise ConfigError(key, f"{path!r} contains '..'")
        if len(part.encode("utf-8", "surrogateescape")) > 255:
            raise ConfigError(key, f"{part[:32]!r}… is longer than 255 bytes")
    return parts
