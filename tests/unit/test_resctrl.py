"""resctrl against a directory laid out as the kernel lays it out: this machine has none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runtime import resctrl
from runtime.errors import ConfigError, KernelError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A resctrl mount with one class of service, `gold`."""
    (tmp_path / "tasks").write_text("")
    (tmp_path / "schemata").write_text("    L3:0=fff\n    MB:0=100\n")
    gold = tmp_path / "gold"
    gold.mkdir()
    (gold / "tasks").write_text("")
    (gold / "schemata").write_text("    L3:0=ff0\n    MB:0= 50\n")
    (gold / "mon_groups").mkdir()
    return tmp_path


def test_schemata_are_written_in_the_order_of_the_specification() -> None:
    rdt = {"memBwSchema": "MB:0=20", "l3CacheSchema": "L3:0=f", "schemata": ["L2:0=1"]}

    assert resctrl.schemata(rdt) == ["L3:0=f", "MB:0=20", "L2:0=1"]  # type: ignore[arg-type]


def test_without_resctrl_the_configuration_fails(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"linux.intelRdt: needs resctrl"):
        resctrl.join({"closID": "gold"}, "c1", 7, str(tmp_path))


def test_an_existing_class_is_joined_and_not_removed(root: Path) -> None:
    group = resctrl.join({"closID": "gold", "schemata": ["L3:0=ff0"]}, "c1", 7, str(root))

    assert (root / "gold" / "tasks").read_text() == "7"
    assert group.made == []


def test_an_existing_class_with_other_schemata_is_refused(root: Path) -> None:
    with pytest.raises(ConfigError, match="does not hold the line 'L3:0=1'"):
        resctrl.join({"closID": "gold", "schemata": ["L3:0=1"]}, "c1", 7, str(root))


def test_a_missing_class_without_a_schema_is_refused(root: Path) -> None:
    with pytest.raises(ConfigError, match=r"linux.intelRdt.closID: .*/lead does not exist"):
        resctrl.join({"closID": "lead"}, "c1", 7, str(root))
    assert not (root / "lead").exists()


def test_a_failure_undoes_what_was_made(root: Path) -> None:
    # A real group would come with its files; this directory stays empty, so the write fails.
    with pytest.raises(KernelError, match=r"linux.intelRdt: resctrl .*schemata"):
        resctrl.join({"closID": "new", "schemata": ["L3:0=1"]}, "c1", 7, str(root))
    assert not (root / "new").exists()


def test_the_root_class_is_joined_by_its_name(root: Path) -> None:
    resctrl.join({"closID": "/"}, "c1", 9, str(root))

    assert (root / "tasks").read_text() == "9"


def test_groups_that_are_gone_are_no_error(root: Path) -> None:
    os.mkdir(root / "mine")
    resctrl.remove([str(root / "mine"), str(root / "gone")])

    assert not (root / "mine").exists()
