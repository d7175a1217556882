"""`crechectl status NAME`: all that decides about the next start is there."""

from __future__ import annotations

from typing import Any

import pytest

from supervisor.ctl.status import facts, judge, row

CRASHING = {
    "name": "web",
    "status": "restarting",
    "ready": False,
    "health": None,
    "status_text": "",
    "pid": None,
    "attempt": 4,
    "restarts": 3,
    "window_used": 3,
    "limit": 5,
    "next_attempt_at": 108.0,
    "why": "exit status 3",
    "intent": "none",
    "start": "boot",
    "group": None,
    "after": [],
    "waiting_for": [],
    "since": 100.0,
    "started_at": None,
    "exit": None,
    "generation": 1,
    "directory": "/etc/creche/workloads/web",
    "policy": "on-failure",
    "problems": [],
}
PROBLEM = {"file": "/w/web/workload.toml", "key": "restart.limit", "message": "no \x1b", "line": 3}
REFUSED = {**CRASHING, "status": "refused", "why": "…", "policy": "", "start": ""}


def test_attempt_window_next_start_and_why() -> None:
    found = dict(facts(CRASHING, 104.0))

    assert found["attempt"] == "4"
    assert found["restarts"] == "3 (3 of 5 in the window of its policy)"
    assert found["next start"] == "in 4 s"
    assert found["why"] == "exit status 3"


def test_a_refused_one_says_why_and_nothing_else() -> None:
    """The policy of one that cannot be read is not known."""
    found = dict(facts({**REFUSED, "problems": [PROBLEM]}, 104.0))

    assert found["status"] == "refused for 4 s"
    assert found["mistake"] == "/w/web/workload.toml:3: restart.limit: no \\x1b"
    assert not {"policy", "restarts", "why"} & found.keys()


@pytest.mark.parametrize(
    ("change", "shown", "verdict"),
    [
        ({"status": "refused"}, "refused", 1),
        ({"status": "running", "ready": True, "problems": [PROBLEM]}, "running, files refused", 0),
        ({"status": "running", "ready": False, "problems": [PROBLEM]}, "running, not ready", 0),
        ({"status": "failed", "problems": [PROBLEM]}, "failed, files refused", 1),
    ],
)
def test_what_is_refused_is_seen(change: dict[str, Any], shown: str, verdict: int) -> None:
    """In the table; it is a failure only where nothing can run."""
    status = {**CRASHING, **change}

    assert row({**status, "name": "a\x1b"}, 104.0)[:2] == ["a\\x1b", shown]
    assert judge([status]) == verdict
