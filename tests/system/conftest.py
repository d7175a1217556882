"""The service is installed once; each module starts it with workloads of its own."""

from __future__ import annotations

import pytest

from tests.system import service


@pytest.fixture(scope="session")
def installed() -> None:
    """Install programs and units."""
    service.install()
