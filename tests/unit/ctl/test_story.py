"""`crechectl explain`: the sentences for what happened."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.control.schema import plain
from supervisor.ctl.story import tell
from supervisor.ctl.words import clean, ending, size, span
from supervisor.events import REPORTS
from supervisor.machine import Status
from tests.unit.control.peers import WEB

STATUS: dict[str, Any] = {**plain(WEB), "why": "", "restarts": 0, "exit": None}


def exited(at: float, code: int | None = 1, **more: Any) -> dict[str, Any]:
    """One ending."""
    fields = dict.fromkeys(REPORTS["exited"].fields)
    return {
        **fields, "event": "exited", "level": "info", "monotonic": at, "cause": "exit",
        "code": code, "uptime": 2.0, **more,
    }  # fmt: skip


def test_running() -> None:
    """One that nothing has happened to."""
    assert tell(STATUS, [], 70.0) == ["web has been running for 1 min, and is healthy."]


def test_failed() -> None:
    """What led to it is told once, with how often; then its last words, and what can be done."""
    events = [exited(float(second), output=["cannot bind"]) for second in range(10, 15)]
    events.append(
        {"event": "gave-up", "level": "error", "monotonic": 15.0, "reason": "5 restarts in 60 s"}
    )
    status = {**STATUS, "status": "failed", "since": 15.0, "why": "5 restarts in 60 s"}

    assert tell(status, events, 20.0) == [
        "web failed 5 s ago: 5 restarts in 60 s.",
        "Before that:",
        "  5 times, the last 6 s ago, its program ended (exit status 1) after 2 s.",
        "  5 s ago creched gave up: 5 restarts in 60 s.",
        "The last it wrote:",
        "  | cannot bind",
        "Nothing more happens by itself. To try again: crechectl start web",
    ]


def test_waiting_for_the_next_start() -> None:
    """When it is, and how much of the limit is left."""
    status = {
        **STATUS, "status": "restarting", "since": 58.0, "next_attempt_at": 63.0, "attempt": 3,
        "why": "killed for lack of memory",
    }  # fmt: skip

    assert tell(status, [exited(58.0, None, cause="oom", signal="SIGKILL")], 60.0) == [
        "web has been waiting for its next start for 2 s: killed for lack of memory.",
        "Before that:",
        "  2 s ago its program ended (killed for lack of memory) after 2 s.",
        "It is started again in 3 s (attempt 4; 2 of 5 restarts are used up).",
    ]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"ready": False}, "web has been running for 1 min, but is not ready."),
        ({"health": "unhealthy"}, "web has been running for 1 min, but is not healthy."),
        (
            {"status": "waiting", "waiting_for": ["db:ready"], "why": "waits for db:ready"},
            "web has been waiting for 1 min, until db:ready.",
        ),
        (
            {"status": "restarting", "state": "cooldown", "why": "5 restarts did not help"},
            "web has been resting for 1 min: 5 restarts did not help.",
        ),
        ({"status": "from-the-future"}, "web has been from-the-future for 1 min."),
    ],
)
def test_standing(change: dict[str, Any], sentence: str) -> None:
    """The first sentence."""
    assert tell({**STATUS, **change}, [], 70.0)[0] == sentence


def test_stopped_by_hand() -> None:
    """It stays so, and by whom is told."""
    control = {
        "event": "control", "level": "info", "monotonic": 60.0, "action": "stop",
        "who": "uid 0, pid 1",
    }  # fmt: skip
    told = tell({**STATUS, "status": "stopped", "intent": "down"}, [control], 70.0)

    assert "  10 s ago somebody (uid 0, pid 1) asked for stop." in told
    assert told[-1] == "It was stopped by hand and stays so: crechectl start web"


PROBLEM = {"file": "/w/web/workload.toml", "key": "a.b", "message": "what is that", "line": 2}


@pytest.mark.parametrize(
    ("change", "story"),
    [
        (
            {"status": "refused", "why": "…", "pid": 17},
            [
                "web has been refused for 1 min.",
                "Its files are not in order; until they are, nothing of it is used:",
                "  /w/web/workload.toml:2: a.b: what is that",
                "Its container (process 17) is left as it is.",
            ],
        ),
        (
            {},
            [
                "web has been running for 1 min, and is healthy.",
                "Its files are not in order; until they are, the version before is used:",
                "  /w/web/workload.toml:2: a.b: what is that",
            ],
        ),
    ],
)
def test_mistakes(change: dict[str, Any], story: list[str]) -> None:
    """They are told, and what is used in their place."""
    assert tell({**STATUS, **change, "problems": [PROBLEM]}, [], 70.0) == story


def test_what_comes_next() -> None:
    """What is started by hand only says how; restarts are counted as people count."""
    manual = {**STATUS, "status": "stopped", "start": "manual", "intent": "none"}
    assert tell(manual, [], 70.0)[-1] == (
        "It is to be started by hand (start = manual): crechectl start web"
    )
    for restarts, times in ((1, "once"), (2, "2 times")):
        told = tell({**STATUS, "restarts": restarts}, [], 70.0)
        assert told[-1] == f"Its policy ({STATUS['policy']}) has restarted it {times}."


@given(st.lists(st.sampled_from(sorted(REPORTS)), max_size=30), st.sampled_from(list(Status)))
def test_any_events(names: list[str], status: Status) -> None:
    """Whatever happened, there is a story, and not a long one."""
    events = [
        {**dict.fromkeys(REPORTS[name].fields), "event": name, "level": REPORTS[name].level,
         "monotonic": 1.0}
        for name in names
    ]  # fmt: skip
    told = tell({**STATUS, "status": status.value}, events, 70.0)

    assert told[0].startswith("web ")
    assert len(told) < 20


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (0.25, "250 ms"), (1.5, "1.5 s"), (59, "59 s"), (60, "1 min"), (200, "3 min 20 s"),
     (3600, "1 h"), (90061, "1 d 1 h"), (-5, "0 s")],
)  # fmt: skip
def test_spans(seconds: float, text: str) -> None:
    """The two largest units."""
    assert span(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (1 << 40, "1.0 TiB")]
)
def test_sizes(count: int, text: str) -> None:
    """Three digits or so."""
    assert size(count) == text


@pytest.mark.parametrize(
    ("exit", "text"),
    [
        ({"code": 3}, "exit status 3"),
        ({"signal": 11, "core": True}, "SIGSEGV (core dumped)"),
        ({"signal": 40}, "signal 40"),
        ({"cause": "oom", "signal": 9}, "killed for lack of memory"),
        ({"text": "hook\x1b failed"}, "hook\\x1b failed"),
        ({}, "not known"),
    ],
)
def test_endings(exit: dict[str, object], text: str) -> None:
    """How a run ended."""
    assert ending(exit) == text


@given(st.text())
def test_nothing_reaches_the_terminal(text: str) -> None:
    """No control character, whoever chose the text."""
    assert clean(text).isprintable()
