"""Measure creche beside its peers; print a table, with --write also into docs/benchmarks.md."""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections.abc import Callable, Iterable

from tests.bench import rows_crowd, rows_events, rows_launch, rows_runtime
from tests.bench.chart import chart
from tests.bench.measure import QUICK, Effort, Row
from tests.bench.profile import profile
from tests.bench.report import document, machine, table
from tests.bench.scene import REPOSITORY, Scene, enter, scene

Measure = Callable[[Scene, Effort], Row | list[Row] | str]
"""Rows, or Markdown that goes below the table."""

ROWS: dict[str, Measure] = {
    "warm": rows_launch.warm_launch,
    "rates": rows_launch.rates,
    "warm-exec": rows_launch.warm_exec,
    "crowd": rows_crowd.crowd,
    "events": rows_events.events,
    "cold-run": rows_runtime.cold_run,
    "engine": rows_runtime.create_start_delete,
    "small": rows_runtime.small_commands,
    "cold-exec": rows_runtime.cold_exec,
    "profile": profile,
}


def measure(names: Iterable[str], effort: Effort) -> tuple[list[Row], str]:
    """What these names stand for, said aloud as it comes; one that breaks does not stop others."""
    rows: list[Row] = []
    texts: list[str] = []
    with scene() as made:
        for name in names:
            began = time.monotonic()
            print(f"measuring {name} ...", end="", file=sys.stderr, flush=True)
            try:
                found = ROWS[name](made, effort)
            except Exception as error:
                print(" failed", file=sys.stderr)
                traceback.print_exc()
                said = getattr(error, "stderr", None) or str(error)
                rows.append(Row(name, name, "", {}, problem=" ".join(str(said).split())[:300]))
                continue
            print(f" {time.monotonic() - began:.0f} s", file=sys.stderr)
            if isinstance(found, str):
                texts.append(found)
            else:
                rows += found if isinstance(found, list) else [found]
    return rows, "\n\n".join(texts)


def main() -> int:
    """Entry point; returns the exit status."""
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__, allow_abbrev=False)
    parser.add_argument("--rows", help=f"only these, separated by commas: {', '.join(ROWS)}")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, at most 100 containers")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md and .svg")
    options = parser.parse_args()
    names = options.rows.split(",") if options.rows else list(ROWS)
    if unknown := sorted(set(names) - set(ROWS)):
        parser.error(f"--rows: there is no {unknown[0]}; there are {', '.join(ROWS)}")
    if options.write and options.rows:
        parser.error("--write writes the whole table; leave out --rows")
    enter([sys.executable, "-m", "tests.bench", *sys.argv[1:]])
    effort = QUICK if options.quick else Effort()
    began = time.monotonic()
    try:
        rows, below = measure(names, effort)
    except KeyboardInterrupt:
        print("stopped; nothing is left behind", file=sys.stderr)
        return 130
    described = machine(effort, time.monotonic() - began)
    print(table(rows), below, described, sep="\n\n")
    if options.write:
        path = REPOSITORY / "docs/benchmarks.md"
        whole = document(path.read_text(encoding="utf-8"), table(rows), below, described)
        path.write_text(whole, encoding="utf-8")
        path.with_suffix(".svg").write_text(chart(rows), encoding="utf-8")
    return int(any(row.problem for row in rows))


if __name__ == "__main__":
    sys.exit(main())
