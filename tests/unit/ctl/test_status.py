"""`crechectl status NAME`: all that decides about the next start is there."""

from __future__ import annotations

from supervisor.ctl.status import facts

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
}


def test_attempt_window_next_start_and_why() -> None:
    found = dict(facts(CRASHING, 104.0))

    assert found["attempt"] == "4"
    assert found["restarts"] == "3 (3 of 5 in the window of its policy)"
    assert found["next start"] == "in 4 s"
    assert found["why"] == "exit status 3"
