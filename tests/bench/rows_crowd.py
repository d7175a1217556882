"""Rows about one creched with few and with many containers: starts, restarts, memory, rest."""

from __future__ import annotations

import functools
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from tests.bench.daemon import AT_ONCE, Creched, monotonic
from tests.bench.measure import Effort, Row, Series, one
from tests.bench.others import conmon, shim, supervisors
from tests.bench.processes import activity, pss
from tests.bench.scene import Scene

T = TypeVar("T")

_SLEEP = ["/bin/sleep", "100000"]
_LIFE = 20
"""Milliseconds that the workload lives which is restarted."""
_LIVES = {"creche": 1010, "s6": 1050, "runit": 1090}
"""The same beside other supervisors; not alike, so that they do not restart at one moment."""
_BESIDE = 10
"""Containers of conmon and of containerd's shim."""
_SETTLE = 12.0
"""Seconds after which trio's idle threads have ended (they wait for more work for ten)."""
_WATCHDOG = 20.0
"""Seconds, as etc/systemd/creched.service has it."""


def crowd(scene: Scene, effort: Effort) -> list[Row]:
    """All of them: a thousand containers are started once."""
    costs: dict[int, Series] = {}
    memory: dict[int, float] = {}
    gaps: dict[int, Series] = {}
    rest: list[Row] = []
    for count in effort.crowds:
        with _sleepers(scene, count) as creched:
            memory[count] = pss(creched.processes())
            if count != 10:
                gaps[count] = _restarts(scene, creched, effort.restarts)
            if count == effort.crowds[-1]:
                rest = _rest(scene, creched, count, effort)
            costs[count] = _cost(creched, count)
    return [
        *_restart_rows(gaps, _attempt("supervisors", lambda: beside(scene, effort)) or {}),
        _memory_row(scene, memory),
        *rest,
        _cost_row(costs),
    ]


def _attempt(name: str, measure: Callable[[], T]) -> T | None:
    """Of peers: what creched was measured for is not lost if one of them does not work."""
    try:
        return measure()
    except Exception as error:
        print(f" {name}: {error}", file=sys.stderr)
        return None


@contextmanager
def _sleepers(scene: Scene, count: int, **environment: str) -> Iterator[Creched]:
    """creched with so many containers, all of them up, and a first one that they waited for: then
    its launcher is there."""
    kind = "watched" if environment else "crowd"
    creched = Creched(scene, f"{kind}-{count}", **environment)
    creched.add("first", _SLEEP)
    for number in range(count):
        creched.add(f"w{number}", _SLEEP, '[workload]\nafter = ["first"]\n')
    with creched:
        creched.wait_for("started", count + 1)
        yield creched


def _cost(creched: Creched, count: int) -> Series:
    """Milliseconds for each container, from when all may start to when the last one is up."""
    first, *others = map(monotonic, creched.find("started")[: count + 1])
    return one((max(others) - first) / count / 1e6)


def _cost_row(costs: dict[int, Series]) -> Row:
    most = max(costs)
    results = {"creche": costs[most]}
    for count in costs:
        if count != most:
            results[f"{count} at once" if count > 1 else "one"] = costs[count]
    return Row(
        "start of many",
        f"start of {most} containers, for each; beside the start of fewer",
        "ms",
        results,
        (("10 at once", 1.3),),
    )


def _restarts(scene: Scene, creched: Creched, count: int) -> Series:
    """Milliseconds from an end to the next first instruction, with nothing else going on."""
    with scene.times("again") as times:
        creched.add("again", times.args(_LIFE), AT_ONCE)
        try:
            times.gaps(3)
            return Series(tuple(times.gaps(count)))
        finally:
            creched.remove("again")


def beside(scene: Scene, effort: Effort) -> dict[str, Series]:
    """Restarts by other supervisors, and by creched at the same time, of a program that lives for
    more than a second."""
    count = max(effort.rounds // 2, 3)
    with (
        supervisors(scene, _LIVES) as found,
        scene.times("beside") as times,
        Creched(scene, "beside") as creched,
    ):
        creched.add("beside", times.args(_LIVES["creche"]), AT_ONCE)
        values = {"creche": times.gaps(count)[1:]}
        for name, each in found.items():
            # The second that s6 lets pass after each exit (2.11) is not what is compared here.
            values[name] = [gap % 1000 if name == "s6" else gap for gap in each.gaps(count)[1:]]
        return {name: Series(tuple(each)) for name, each in values.items()}


def _restart_rows(gaps: dict[int, Series], others: dict[str, Series]) -> list[Row]:
    peers = {name: series for name, series in others.items() if name != "creche"}
    fewest = min(gaps)
    rows = []
    if others:
        what = "from an exit to the next first instruction, of a program that lived 1 s; peers run "
        what += "`crun run`; less the second that s6 waits"
        rows.append(Row("restart beside", what, "ms", others, (("s6", 0.6),)))
    for count, series in gaps.items():
        crowd_of = "1 other" if count == 1 else f"{count} others"
        what = f"from an exit to the next first instruction, {crowd_of} supervised"
        flat = {} if count == fewest else {f"{fewest} other": gaps[fewest]}
        rows.append(
            Row(
                f"restart, {crowd_of}",
                f"{what}: p50",
                "ms",
                {"creche": series, **peers, **flat},
                (("s6", 0.6), (f"{fewest} other", 1.3)) if flat else (("s6", 0.6),),
                goal=5.0,
            )
        )
        tail = {"creche": one(series.quantile(0.99))}
        if flat:
            tail[f"{fewest} other"] = one(gaps[fewest].quantile(0.99))
        rows.append(Row(f"restart p99, {crowd_of}", f"{what}: p99", "ms", tail))
    return rows


def _memory_row(scene: Scene, memory: dict[int, float]) -> Row:
    few, many = min(memory), max(memory)
    results = {"creche": one((memory[many] - memory[few]) / (many - few))}
    for name, measure in (("conmon", conmon), ("containerd-shim-runc-v2", shim)):
        found = _attempt(name, functools.partial(measure, scene, _BESIDE))
        if found is not None:
            results[name] = one(found)
    return Row(
        "memory",
        f"PSS of creched and its launcher with {many} sleeping containers, less that with {few}, "
        "for each container",
        "KiB",
        results,
        goal=60.0,
    )


def _rest(scene: Scene, creched: Creched, count: int, effort: Effort) -> list[Row]:
    """What creched does while nothing happens, and one that feeds a watchdog, in the same time."""
    with (
        _manager(scene) as (address, interval),
        _sleepers(scene, count, NOTIFY_SOCKET=address, WATCHDOG_USEC=interval) as watched,
    ):
        creched.lasts(_SETTLE)
        processes = {"creche": creched.processes(), "with a watchdog": watched.processes()}
        before = {name: activity(pids) for name, pids in processes.items()}
        creched.lasts(effort.idle)
        used = {name: activity(pids) - before[name] for name, pids in processes.items()}
    seconds = effort.idle
    return [
        Row(
            "wake-ups",
            f"context switches of all tasks in {seconds:g} s, {count} containers asleep",
            "",
            {name: one(each.switches) for name, each in used.items()},
            goal=0.0,
        ),
        Row(
            "processor",
            "the same: processor time",
            "% of one",
            {name: one(each.nanoseconds / seconds / 1e7) for name, each in used.items()},
            goal=0.1,
        ),
    ]


@contextmanager
def _manager(scene: Scene) -> Iterator[tuple[str, str]]:
    """A service manager that only listens; the two variables that it gives to creched."""
    path = scene.base / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(path))

        def listen() -> None:
            while listening.recv(65536) != b"end":
                pass

        thread = threading.Thread(target=listen)
        thread.start()
        try:
            yield str(path), str(int(_WATCHDOG * 1e6))
        finally:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ending:
                ending.sendto(b"end", str(path))
            thread.join()
    os.unlink(path)
