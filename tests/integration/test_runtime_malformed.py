"""Malformed configurations fed to `creche create`: the message, and nothing that was made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runtime.cgroups import discover
from runtime.errors import CrecheError
from runtime.lifecycle import blocking
from runtime.lifecycle.request import CreateRequest
from runtime.spec import load_bundle
from tests.support.bundle import Bundle
from tests.support.inside import cgroups_named, message
from tests.support.mountinfo import mounts
from tests.support.runtimes import Runtime
from tests.unit.spec.malformed import MALFORMED, Malformed

pytestmark = pytest.mark.root

Bundles = Callable[..., Bundle]

# Every so many goes through the real command line, which costs a process each.
_STEP = max(1, len(MALFORMED) // 30)
BY_COMMAND = MALFORMED[::_STEP]


class Silent:
    """A log that nobody reads."""

    def debug(self, text: str) -> None:
        """Drop it."""

    def warning(self, text: str) -> None:
        """Drop it."""


def test_there_are_enough() -> None:
    assert len(MALFORMED) >= 60
    assert len(BY_COMMAND) >= 20


def test_every_one_is_refused_and_makes_nothing(
    bundle: Bundles, container_id: str, tmp_path: Path
) -> None:
    """In one process, by the functions that the command calls."""
    made = bundle()
    root = tmp_path / "root"
    before = mounts()
    discover()
    wrong = []
    for case in MALFORMED:
        (made.path / "config.json").write_bytes(case.data())
        log: Any = Silent()
        try:
            spec = load_bundle(str(made.path), log.warning)
            request = CreateRequest(str(root), container_id, str(made.path), spec, log)
            blocking.create(request).close()
        except CrecheError as error:
            if case.message not in str(error):
                wrong.append(f"{case.name}: {error}")
        else:
            wrong.append(f"{case.name}: accepted")
        if root.exists():
            wrong.append(f"{case.name}: made {root}")
            break

    assert wrong == []
    assert mounts() == before
    assert cgroups_named(container_id) == []


@pytest.mark.parametrize("case", BY_COMMAND, ids=lambda case: case.name)
def test_by_the_command_line(
    creche: Runtime, bundle: Bundles, container_id: str, case: Malformed
) -> None:
    """Status 1, one line with the message on stderr, nothing on stdout, nothing made."""
    made = bundle(rootfs=False)
    (made.path / "config.json").write_bytes(case.data())
    before = mounts()
    result = creche.run(["create", "-b", made, container_id]).failed(1)

    assert case.message in message(result)
    assert message(result).startswith("creche create failed: ")
    assert result.stdout == ""
    assert result.stderr.count("level=error") == 1
    assert list(creche.root.iterdir()) == []
    assert mounts() == before
    assert cgroups_named(container_id) == []
