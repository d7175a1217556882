"""What tests of the supervisor begin with: a creched, of which nothing is left at the end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.networked import Host
from tests.integration.supervised import Creched


@pytest.fixture
def creched(tmp_path: Path) -> Iterator[Creched]:
    """One creched, ended at the end, which leaves nothing."""
    made = Creched(tmp_path)
    yield made
    made.clean()
    made.check_clean()


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """A creched with networks, of which nothing is left at the end either."""
    made = Host(tmp_path)
    before = made.links()
    yield made
    made.clean()
    made.check_clean()
    assert made.links() == before
    assert not (made.root / ".creched/names").exists()
