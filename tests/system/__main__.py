"""Boot the machine, run the tests in it and say what came of it: `./dev system`."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections import Counter
from pathlib import Path

from tests.support.repository import REPOSITORY
from tests.system import parts
from tests.system.stage import make_stage
from tests.system.vm.machine import Hardware, MachineError
from tests.system.vm.run import TIMED_OUT, run

RESULTS = REPOSITORY / ".cache/system"
SUITE = "bookworm"
TIMEOUT = 1800.0  # seconds; far above what it takes, for a machine that is shared

_BUILD = Path(__file__).parent / "vm/build-image"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="./dev system",
        description="Run tests in a virtual machine with systemd and cgroup v2.",
    )
    parser.add_argument("--part", choices=parts.PARTS, action="append", help="only this one")
    parser.add_argument("--cold", action="store_true", help="boot; use no machine saved after that")
    parser.add_argument("--refresh", action="store_true", help="make the image anew first")
    parser.add_argument("--timeout", type=float, default=TIMEOUT, help="seconds, in all")
    parser.add_argument(
        "pytest", nargs="*", help="pytest's arguments in place of the selection (after --)"
    )
    return parser.parse_args()


def say(text: str) -> None:
    """Tell what goes on."""
    print(f"system: {text}", file=sys.stderr, flush=True)


def main() -> int:
    """Return 0 if tests ran and none failed."""
    options = _options()
    # A time limit that ends this should not leave gigabytes in /tmp.
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    began = time.monotonic()
    cache = Path(os.environ.get("VM_CACHE") or REPOSITORY / ".cache/vm").resolve()
    build: list[str | Path] = [_BUILD, "--dir", cache, SUITE]
    say(f"image of Debian {SUITE} in {cache}")
    subprocess.run([*build, "--refresh"] if options.refresh else build, check=True, stdout=2)

    chosen = options.part or list(parts.PARTS)
    shutil.rmtree(RESULTS, ignore_errors=True)
    RESULTS.mkdir(parents=True)
    with tempfile.TemporaryDirectory(prefix="creche-stage.") as name:
        stage, orders = Path(name, "creche"), Path(name, "run")
        make_stage(stage)
        orders.mkdir()
        for part in chosen:
            words = options.pytest or parts.arguments(part)
            (orders / f"{part}.args").write_text("".join(f"{word}\n" for word in words))
        command = (
            f"CRECHE_TEST_SLOWNESS={parts.SLOWNESS} "
            f"exec /share/creche/tests/system/machine.sh {' '.join(chosen)}"
        )
        prepared = time.monotonic()
        try:
            status = run(
                Hardware(cache / SUITE),
                {"creche": stage, "run": orders},
                command,
                RESULTS,
                options.timeout,
                warm=not options.cold,
            )
        except MachineError as error:
            say(str(error))
            status = 125
    done = time.monotonic()
    whole = [_report(part) for part in chosen]
    say(f"prepared in {prepared - began:.0f} s, ran for {done - prepared:.0f} s")
    if status == TIMED_OUT:
        say(f"not done after {options.timeout:.0f} s")
    elif status:
        say(f"exit status {status}")
    return status or (0 if all(whole) else 1)


def _report(part: str) -> bool:
    """Print a part's counts and its reasons for skips; whether it ran, and without failure."""
    path = RESULTS / f"{part}.xml"
    if not path.exists():
        say(f"{part}: no results")
        return False
    counts: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    bad = []
    for case in ElementTree.parse(path).iter("testcase"):
        kinds = {child.tag for child in case} & {"failure", "error", "skipped"}
        for kind in kinds or {"passed"}:
            counts[kind] += 1
        if kinds & {"failure", "error"}:
            bad.append(f"{case.get('classname')}::{case.get('name')}")
        if (skipped := case.find("skipped")) is not None:
            reasons[skipped.get("message") or "no reason"] += 1
    order = ("passed", "failure", "error", "skipped")
    say(f"{part}: " + ", ".join(f"{counts[kind]} {kind}" for kind in order if counts[kind]))
    for reason, number in reasons.most_common():
        say(f"  skipped {number}: {reason}")
    for name in bad:
        say(f"  failed: {name}")
    return bool(counts["passed"]) and not bad


if __name__ == "__main__":
    sys.exit(main())
