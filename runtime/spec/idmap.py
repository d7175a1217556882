"""Rules for lists of id mappings, those of a user namespace and those of an id-mapped mount."""

from __future__ import annotations

from runtime.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.spec.types import IDMapping

MAX_EXTENTS = 340  # UID_GID_MAP_MAX_EXTENTS, linux/user_namespace.h, since 4.15


def check_mappings(mappings: list[IDMapping], path: str) -> None:
    """Refuse what the kernel answers with a bare EINVAL (map_write, kernel/user_namespace.c).

    path: the list's JSON path. Raises ConfigError.
    """
    if len(mappings) > MAX_EXTENTS:
        raise ConfigError(path, f"expected at most {MAX_EXTENTS} mappings, found {len(mappings)}")
    for index, mapping in enumerate(mappings):
        here = f"{path}[{index}]"
        if mapping["size"] == 0:
            raise ConfigError(f"{here}.size", "expected at least 1, found 0")
        for side, first in (
            ("containerID", mapping["containerID"]),
            ("hostID", mapping["hostID"]),
        ):
            # 4294967295 means "no id" and cannot be mapped.
            if first + mapping["size"] > 2**32 - 1:
                raise ConfigError(
                    f"{here}.{side}",
                    f"expected a range that ends at 4294967294, found {first} "
                    f"to {first + mapping['size'] - 1}",
                )
    for side in ("containerID", "hostID"):
        _check_overlap(mappings, path, side)


def _check_overlap(mappings: list[IDMapping], path: str, side: str) -> None:
    ranges = sorted(
        (m["containerID"] if side == "containerID" else m["hostID"], m["size"], index)
        for index, m in enumerate(mappings)
    )
    end, holder = 0, 0
    for first, size, index in ranges:
        if first < end:
            raise ConfigError(
                f"{path}[{max(holder, index)}].{side}",
                f"overlaps {path}[{min(holder, index)}], both hold the id {first}",
            )
        end, holder = first + size, index
