"""Rows about creched's launches: one, as many as go, and into a container that runs."""

from __future__ import annotations

import functools
import itertools
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.bench.daemon import AT_ONCE, Creched, monotonic
from tests.bench.measure import Effort, Row, Series, interleave
from tests.bench.peers import Peer, running, runtimes
from tests.bench.scene import REPOSITORY, Scene
from tests.bench.times import Times
from tests.support.waiting import wait_readable

LOOPS = 4
"""Containers at once, where it is about how many a second."""
_numbers = itertools.count()
_NEVER = '[restart]\npolicy = "never"\n[workload]\nstart = "manual"\n'
_POSTSTOP = {"poststop": [{"path": "/bin/true"}]}


def warm_launch(scene: Scene, effort: Effort) -> Row:
    """creched's launch to the first instruction, beside `run` of the same bundle."""
    with scene.times("warm") as times, Creched(scene, "warm") as creched:
        creched.add("warm", times.args(), _NEVER)
        bundle = scene.bundle("warm", times.args())
        creched.wait_for("supervisor-started")
        cases: dict[str, Callable[[], float]] = {"creche": functools.partial(_warm, creched, times)}
        for name, peer in runtimes(scene).items():
            if name != "creche":
                cases[name] = functools.partial(_to_first, peer, bundle, times)
        results = interleave(cases, effort.rounds)
    return Row(
        "warm launch",
        "from the request to the workload's first instruction: `creched`, and `run` of peers",
        "ms",
        results,
        (("crun", 0.5), ("runc", 0.2)),
    )


def _warm(creched: Creched, times: Times) -> float:
    """From the event that tells of the decision, the first thing that creched does for a start."""
    before = len(creched.find("done"))
    creched.client.post("workloads", "warm", "start")
    first = times.started()
    creched.wait_for("done", before + 1)
    return (first - monotonic(creched.find("creating")[-1])) / 1e6


def _to_first(peer: Peer, bundle: Path, times: Times) -> float:
    began = time.monotonic_ns()
    peer.call("run", "-b", bundle, peer.new_id())
    return (times.started() - began) / 1e6


def rates(scene: Scene, effort: Effort) -> list[Row]:
    """Containers a second, one after the other in LOOPS loops, without hooks and with one."""
    rows = []
    for name, what, more in (
        ("launches", f"`true` to its end and all removed, {LOOPS} at once", {}),
        ("with a hook", "the same with a poststop hook, `/bin/true`", {"hooks": _POSTSTOP}),
    ):
        bundle = scene.bundle(f"rate-{name}", ["/bin/true"], **more)
        cases: dict[str, Callable[[], float]] = {
            "creche": functools.partial(_restarting, scene, effort.seconds, more)
        }
        for each, peer in runtimes(scene).items():
            if each != "creche":
                cases[each] = functools.partial(_looping, scene, peer, bundle, effort.seconds)
        values = {each: [case()] for each, case in cases.items()}
        for each, case in reversed(cases.items()):  # so that what grows warm meets all alike
            values[each].append(case())
        results = {each: Series(tuple(found)) for each, found in values.items()}
        rows.append(Row(name, what, "1/s", results, (("crun", 2.0),), more_is_better=True))
    return rows


def _restarting(scene: Scene, seconds: float, more: dict[str, Any]) -> float:
    """creched starts workloads that end at once again, without a delay."""
    with Creched(scene, f"rate-{next(_numbers)}") as creched:
        for number in range(LOOPS):
            creched.add(f"w{number}", ["/bin/true"], AT_ONCE, **more)
        creched.wait_for("cleaned", 4 * LOOPS)  # its launcher is there, and what it keeps
        before = len(creched.find("cleaned"))
        creched.lasts(seconds)
        creched.until(lambda: len(creched.find("cleaned")) > before)
        moments = [monotonic(event) for event in creched.find("cleaned")[before:]]
    return (len(moments) - 1) / (moments[-1] - moments[0]) * 1e9


def _looping(scene: Scene, peer: Peer, bundle: Path, seconds: float) -> float:
    """A shell calls `run` again and again."""
    stop = scene.base / f"stop-{next(_numbers)}"
    script = (
        'n=0; while ! [ -e "$1" ]; do n=$((n + 1)); "$3" --root "$4" run -b "$5" "$2-$n" || exit; '
        "done; echo $n"
    )
    began = time.monotonic()
    loops = [
        subprocess.Popen(
            ["sh", "-c", script, "sh", stop, peer.new_id(), *peer.argv[:1], peer.argv[2], bundle],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(LOOPS)
    ]
    assert loops[0].stdout is not None
    wait_readable(loops[0].stdout.fileno(), seconds)  # they are silent, unless one fails
    stop.touch()
    said = [loop.communicate(timeout=60) for loop in loops]
    took = time.monotonic() - began
    for loop, (_, complaint) in zip(loops, said, strict=True):
        if loop.returncode:
            raise RuntimeError(f"{peer.name} run: {complaint[-300:]}")
    return sum(int(count) for count, _ in said) / took


def warm_exec(scene: Scene, effort: Effort) -> Row:
    """`true` in a container that runs: as creched probes its health, and by `exec` of peers."""
    peers = runtimes(scene)
    with probed(scene) as probe, running(scene, peers) as names:
        cases: dict[str, Callable[[], float]] = {"creche": probe}
        for name, container in names.items():
            if name != "creche":
                words = ("exec", container, "/bin/true")
                cases[name] = functools.partial(peers[name].timed, words)
        results = interleave(cases, effort.rounds)
    return Row(
        "warm exec",
        "`true` in a running container, from the request to its end: a probe of `creched`, "
        "and `exec` of peers",
        "ms",
        results,
        (("runc", 0.2),),
    )


@contextmanager
def probed(scene: Scene) -> Iterator[Callable[[], float]]:
    """Gives a function that runs `true` in a container of creched's and says what it took."""
    base = scene.base / "probed"
    workload = base / "workloads/probed"
    workload.mkdir(parents=True)
    (workload / "config.json").write_text(json.dumps(scene.config(["/bin/sleep", "100000"])))
    (workload / "workload.toml").write_text('[logs]\nto = "none"\n')
    scene.claim_creched(base / "root")
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.probing", base],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    asking, answers = process.stdin, process.stdout

    def probe() -> float:
        print(file=asking, flush=True)
        return float(answers.readline())

    try:
        if answers.readline() != "ready\n":
            raise RuntimeError("the container to be probed did not start")
        yield probe
    finally:
        asking.close()
        answers.close()
        process.wait(60)
