"""CRIU's requests and answers by name. Pure.

Source: images/rpc.proto of CRIU; numbers of fields never change.
"""

from __future__ import annotations

from .wire import WireError, decode, encode, signed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

DUMP, RESTORE, PRE_DUMP, NOTIFY, FEATURE_CHECK, VERSION = 1, 2, 4, 6, 9, 10
KINDS = {DUMP: "dump", RESTORE: "restore", PRE_DUMP: "pre-dump", FEATURE_CHECK: "feature check",
         VERSION: "version"}  # fmt: skip

# criu_opts.
OPTIONS = {
    "images_dir_fd": 1,
    "pid": 2,
    "leave_running": 3,
    "ext_unix_sk": 4,
    "tcp_established": 5,
    "evasive_devices": 6,
    "shell_job": 7,
    "file_locks": 8,
    "log_level": 9,
    "log_file": 10,
    "ps": 11,
    "notify_scripts": 12,
    "root": 13,
    "parent_img": 14,
    "track_mem": 15,
    "auto_dedup": 16,
    "work_dir_fd": 17,
    "link_remap": 18,
    "ext_mnt": 23,
    "manage_cgroups": 24,
    "cg_root": 25,
    "rst_sibling": 26,
    "inherit_fd": 27,
    "manage_cgroups_mode": 34,
    "external": 37,
    "empty_ns": 38,
    "join_ns": 39,
    "freeze_cgroup": 44,
    "tcp_skip_in_flight": 46,
    "lazy_pages": 48,
    "status_fd": 49,
    "orphan_pts_master": 50,
    "config_file": 51,
    "lsm_profile": 53,
    "lsm_mount_context": 60,
}

# Messages within it: the names of their fields, in the order of their numbers from 1.
_NESTED = {
    "ps": ("address", "port"),
    "ext_mnt": ("key", "val"),
    "cg_root": ("ctrl", "path"),
    "inherit_fd": ("key", "fd"),
    "join_ns": ("ns", "ns_file"),
}

FEATURES = {"mem_track": 1, "lazy_pages": 2}

# criu_cg_mode, by the words of --manage-cgroups-mode.
CGROUP_MODES = {"ignore": 0, "": 3, "soft": 3, "full": 4, "strict": 5}


def request(
    kind: int, options: Mapping[str, Any] | None = None, features: tuple[str, ...] = ()
) -> bytes:
    """A criu_req. options: by name; a list repeats its field, a tuple is a message in it."""
    fields: list[tuple[int, Any]] = [(1, kind)]
    if options is not None:
        fields.append((2, encode(_options(options))))
    if features:
        fields.append((5, encode([(FEATURES[name], True) for name in features])))
    return encode(fields)


def _options(options: Mapping[str, Any]) -> list[tuple[int, Any]]:
    fields: list[tuple[int, Any]] = []
    for name, value in options.items():
        for item in value if isinstance(value, list) else [value]:
            if name in _NESTED:
                assert len(item) == len(_NESTED[name])
                item = encode(enumerate(item, 1))
            fields.append((OPTIONS[name], item))
    return fields


def notified() -> bytes:
    """The answer to a notification: go on."""
    return encode([(1, NOTIFY), (3, True)])


class Answer:
    """A criu_resp.

    kind, success; script, pid: of a notification (a restore has a pid as well); errno, text: of a
    failure; version: such as 31700; features: those that are there.
    """

    __slots__ = ("errno", "features", "kind", "pid", "script", "success", "text", "version")

    def __init__(self, data: bytes) -> None:
        """Raises WireError."""
        fields = decode(data)
        self.kind = _number(fields, 1)
        self.success = bool(_number(fields, 2))
        notify = decode(_bytes(fields, 5))
        self.script = _bytes(notify, 1).decode("utf-8", "replace")
        self.pid = _number(notify, 2) or _number(decode(_bytes(fields, 4)), 1)
        self.errno = abs(_number(fields, 7))
        self.text = _bytes(fields, 9).decode("utf-8", "replace")
        version = decode(_bytes(fields, 10))
        self.version = _number(version, 1) * 10000 + _number(version, 2) * 100 + _number(version, 4)
        features = decode(_bytes(fields, 8))
        self.features = {name for name, number in FEATURES.items() if _number(features, number)}


def _number(fields: Mapping[int, int | bytes], number: int) -> int:
    value = fields.get(number, 0)
    if not isinstance(value, int):
        raise WireError(f"field {number} is no number")
    return signed(value)


def _bytes(fields: Mapping[int, int | bytes], number: int) -> bytes:
    value = fields.get(number, b"")
    if not isinstance(value, bytes):
        raise WireError(f"field {number} is no text")
    return value
