"""Where the time goes: processor time of each part, in the program and in the kernel, and the steps
of a restart. Measured anew each time, since it changes with the code."""

from __future__ import annotations

import functools
import itertools
import os
import resource
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

from tests.bench.daemon import AT_ONCE, Creched
from tests.bench.measure import Effort
from tests.bench.peers import Peer, interpreter, running, runtimes
from tests.bench.scene import Scene

_STEPS = ("restart-scheduled", "creating", "created", "started", "exited", "cleaned")
_TICK = 1000 / os.sysconf("SC_CLK_TCK")
_WARM = 10


def profile(scene: Scene, effort: Effort) -> str:
    """Two tables and a line, as Markdown."""
    return f"{_restarts(scene, effort)}\n\n{_commands(scene, effort)}"


def _restarts(scene: Scene, effort: Effort) -> str:
    """creched restarts `true`, one at a time, without a delay."""
    with Creched(scene, "profile") as creched:
        creched.add("again", ["/bin/true"], AT_ONCE)
        creched.wait_for("cleaned", _WARM)
        before = list(map(_ticks, creched.processes()))
        first = len(creched.find("cleaned"))
        creched.lasts(effort.seconds)
        creched.wait_for("cleaned", first + 1)
        after = list(map(_ticks, creched.processes()))
        count = len(creched.find("cleaned")) - first
        events = [event for event in creched.events if event["event"] in _STEPS]
    creche, launcher = (
        [(b - a) * _TICK / count for a, b in zip(*pair, strict=True)]
        for pair in zip(before, after, strict=True)
    )
    lines = ["| one restart of `true`, processor time in ms | in the program | in the kernel |"]
    lines += ["|---|---:|---:|"]
    lines.append(f"| creched | {creche[0]:.1f} | {creche[1]:.1f} |")
    lines.append(f"| its launcher | {launcher[0]:.1f} | {launcher[1]:.1f} |")
    # What it has reaped: init, an interpreter up to its last step, and then the program.
    lines.append(f"| the container, from clone to end | {creche[2]:.1f} | {creche[3]:.1f} |")
    return "\n".join([*lines, "", _between(events)])


def _between(events: Sequence[dict[str, object]]) -> str:
    """The medians of what lies between the events of a restart."""
    gaps: dict[str, list[float]] = {name: [] for name in _STEPS}
    for one, two in itertools.pairwise(events):
        name = str(two["event"])
        if one["event"] == _STEPS[_STEPS.index(name) - 1]:
            gaps[name].append((float(str(two["monotonic"])) - float(str(one["monotonic"]))) * 1000)
    said = [f"`{name}` {median(found):.1f}" for name, found in gaps.items() if found]
    return f"Milliseconds from the event before to each event of a restart: {', '.join(said)}."


def _ticks(pid: int) -> tuple[int, int, int, int]:
    """In the program, in the kernel, and the same of its children that have ended."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return int(fields[11]), int(fields[12]), int(fields[13]), int(fields[14])


def _commands(scene: Scene, effort: Effort) -> str:
    """Processor time of cold commands, of all processes that they wait for."""
    lines = ["| a command, processor time in ms | in the program | in the kernel | waiting |"]
    lines += ["|---|---:|---:|---:|"]
    peers = runtimes(scene)
    bundle = scene.bundle("profile", ["/bin/true"])
    with running(scene, peers) as names:
        cases: dict[str, Callable[[], object]] = {"`python3 -I -S`": interpreter}
        for name, peer in peers.items():
            cases[f"`{name} state`"] = functools.partial(peer.call, "state", names[name])
            cases[f"`{name} run`"] = functools.partial(_run, peer, bundle)
            cases[f"`{name} exec`"] = functools.partial(peer.call, "exec", names[name], "/bin/true")
        for name, case in cases.items():
            user, kernel, waiting = _rusage(case, effort.rounds)
            lines.append(f"| {name} | {user:.1f} | {kernel:.1f} | {waiting:.1f} |")
    return "\n".join(lines)


def _run(peer: Peer, bundle: Path) -> None:
    peer.call("run", "-b", bundle, peer.new_id())


def _rusage(case: Callable[[], object], rounds: int) -> tuple[float, float, float]:
    """Means of milliseconds in the program, in the kernel, and of neither."""
    case()
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    for _ in range(rounds):
        case()
    after, ended = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    user = (after.ru_utime - before.ru_utime) * 1000 / rounds
    kernel = (after.ru_stime - before.ru_stime) * 1000 / rounds
    return user, kernel, max(0.0, (ended - began) * 1000 / rounds - user - kernel)
