"""What has to hold, checked at each event that creched reports.

Written without looking into creched: from the events alone, from the machine, and from what the
operators did. docs/workload.md is what the rules are taken from.
"""

from __future__ import annotations

from typing import Any

from supervisor.order.needs import Target
from supervisor.policy import Policy
from supervisor.workload.model import Workload
from tests.simulation.clocks import Clocks
from tests.simulation.machine import Machine

MILLISECOND = 0.001
Event = dict[str, Any]

_STARTED = frozenset({"unready", "running"})
_ENDED = frozenset({"done", "failed", "stopped"})


class Rules:
    """Keeps what it takes to judge the next event; `broken` is what was found."""

    def __init__(self, clocks: Clocks) -> None:
        self._clocks = clocks
        self.broken: list[str] = []
        self.events: list[Event] = []
        self.workloads: dict[str, Workload] = {}
        self.down: dict[str, float] = {}
        """Stopped by hand, and when."""
        self.asked: set[str] = set()
        """Somebody has asked for something: the next start need not be when the policy has it."""
        self._states: dict[str, str] = {}
        self._due: dict[str, tuple[float, float]] = {}
        """When the next start is due, and how long the machine had been suspended by then."""
        self._restarts: dict[str, list[float]] = {}

    def fail(self, text: str) -> None:
        """A rule is broken."""
        self.broken.append(text)

    def begins(self) -> None:
        """creched begins, perhaps after one that was killed: what was due meanwhile is due now."""
        now, asleep = self._clocks.since_boot(), self._clocks.asleep
        self._due = {name: (max(due, now), asleep) for name, (due, _) in self._due.items()}
        self._states = dict.fromkeys(self._states, "idle")

    def event(self, event: Event) -> None:
        """Judge one event."""
        self.events.append(event)
        if event["seq"] != len(self.events):
            self.fail(f"event {len(self.events)} has the number {event['seq']}")
        if event["event"] == "workload-fault":
            self.fail(f"a mistake in creched: {event['error']}: {event['message']}\n"
                      f"{event['traceback']}")  # fmt: skip
        name = event.get("workload")
        if name is None or "new" not in event:
            return
        if self._states.get(name, event["old"]) != event["old"]:
            self.fail(f"{name} is {self._states[name]}, and {event['event']} says {event['old']}")
        judge = getattr(self, "_" + event["event"].replace("-", "_"), None)
        if judge is not None and name in self.workloads:
            judge(event, self.workloads[name])
        self._states[name] = event["new"]
        if event["event"] in ("creating", "stopped"):
            self.asked.discard(name)

    def changed(self, workload: Workload) -> None:
        """Other settings. Restarts under the old ones may count against a new limit or not."""
        self.workloads[workload.name] = workload
        self._restarts.pop(workload.name, None)

    def removed(self, name: str) -> None:
        """It is no workload any more."""
        for kept in (self._states, self._due, self._restarts, self.workloads, self.down):
            kept.pop(name, None)

    def end(self, machine: Machine) -> None:
        """creched has stopped everything: judge the whole."""
        left = [body.name for body in machine.bodies.values() if not body.fate.delete_fails]
        if left:
            self.fail(f"left behind: {left}")
        told: dict[str, list[tuple[object, object]]] = {}
        for event in self.events:
            if event["event"] == "exited":
                told.setdefault(event["workload"], []).append((event["code"], event["signal"]))
        for name in {body.name for body in machine.deaths} | set(told):
            most = sum(body.name == name for body in machine.deaths)
            least = most - machine.swept.count(name)
            if not least <= len(told.get(name, [])) <= most:
                self.fail(f"{name}: {most} ends and {len(told.get(name, []))} events")

    # --- judges, by the name of the event --------------------------------------------------

    def _creating(self, event: Event, workload: Workload) -> None:
        name, now = workload.name, event["monotonic"]
        if (
            self.down.get(name, now) < now - MILLISECOND
        ):  # at that very moment it may have begun already
            self.fail(f"{name} is started although it was stopped by hand")
        due = self._due.pop(name, None)
        if due is not None and name not in self.asked:
            self._on_time(name, *due, now)
        for need in workload.settings.workload.requires:
            if need.name in self.workloads and not self._reached(need.name, need.target):
                self.fail(f"{name} is started, but {need.name} is {self._states.get(need.name)}, "
                          f"and it requires {need}")  # fmt: skip
        for need in workload.settings.workload.after:
            state = self._states.get(need.name)
            if (
                need.name in self.workloads
                and state not in _ENDED
                and not self._hopeless(need.name)
                and not self._reached(need.name, need.target)
            ):
                self.fail(f"{name} is started, but {need.name} is {state}, and it comes {need}")

    def _waiting(self, event: Event, workload: Workload) -> None:
        due = self._due.pop(workload.name, None)
        if due is not None and workload.name not in self.asked:
            self._on_time(workload.name, *due, event["monotonic"])

    def _stopped(self, event: Event, workload: Workload) -> None:
        self._due.pop(workload.name, None)

    def _restart_scheduled(self, event: Event, workload: Workload) -> None:
        name, policy = workload.name, workload.settings.restart
        now, after = event["monotonic"], event["after"]
        if policy.when == "never":
            self.fail(f"{name} is restarted, and its policy is never")
        most = _delay(policy, event["series"] - 1)
        if not most * (1 - policy.jitter) - MILLISECOND <= after <= most + MILLISECOND:
            self.fail(f"{name}: delay {after} with {policy} at {event['series']} in the series")
        self._on_time(name, now + after, self._clocks.asleep, event["at"])
        self._due[name] = event["at"], self._clocks.asleep
        recent = self._restarts.setdefault(name, [])
        recent.append(event["at"])
        inside = [at for at in recent if at > event["at"] - policy.window + MILLISECOND]
        if policy.limit and len(inside) > policy.limit:
            self.fail(f"{name}: {len(inside)} restarts within {policy.window} s: {inside}")

    def _reset(self, event: Event, workload: Workload) -> None:
        self._restarts.pop(workload.name, None)

    # ---------------------------------------------------------------------------------------

    def _reached(self, name: str, target: Target) -> bool:
        state = self._states.get(name)
        if target is Target.COMPLETED:
            return state == "done"
        return state in _STARTED if target is Target.STARTED else state == "running"

    def _hopeless(self, name: str) -> bool:
        """It waits for what has ended without having come so far: nobody need wait for it."""
        return self._states.get(name) == "waiting" and any(
            not self._reached(need.name, need.target)
            and (
                need.name not in self.workloads
                or self._states.get(need.name) in _ENDED
                or self._hopeless(need.name)
            )
            for need in self.workloads[name].settings.workload.requires
        )

    def _on_time(self, name: str, due: float, asleep: float, now: float) -> None:
        """Nothing wakes a machine that is suspended, and it goes on waiting where it was."""
        latest = due + self._clocks.asleep - asleep
        if not due - MILLISECOND <= now <= latest + MILLISECOND:
            self.fail(f"{name}: due at {due}, done at {now}")


def _delay(policy: Policy, before: int) -> float:
    """The longest that the policy allows after so many restarts in a row."""
    delay = min(policy.delay, policy.maximum)
    for _ in range(before):
        delay = min(delay * policy.factor, policy.maximum)
        if delay >= policy.maximum or policy.factor == 1:
            break
    return delay
