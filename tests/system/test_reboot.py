"""The machine has been booted again, with what reboot.py has left."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.system import service
from tests.system.reboot import FORGOTTEN, boot_id
from tests.system.service import CONTAINERS, UNIT, Journal, outside, show

pytestmark = pytest.mark.skipif(
    "CRECHE_TEST_MACHINE" not in os.environ,
    reason="needs the virtual machine that ./dev system boots",
)


@pytest.fixture(scope="module")
def journal() -> Iterator[Journal]:
    """What the service has told in this boot."""
    try:
        with Journal(whole=True) as journal:
            yield journal
    finally:
        outside("systemctl", "disable", UNIT)
        service.clear()
        FORGOTTEN.unlink()


def test_workloads_come_back(journal: Journal) -> None:
    """Nobody has started anything by hand: first attempt, no end of the earlier boot is told."""
    assert FORGOTTEN.read_text() != boot_id()
    started = journal.wait("started", workload="lasting")
    assert started["attempt"] == 1
    assert started["boot"] == boot_id()
    assert service.processes(CONTAINERS / "lasting")[0] == started["pid"]
    assert show("ActiveState") == "active"
    assert journal.all("exited") == journal.all("adopted") == journal.all("state-damaged") == []
    assert journal.all("creating", workload="desperate") == []


def test_addresses_are_what_they_were(journal: Journal) -> None:
    """The lowest one is free in this boot, but it is another's."""
    attached = journal.wait("network-attached", workload="lasting")
    assert attached["addresses"] == ["192.168.10.3/24"]
    outside("ping", "-n", "-c", "1", "-W", "60", "192.168.10.3")


def test_what_was_stopped_by_hand_stays_stopped(journal: Journal) -> None:
    """That is remembered on the disk."""
    journal.wait("started", workload="lasting")
    told = outside(service.HOME / "bin/crechectl", "status", "--json").stdout
    assert '"by-hand"' in told
    assert journal.all("creating", workload="by-hand") == []
    assert not (CONTAINERS / "by-hand").exists()
