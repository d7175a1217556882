"""Boot the machine, run the tests in it and say what came of it: `./dev system`."""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from tests.support.repository import REPOSITORY
from tests.support.results import PASSED, failed, next_suffix, read, read_name, reasons, total
from tests.system import parts
from tests.system.stage import make_stage
from tests.system.vm.machine import Hardware, MachineError
from tests.system.vm.run import TIMED_OUT, run

RESULTS = REPOSITORY / ".cache/system"
SUITES = ("bookworm", "trixie", "sid")  # of Debian; the first is what continuous integration runs
TIMEOUT = 1800.0  # seconds; far above what it takes, for a machine that is shared

_BUILD = Path(__file__).parent / "vm/build-image"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="./dev system",
        description="Run tests in a virtual machine with systemd and cgroup v2.",
    )
    parser.add_argument(
        "--part",
        choices=parts.PARTS,
        action="append",
        help="only this one, also one that is not run without this option",
    )
    parser.add_argument("--suite", choices=SUITES, default=SUITES[0], help="of Debian, in it")
    parser.add_argument("--cold", action="store_true", help="boot; use no machine saved after that")
    parser.add_argument("--refresh", action="store_true", help="make the image anew first")
    parser.add_argument("--last-failed", action="store_true", help="again what failed last time")
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
    if options.last_failed and any(RESULTS.glob("*.xml")):
        words, suffix = _failed_before(), next_suffix(RESULTS)
    else:
        shutil.rmtree(RESULTS, ignore_errors=True)
        RESULTS.mkdir(parents=True)
        chosen = options.part or parts.PARTS
        words = {part: options.pytest or parts.arguments(part) for part in chosen}
        suffix = ""
    for part in words:
        (RESULTS / f"{part}{suffix}.xml").write_text("")  # stands for a machine that breaks down
    cache = Path(os.environ.get("VM_CACHE") or REPOSITORY / ".cache/vm").resolve()
    build: list[str | Path] = [_BUILD, "--dir", cache, options.suite]
    say(f"image of Debian {options.suite} in {cache}")
    subprocess.run([*build, "--refresh"] if options.refresh else build, check=True, stdout=2)
    image = cache / options.suite
    python = _python(image)
    with tempfile.TemporaryDirectory(prefix="creche-stage.") as name:
        stage, orders, out = Path(name, "creche"), Path(name, "run"), Path(name, "out")
        make_stage(stage, python)
        for directory in (orders, out):
            directory.mkdir()
        for part, arguments in words.items():
            (orders / f"{part}.args").write_text("".join(f"{word}\n" for word in arguments))
        told = {"CRECHE_TEST_SLOWNESS": str(parts.SLOWNESS), "CRECHE_TEST_MACHINE": "1"}
        told |= {name: text for name, text in os.environ.items() if name.startswith("CRECHE_TEST_")}
        variables = [f"{name}={text}" for name, text in told.items()]
        command = shlex.join(["env", *variables, "/share/creche/tests/system/machine.sh", *words])
        prepared = time.monotonic()
        try:
            status = run(
                Hardware(image),
                {"creche": stage, "run": orders},
                command,
                out,
                options.timeout,
                warm=not options.cold,
            )
        except MachineError as error:
            say(str(error))
            status = 125
        done = time.monotonic()
        for file in out.glob("*.xml"):
            shutil.copy(file, RESULTS / f"{file.stem}{suffix}.xml")
    whole = [_report(part, suffix) for part in words]
    say(f"prepared in {prepared - began:.0f} s, ran for {done - prepared:.0f} s")
    if status == TIMED_OUT:
        say(f"not done after {options.timeout:.0f} s")
    elif status:
        say(f"exit status {status}")
    return status or (0 if all(whole) else 1)


def _python(image: Path) -> str:
    """The version of Python in an image, like 3.11."""
    told = dict(line.split("=", 1) for line in (image / "info").read_text().splitlines())
    return told["python"].rpartition(".")[0]


def _failed_before() -> dict[str, list[str]]:
    """Return pytest's arguments for each part that had failures: those, or all if it broke down.

    The tests of a file in this directory build on one another: of these the whole file.
    """
    words: dict[str, list[str]] = {}
    for part in parts.PARTS:
        if (RESULTS / f"{part}.xml").exists() and (names := failed(read_name(RESULTS, part))):
            broken = not all("::" in name for name in names)
            words[part] = (
                parts.arguments(part) if broken else [*parts.COMMON, *_on_their_own(names)]
            )
    return words


def _on_their_own(names: Iterable[str]) -> list[str]:
    """Replace the tests that need those before them by their files."""
    files = [
        name.partition("::")[0] if name.startswith("tests/system/") else name for name in names
    ]
    return list(dict.fromkeys(files))


def _report(part: str, suffix: str) -> bool:
    """Print a part's counts and its reasons for skips; whether it ran, and without failure."""
    results = read(RESULTS / f"{part}{suffix}.xml")
    say(f"{part}: {total(results)}")
    for line in [*reasons(results), *(f"failed: {name}" for name in failed(results))]:
        say(f"  {line}")
    return not failed(results) and any(one.word == PASSED for one in results.values())


if __name__ == "__main__":
    sys.exit(main())
