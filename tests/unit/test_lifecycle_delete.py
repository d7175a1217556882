"""`delete` beside a `start`: which of them has its turn first decides, not who has looked first."""

from __future__ import annotations

import pytest

from runtime.cli.log import Log
from runtime.errors import StateError
from runtime.lifecycle import blocking
from runtime.lifecycle.container import Container
from runtime.lifecycle.protocol import Step
from runtime.state import StateDir


class StartedMeanwhile(Container):
    """Created, until delete has waited for its lock; the other one was `start`."""

    def __init__(self, root: str) -> None:
        super().__init__(StateDir(root, "x"), {}, Log())  # type: ignore[typeddict-item]
        self.now = "created"

    def status(self) -> str:
        return self.now

    def lock(self) -> None:
        self.now = "running"


def test_what_was_started_meanwhile_is_not_killed(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[Step] = []
    monkeypatch.setattr(blocking, "perform", lambda container, step: done.append(step))
    with pytest.raises(StateError, match="cannot delete container x that is not stopped: running"):
        blocking.delete(StartedMeanwhile(str(tmp_path)))

    assert not done
