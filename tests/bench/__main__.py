"""Measure creche beside its peers; print a table, with --write also into docs/benchmarks.md."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable

from tests.bench import rows_runtime
from tests.bench.chart import chart
from tests.bench.measure import Row
from tests.bench.report import machine, table
from tests.bench.scene import REPOSITORY, Scene, enter, scene

ROWS: dict[str, Callable[[Scene, int], Row | list[Row]]] = {
    "cold-run": rows_runtime.cold_run,
    "engine": rows_runtime.create_start_delete,
    "small": rows_runtime.small_commands,
    "cold-exec": rows_runtime.cold_exec,
}


def measure(names: Iterable[str], rounds: int) -> list[Row]:
    """The rows of these names, said aloud as they come."""
    rows: list[Row] = []
    with scene() as made:
        for name in names:
            print(f"measuring {name} ...", file=sys.stderr, flush=True)
            found = ROWS[name](made, rounds)
            rows += found if isinstance(found, list) else [found]
    return rows


def main() -> int:
    """Entry point; returns the exit status."""
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__, allow_abbrev=False)
    parser.add_argument("names", nargs="*", choices=[[], *ROWS], help="rows; all without any")
    parser.add_argument("--rounds", type=int, default=20, help="times that each case is run")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md and .svg")
    options = parser.parse_args()
    enter([sys.executable, "-m", "tests.bench", *sys.argv[1:]])
    rows = measure(options.names or ROWS, options.rounds)
    print(table(rows))
    print()
    print(machine())
    if options.write:
        write(rows, options.rounds)
    return 0


def write(rows: list[Row], rounds: int) -> None:
    """The document and its drawing."""
    docs = REPOSITORY / "docs"
    text = (
        "# Benchmarks\n\n<!-- Made by `./dev bench --write`. -->\n"
        "creche beside its peers, on the same bundles, measured in one run and interleaved. "
        "Medians, with the\nmiddle half of the values in brackets. Anyone with a Debian machine "
        "and root can repeat it:\n`./dev bench`.\n\n"
        f"{table(rows)}\n\n![ratios](benchmarks.svg)\n\n## The machine\n\n{machine()}\n"
        f"* {rounds} rounds\n"
    )
    (docs / "benchmarks.md").write_text(text, encoding="utf-8")
    (docs / "benchmarks.svg").write_text(chart(rows), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
