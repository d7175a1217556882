"""A workload's status and its events, told as a story. Pure: what `crechectl explain` prints.

First how it stands and why; then what led to it, the newest things last; then what comes next and
what can be done about it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from supervisor.ctl.words import ending, problem, span

Event = dict[str, Any]
Status = dict[str, Any]

_LATEST = 8
"""Sentences about the past."""

_STANDING = {
    "waiting": "has been waiting for {}",
    "starting": "has been starting for {}",
    "running": "has been running for {}",
    "exited": "ended {} ago",
    "restarting": "has been waiting for its next start for {}",
    "stopping": "has been stopping for {}",
    "done": "ended as it should {} ago",
    "failed": "failed {} ago",
    "stopped": "was stopped {} ago",
    "refused": "has been refused for {}",
}


def tell(status: Status, events: Sequence[Event], now: float) -> list[str]:
    """The sentences, one a line. `events`: those of this workload, the oldest first; `now` and
    all times are seconds since boot."""
    story = [_standing(status, now)]
    past = _past(events, now)
    if len(past) > _LATEST:
        story.append(f"Before that ({len(past) - _LATEST} things more, see crechectl events):")
    elif past:
        story.append("Before that:")
    story += [f"  {sentence}" for sentence in past[-_LATEST:]]
    story += _output(events)
    story += _next(status, now)
    return story


def _standing(status: Status, now: float) -> str:
    name = status["name"]
    form = (
        "has been resting for {}"
        if status["state"] == "cooldown"
        else _STANDING.get(status["status"], f"has been {status['status']} for {{}}")
    )
    sentence = f"{name} {form.format(span(now - status['since']))}"
    if status["waiting_for"]:
        sentence += f", until {' and '.join(status['waiting_for'])}"
    if status["status"] == "running":
        if status["health"] == "unhealthy":
            sentence += ", but is not healthy"
        elif not status["ready"]:
            sentence += ", but is not ready"
        elif status["health"] == "healthy":
            sentence += ", and is healthy"
    if status["why"] and not status["waiting_for"] and status["status"] != "refused":
        sentence += f": {status['why']}"
    return sentence + "."


def _past(events: Sequence[Event], now: float) -> list[str]:
    """A sentence for each thing that mattered; what happened again and again is one."""
    told: list[_Told] = []
    for event in events:
        text = _sentence(event)
        if text is None:
            continue
        new = _Told(text, float(event["monotonic"]), 1, event.get("uptime"), event.get("uptime"))
        for back in range(1, min(3, len(told)) + 1):
            if told[-back].text == text:
                new = told.pop(-back).again(new)
                break
        told.append(new)
    return [each.sentence(now) for each in told]


class _Told(NamedTuple):
    """Something that happened `times` times, the last time at `at`; for ends of runs, how long
    the shortest and the longest of them was."""

    text: str
    at: float
    times: int
    shortest: float | None
    longest: float | None

    def again(self, other: _Told) -> _Told:
        """This, and once more."""
        if self.shortest is None or self.longest is None or other.shortest is None:
            return self._replace(at=other.at, times=self.times + 1)
        return self._replace(
            at=other.at,
            times=self.times + 1,
            shortest=min(self.shortest, other.shortest),
            longest=max(self.longest, other.shortest),
        )

    def sentence(self, now: float) -> str:
        """In words."""
        when = f"{span(now - self.at)} ago"
        text = when + f" {self.text}"
        if self.times > 1:
            text = f"{self.times} times, the last {when}, {self.text}"
        if self.shortest is not None and self.longest is not None:
            shortest, longest = span(self.shortest), span(self.longest)
            text += f" after {shortest}" + ("" if shortest == longest else f" to {longest}")
        return text + "."


_FAILED = {"create-failed": "made", "start-failed": "started", "clean-failed": "removed"}


def _sentence(event: Event) -> str | None:
    name, reason = event["event"], event.get("reason") or ""
    if name == "exited":
        return f"its program ended ({_exit(event)})"
    if name in _FAILED:
        return f"its container could not be {_FAILED[name]}: {reason}"
    if name == "gave-up":
        return f"creched gave up: {reason}"
    if name == "control":
        return f"somebody ({event['who']}) asked for {event['action']}"
    if name == "oom":
        return f"the kernel killed processes of it for lack of memory ({event['count']})"
    if name == "killing":
        return f"everything in it was killed: {reason}"
    if name == "adopted":
        return "a new creched took it over while it ran"
    if name == "restart-scheduled" or event["level"] == "info":
        return None  # what it led to is told
    text = event.get("message") or reason
    return f"{name.replace('-', ' ')}: {text}" if text else name.replace("-", " ")


def _exit(event: Event) -> str:
    if event["cause"] in ("exit", "signal", "oom"):
        core = " (core dumped)" if event.get("core") else ""
        if event["cause"] == "oom":
            return "killed for lack of memory"
        if event["code"] is not None:
            return f"exit status {event['code']}"
        return f"{event['signal']}{core}"
    return str(event["reason"] or event["cause"])


def _output(events: Sequence[Event]) -> list[str]:
    """The last lines of the last run that ended badly."""
    for event in reversed(events):
        if event["event"] == "exited":
            lines = event.get("output") or []
            if not lines or event.get("code") == 0:
                return []
            return ["The last it wrote:", *(f"  | {line}" for line in lines[-5:])]
    return []


def _next(status: Status, now: float) -> list[str]:
    name, word = status["name"], status["status"]
    found = []
    if status["problems"]:
        used = "nothing of it" if word == "refused" else "the version before"
        found.append(f"Its files are not in order; until they are, {used} is used:")
        found += [f"  {problem(each)}" for each in status["problems"]]
    if word == "refused" and status["pid"]:
        found.append(f"Its container (process {status['pid']}) is left as it is.")
    at = status["next_attempt_at"]
    if at is not None:
        left = span(max(0.0, at - now))
        number = f"attempt {status['attempt'] + 1}"
        sentence = f"It is started again in {left} ({number}"
        if status["limit"]:
            sentence += f"; {status['window_used']} of {status['limit']} restarts are used up"
        found.append(sentence + ").")
    if word == "failed":
        found.append(f"Nothing more happens by itself. To try again: crechectl start {name}")
    elif word == "stopped" and status["intent"] == "down":
        found.append(f"It was stopped by hand and stays so: crechectl start {name}")
    elif word == "stopped" and status["start"] == "manual":
        found.append(f"It is to be started by hand (start = manual): crechectl start {name}")
    elif word == "running" and status["exit"]:
        found.append(f"Its last run ended with: {ending(status['exit'])}.")
    if status["restarts"] and word != "failed" and at is None:
        times = "once" if status["restarts"] == 1 else f"{status['restarts']} times"
        found.append(f"Its policy ({status['policy']}) has restarted it {times}.")
    return found
