"""The demo: what a new user sees first has to work, and to clear up."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from tests.integration.supervised import CHECKOUT
from tests.support.waiting import read_all, read_until

pytestmark = [pytest.mark.root, pytest.mark.slow]


def demo(seconds: str) -> subprocess.Popen[bytes]:
    """Start it."""
    return subprocess.Popen(
        [sys.executable, "-m", "supervisor.demo"],
        cwd=CHECKOUT,
        env={**os.environ, "CRECHE_DEMO_SECONDS": seconds, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
    )


def left() -> list[str]:
    """Directories of demos in the checkout."""
    cache = CHECKOUT / ".cache"
    return sorted(path.name for path in cache.glob("demo-*"))


def test_it_ends_by_itself_and_everything_behaved() -> None:
    """Status 0, the service's answer, and five good marks."""
    before = left()
    process = demo("10")
    assert process.stdout is not None
    with process.stdout:
        text = read_all(process.stdout.fileno()).decode()

    assert process.wait() == 0, text
    assert "answers: VERSION" in text or "answers: hello creche" in text
    assert text.count("\n  ok     ") == 5
    assert "NOT OK" not in text
    assert left() == before


def test_ctrl_c_ends_it_early_and_clears_up() -> None:
    """As at a terminal: SIGINT."""
    before = left()
    process = demo("1000")
    assert process.stdout is not None
    with process.stdout:
        text = read_until(process.stdout.fileno(), b"answers: ")
        process.send_signal(signal.SIGINT)
        text += read_all(process.stdout.fileno())

    assert process.wait() == 130, text.decode()
    assert b"left nothing behind" in text
    assert left() == before
