"""What `update` makes of flags and of what a container has already."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runtime import resctrl as rdt
from runtime.cgroups import Layout, compile_resources
from runtime.cgroups.layout import Hierarchy
from runtime.cgroups.revise import to_save, to_write
from runtime.cgroups.undo import restore, snapshot
from runtime.cgroups.writes import apply_writes
from runtime.cli.options import parse
from runtime.cli.sizes import parse_size
from runtime.commands.update import COMMAND, from_flags
from runtime.errors import ConfigError, CrecheError, KernelError

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30

V2 = Layout(
    {"unified": Hierarchy("unified", "/sys/fs/cgroup", "/", "/")},
    ["cpuset", "cpu", "io", "memory", "pids"],
)


# Flags -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("67108864", 64 * MIB),
        ("50M", 50 * MIB),
        ("50m", 50 * MIB),
        ("50MB", 50 * MIB),
        ("50MiB", 50 * MIB),
        ("1.5g", GIB * 3 // 2),
        ("512k", 512 * KIB),
        ("512 k", 512 * KIB),
        ("7b", 7),
        ("1t", GIB * KIB),
        ("9007199254740993", 9007199254740993),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["x", "", "-2", "5X", "5MM", "1.2.3", "5bb", "٣", "9" * 30, "."])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match=r"invalid (size|suffix)"):
        parse_size(text)


def wanted(*words: str) -> dict[str, Any]:
    values, rest = parse(COMMAND.flags, [*words, "id"], flags_first=False)
    assert rest == ["id"]
    return from_flags(values)


def test_flags_become_resources() -> None:
    assert wanted(
        *("--blkio-weight", "200", "--cpu-period", "1", "--cpu-quota", "-1", "--cpu-burst", "0"),
        *("--cpu-share", "3", "--cpu-rt-period", "4", "--cpu-rt-runtime", "5", "--cpu-idle", "1"),
        *("--cpuset-cpus", "0-1", "--cpuset-mems", "0", "--memory", "1k", "--memory-swap", "-1"),
        *("--memory-reservation", "7", "--pids-limit", "0"),
    ) == {
        "blockIO": {"weight": 200},
        "cpu": {
            "period": 1,
            "quota": -1,
            "burst": 0,
            "shares": 3,
            "realtimePeriod": 4,
            "realtimeRuntime": 5,
            "idle": 1,
            "cpus": "0-1",
            "mems": "0",
        },
        "memory": {"limit": KIB, "swap": -1, "reservation": 7},
        "pids": {"limit": 0},
    }


def test_nothing_given_is_nothing_wanted() -> None:
    assert wanted() == {}
    assert wanted("--memory", "", "--cpuset-cpus=") == {}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--cpu-share", "1x"), "invalid value for cpu-share: expected an integer"),
        (("--cpu-period", "-1"), "invalid value for cpu-period: expected an integer that is not"),
        (("--cpu-idle", "yes"), "invalid value for cpu-idle"),
        (("--memory", "5X"), "invalid value for memory: invalid suffix: 'x'"),
        (("--memory-swap", "-2"), "invalid value for memory-swap: invalid size: '-2'"),
    ],
)
def test_values_that_are_none(words: tuple[str, ...], message: str) -> None:
    with pytest.raises(CrecheError, match=message):
        wanted(*words)


# Beside what is there already --------------------------------------------------------------------


def written(saved: dict[str, Any], new: dict[str, Any]) -> dict[str, str]:
    """The files of a version 2 host that an update writes."""
    return {write[1]: write[2] for write in compile_resources(to_write(saved, new), V2)}


def test_a_new_limit_keeps_the_sum_with_swap() -> None:
    """Version 2 has swap alone: as the limit grows, what is left for swap shrinks."""
    saved = {"memory": {"limit": 32 * MIB, "swap": 96 * MIB}}

    assert written(saved, {"memory": {"limit": 50 * MIB}}) == {
        "memory.max": str(50 * MIB),
        "memory.swap.max": str(46 * MIB),
    }


def test_a_new_sum_keeps_the_limit() -> None:
    saved = {"memory": {"limit": 32 * MIB}}

    files = written(saved, {"memory": {"swap": 40 * MIB}})

    assert files["memory.swap.max"] == str(8 * MIB)


def test_unlimited_memory_is_unlimited_swap() -> None:
    saved = {"memory": {"limit": 32 * MIB, "swap": 96 * MIB}}
    new = {"memory": {"limit": -1}}

    assert written(saved, new) == {"memory.max": "max", "memory.swap.max": "max"}
    assert to_save(saved, new) == {"memory": {"limit": -1}}


def test_a_limit_above_the_old_sum_is_refused() -> None:
    saved = {"memory": {"limit": 32 * MIB, "swap": 40 * MIB}}

    with pytest.raises(ConfigError, match=r"memory\+swap limit should be >= memory limit"):
        written(saved, {"memory": {"limit": 50 * MIB}})


def test_only_what_is_wanted_is_written() -> None:
    saved = {"memory": {"limit": MIB, "reservation": 5}, "cpu": {"quota": 5, "shares": 9}}

    assert written(saved, {"cpu": {"period": 50000}}) == {"cpu.max": "keep 50000"}
    assert written(saved, {"memory": {"reservation": 7}}) == {"memory.low": "7"}
    assert written(saved, {"pids": {"limit": 0}}) == {"pids.max": "1"}


def test_devices_are_left_alone() -> None:
    """Somebody may have opened more to the container than its configuration did."""
    saved = {"devices": [{"allow": False}]}
    new = {"devices": [{"allow": True}], "pids": {"limit": 3}}

    assert "devices" not in to_write(saved, new)
    assert to_save(saved, new) == {"devices": [{"allow": False}], "pids": {"limit": 3}}


def test_what_is_saved_is_old_and_new_together() -> None:
    saved = {
        "cpu": {"quota": 1, "period": 2},
        "memory": {"limit": 5, "swap": 6},
        "blockIO": {
            "weight": 10,
            "throttleReadBpsDevice": [
                {"major": 8, "minor": 0, "rate": 1},
                {"major": 8, "minor": 1, "rate": 1},
            ],
        },
        "hugepageLimits": [{"pageSize": "2MB", "limit": 1}],
    }
    new = {
        "cpu": {"quota": 9},
        "memory": {"limit": 5, "swap": 0},
        "blockIO": {
            "throttleReadBpsDevice": [
                {"major": 8, "minor": 1, "rate": 2},
                {"major": 8, "minor": 2, "rate": 3},
            ]
        },
        "hugepageLimits": [{"pageSize": "2MB", "limit": 2}],
        "unified": {"memory.high": "7"},
    }

    assert to_save(saved, new) == {
        "cpu": {"quota": 9, "period": 2},
        "memory": {"limit": 5, "swap": 6},
        "blockIO": {
            "weight": 10,
            "throttleReadBpsDevice": [
                {"major": 8, "minor": 0, "rate": 1},
                {"major": 8, "minor": 1, "rate": 2},
                {"major": 8, "minor": 2, "rate": 3},
            ],
        },
        "hugepageLimits": [{"pageSize": "2MB", "limit": 2}],
        "unified": {"memory.high": "7"},
    }
    assert saved["cpu"] == {"quota": 1, "period": 2}


# Taking back --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "value", "back"),
    [
        ("memory.max", "max\n", "1000", "max"),
        ("cpu.max", "5000 100000\n", "keep 7", "5000 100000"),
        ("cpuset.cpus", "\n", "1", "\n"),
        ("io.weight", "default 100\n8:0 50\n", "200", "default 100"),
        ("io.weight", "default 100\n8:0 50\n", "8:0 70", "8:0 50"),
        ("io.weight", "default 100\n", "8:0 70", "8:0 default"),
        ("io.max", "8:0 rbps=1 wbps=max riops=max wiops=max\n", "8:0 rbps=2", "8:0 rbps=1"),
        ("io.max", "", "8:0 rbps=2", "8:0 rbps=max wbps=max riops=max wiops=max"),
        ("blkio.throttle.read_bps_device", "8:0 5\n", "8:16 9", "8:16 0"),
        ("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\n", "1", "0"),
        ("net_prio.ifpriomap", "lo 0\neth0 5\n", "eth0 9", "eth0 5"),
    ],
)
def test_what_a_file_held_is_known_before_it_is_changed(
    tmp_path: Path, name: str, content: str, value: str, back: str
) -> None:
    (tmp_path / name).write_text(content)

    (before,) = snapshot({"x": str(tmp_path)}, [["x", name, value, "key", ""]])

    assert before[:2] == ["x", name]
    assert before[2].startswith(back)


def test_what_cannot_be_read_is_not_taken_back(tmp_path: Path) -> None:
    writes = [["x", "missing", "1", "key", ""], ["nowhere", "file", "1", "key", ""]]

    assert snapshot({"x": str(tmp_path)}, writes) == []


def test_a_file_that_cannot_be_restored_keeps_no_other_from_it(tmp_path: Path) -> None:
    (tmp_path / "one").write_text("1")
    paths = {"x": str(tmp_path)}

    restore(paths, [["gone", "two", "2", "key", ""], ["x", "one", "5", "key", ""]])

    assert (tmp_path / "one").read_text() == "5"


def test_check_before_update_refuses_in_runcs_words(tmp_path: Path) -> None:
    (tmp_path / "memory.current").write_text("4096\n")
    (tmp_path / "memory.max").write_text("max\n")
    new = {"memory": {"limit": 1024, "checkBeforeUpdate": True}}

    with pytest.raises(KernelError, match="rejecting memory limit"):
        apply_writes({"unified": str(tmp_path)}, compile_resources(to_write({}, new), V2))
    assert (tmp_path / "memory.max").read_text() == "max\n"


# Intel RDT --------------------------------------------------------------------------------------


@pytest.fixture
def resctrl(tmp_path: Path) -> Path:
    """Give a directory laid out as a resctrl mount with the group of a container."""
    for name in ("info/L3", "info/MB", "group"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "group/schemata").write_text("")
    (tmp_path / "schemata").write_text("")
    return tmp_path


def test_schemas_are_written_to_the_containers_group(resctrl: Path) -> None:
    schemas = {"l3CacheSchema": "L3:0=f", "memBwSchema": ""}

    rdt.check(schemas, {"closID": "group"}, str(resctrl))
    rdt.write(schemas, "group", str(resctrl))
    rdt.write(schemas, "/", str(resctrl))

    assert (resctrl / "group/schemata").read_text() == "L3:0=f\n"
    assert (resctrl / "schemata").read_text() == "L3:0=f\n"


@pytest.mark.parametrize(
    ("schemas", "configured", "mounted", "message"),
    [
        ({"l3CacheSchema": "x"}, {"closID": "g"}, False, "l3 cache schema is not enabled"),
        ({"memBwSchema": "x"}, {"closID": "g"}, False, "memory bandwidth schema is not enabled"),
        ({"memBwSchema": "x"}, None, True, "non-existent Intel RDT configuration"),
    ],
)
def test_schemas_that_cannot_be_written(
    resctrl: Path, schemas: dict[str, str], configured: object, mounted: bool, message: str
) -> None:
    with pytest.raises(CrecheError, match=message):
        rdt.check(schemas, configured, str(resctrl) if mounted else "")


def test_a_group_that_is_gone_is_named(resctrl: Path) -> None:
    with pytest.raises(KernelError, match=r"linux.intelRdt.memBwSchema: write 'MB:0=50' to .*/no/"):
        rdt.write({"memBwSchema": "MB:0=50"}, "no", str(resctrl))
