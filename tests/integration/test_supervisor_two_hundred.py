"""Two hundred containers at once, each killed five times: every end seen, every restart by policy.

The order of kills and the signals come from a seed, printed by a failure; nothing is timed.
"""

from __future__ import annotations

import os
import random
import re
import signal
from collections import Counter
from pathlib import Path

import pytest

from tests.integration.supervised import Creched

pytestmark = [pytest.mark.root, pytest.mark.slow]

CONTAINERS = int(os.environ.get("CRECHE_TEST_CONTAINERS", "200"))
KILLS = 5
SEED = int(os.environ.get("CRECHE_TEST_SEED", "2026"))

# Delays short enough for a test, long enough to be told apart.
DELAY, FACTOR, MAXIMUM, JITTER = 0.02, 2.0, 0.1, 0.5
WORKLOAD = """
[restart]
policy = "always"
delay = "20ms"
factor = 2
max = "100ms"
jitter = 0.5
limit = {limit}
window = "1d"
[container]
args = ["busybox", "sh", "-c", '''
trap 'exit 41' USR1; trap 'exit 42' USR2; trap 'exit 0' TERM
echo "ready $(hostname)." >&2
while :; do sleep 100000 & wait $!; done
''']
pids = 8
"""
ENDS = {
    signal.SIGKILL: (None, "SIGKILL"),
    signal.SIGUSR1: (41, None),
    signal.SIGUSR2: (42, None),
}


def descriptors(pid: int) -> Counter[str]:
    """What a process has open, by kind."""
    kinds: Counter[str] = Counter()
    for name in os.listdir(f"/proc/{pid}/fd"):
        kinds[re.sub(r"[\d:\[\]]+", "", os.readlink(f"/proc/{pid}/fd/{name}"))] += 1
    return kinds


class Ups:
    """How often each workload has said that it is ready: read off what containers write."""

    def __init__(self, creched: Creched) -> None:
        self._creched = creched
        self._read = 0
        self.counts: Counter[str] = Counter()

    def update(self) -> Counter[str]:
        """The counts by now."""
        complete = self._creched.output.rfind(b"\n") + 1
        text = self._creched.output[self._read : complete].decode(errors="replace")
        self.counts.update(re.findall(r"ready (w\d+)\.", text))
        self._read = complete
        return self.counts


def test_two_hundred_containers_killed_five_times_each(tmp_path: Path) -> None:
    """See the module."""
    rng = random.Random(SEED)
    creched = Creched(tmp_path)
    ups = Ups(creched)
    names = [f"w{number}" for number in range(CONTAINERS)]
    # Every tenth reaches its limit with the last kill and is given up.
    limited = {name for name in names if rng.randrange(10) == 0}
    for name in names:
        creched.add(name, WORKLOAD.format(limit=KILLS - 1 if name in limited else 0))
    sent: dict[str, list[signal.Signals]] = {name: [] for name in names}

    def killable() -> list[str]:
        """Those whose run after the last kill is up, handlers and all, and whose pid is known."""
        counts = ups.update()
        return [
            name
            for name, kills in sent.items()
            if len(kills) < KILLS
            and counts[name] > len(kills)
            and len(creched.find("started", name)) > len(kills)
        ]

    def all_up(run: int, which: list[str]) -> bool:
        counts = ups.update()
        return all(
            counts[name] >= run and len(creched.find("started", name)) >= run for name in which
        )

    try:
        creched.start()
        creched.pump(lambda: all_up(1, names))
        before = descriptors(creched.pid)
        while any(len(kills) < KILLS for kills in sent.values()):
            creched.pump(lambda: bool(killable()))
            name = rng.choice(killable())
            number = rng.choice(sorted(ENDS))
            sent[name].append(number)
            os.kill(creched.find("created", name)[-1]["pid"], number)
        creched.pump(lambda: len(creched.find("gave-up")) == len(limited))
        creched.pump(lambda: all_up(KILLS + 1, [name for name in names if name not in limited]))
        after = descriptors(creched.pid)
        assert creched.stop() == 0
    except BaseException:
        print(f"seed {SEED}")
        creched.clean()
        raise

    for name in names:
        _check(creched, name, sent[name], name in limited)
    # A running container costs one descriptor, its pidfd; nothing else has grown.
    before.subtract({"anon_inodepidfd": len(limited)})
    assert +after == +before
    creched.check_clean()


def _check(creched: Creched, name: str, sent: list[signal.Signals], limited: bool) -> None:
    """One workload's story, word for word."""
    story = [event for event in creched.events if event.get("workload") == name]
    exits = [event for event in story if event["event"] == "exited"]
    ends = [(event["code"], event["signal"]) for event in exits]
    expected = [ENDS[number] for number in sent]

    assert ends == (expected if limited else [*expected, (0, None)])
    restarts = [event for event in story if event["event"] == "restart-scheduled"]
    assert len(restarts) == (KILLS - 1 if limited else KILLS)
    for index, event in enumerate(restarts):
        delay = min(MAXIMUM, DELAY * FACTOR**index)
        assert delay * (1 - JITTER) - 1e-6 <= event["after"] <= delay + 1e-6
        assert event["restarts"] == event["series"] == index + 1
        creating = story[story.index(event) + 1]
        assert creating["event"] == "creating"
        assert creating["attempt"] == index + 2
        # Never before its time, which counts from the decision, of which the event tells a moment
        # later (trio's clock and the event's are read one after the other).
        assert event["at"] <= event["monotonic"] + event["after"] + 1e-6
        assert creating["monotonic"] >= event["at"] - 0.005
    if limited:
        assert story[-1]["event"] == "gave-up"
        assert story[-1]["result"] == "limit"
    else:
        assert [event["event"] for event in story[-3:]] == ["stopping", "exited", "stopped"]
    pids = [event["pid"] for event in story if event["event"] == "created"]
    assert len(pids) == len(exits)
