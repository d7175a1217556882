"""Drive the engines, two at a time, and print what holds for creche and for runc: `./dev engines`.

Each engine is a file of tests and a pytest of its own, which has namespaces and control groups of
its own (tests/support/isolation.py): they do not meet.
"""

from __future__ import annotations

import argparse
import os
import selectors
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.engines import matrix
from tests.support.repository import REPOSITORY
from tests.support.results import (
    failed,
    names,
    next_suffix,
    read,
    read_name,
    read_part,
    reasons,
    total,
)

HERE = Path(__file__).parent
RESULTS = REPOSITORY / ".cache/engines"
LIMIT = 900.0  # seconds for one engine; several times what it takes, so it hangs by then
_END = 150.0  # seconds for clearing up after SIGTERM; the reaper's own limit is shorter


def engines() -> list[str]:
    """Return the engines, those with the most tests first: they take longest."""
    files = sorted(HERE.glob("test_*.py"), key=lambda file: -file.stat().st_size)
    return [file.stem.removeprefix("test_") for file in files]


def say(text: str) -> None:
    """Tell what goes on."""
    print(f"engines: {text}", flush=True)


class Run:
    """The pytest of one engine."""

    def __init__(self, engine: str, words: Sequence[str], suffix: str = "") -> None:
        self.engine = engine
        self.results = RESULTS / f"{engine}{suffix}.xml"
        self.log = RESULTS / f"{engine}{suffix}.log"
        self.results.write_text("")  # stands for a run that does not end
        argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--durations=5"]
        argv += [f"--junitxml={self.results}", *words]
        self.began = time.monotonic()
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                argv, cwd=REPOSITORY, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self.pidfd = os.pidfd_open(self.process.pid)

    def end(self) -> None:
        """End it by force if it has not ended; its tests still clear up."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(_END)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()
        os.close(self.pidfd)

    def report(self) -> None:
        """Say how it went, and in full what went wrong."""
        results = read(self.results)
        seconds = time.monotonic() - self.began
        say(f"{self.engine}: {total(results)} in {seconds:.0f} s")
        if failed(results):
            print(self.log.read_text(errors="replace"), flush=True)
            return
        for line in reasons(results):
            say(f"  {line}")


def drive(plans: Iterable[tuple[str, Sequence[str]]], suffix: str, jobs: int) -> None:
    """Run the pytests of some engines, so many at a time."""
    waiting = list(plans)
    running: list[Run] = []
    with selectors.DefaultSelector() as selector:
        try:
            while waiting or running:
                while waiting and len(running) < jobs:
                    run = Run(*waiting.pop(0), suffix)
                    running.append(run)
                    selector.register(run.pidfd, selectors.EVENT_READ, run)
                rest = min(run.began for run in running) + LIMIT - time.monotonic()
                ended = [key.data for key, _ in selector.select(max(0.0, rest))]
                late = [run for run in running if time.monotonic() > run.began + LIMIT]
                for run in {*ended, *late}:
                    if run not in ended:
                        say(f"{run.engine}: no end after {LIMIT:.0f} s")
                    selector.unregister(run.pidfd)
                    running.remove(run)
                    run.end()
                    run.report()
        finally:
            for run in running:
                run.end()


def _failed_before() -> list[tuple[str, Sequence[str]]]:
    """Return the tests that failed in the last run; all of an engine that did not get that far."""
    plans: list[tuple[str, Sequence[str]]] = []
    for engine in names(RESULTS):
        if bad := failed(read_name(RESULTS, engine)):
            whole = not all("::" in name for name in bad)
            plans.append((engine, [_path(engine)] if whole else bad))
    return plans


def _path(engine: str) -> str:
    return f"tests/engines/test_{engine}.py"


def main() -> int:
    """Return 0 if nothing failed and creche is nowhere worse than runc."""
    parser = argparse.ArgumentParser(prog="./dev engines", description=__doc__)
    parser.add_argument("engine", nargs="*", help=f"some of: {' '.join(engines())}")
    parser.add_argument("--last-failed", action="store_true", help="again what failed last time")
    parser.add_argument("--jobs", type=int, default=2, help="engines at a time")
    parser.add_argument("-k", metavar="EXPRESSION", help="some of the tests, as pytest has it")
    options = parser.parse_args()
    if unknown := set(options.engine) - set(engines()):
        parser.error(f"no such engine: {' '.join(sorted(unknown))}")
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))

    if options.last_failed and any(RESULTS.glob("*.xml")):
        plans, suffix = _failed_before(), next_suffix(RESULTS)
        say(f"once more: {sum(len(words) for _, words in plans)} that failed")
    else:
        shutil.rmtree(RESULTS, ignore_errors=True)
        RESULTS.mkdir(parents=True)
        only = ["-k", options.k] if options.k else []
        chosen = [engine for engine in engines() if engine in (options.engine or engines())]
        plans, suffix = [(engine, [_path(engine), *only]) for engine in chosen], ""
    drive(plans, suffix, options.jobs)

    results = read_part(RESULTS)
    table = matrix.rows(results)
    text = "\n".join(matrix.lines(table)) + "\n"
    (RESULTS / "matrix.txt").write_text(text)
    print(text, end="")
    say(f"{total(results)}; the table is in {RESULTS.relative_to(REPOSITORY)}/matrix.txt")
    for name in failed(results):
        say(f"failed: {name}")
    return 1 if failed(results) or matrix.worse(table) else 0


if __name__ == "__main__":
    sys.exit(main())
