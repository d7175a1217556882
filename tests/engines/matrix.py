"""The table engine x check x runtime, out of the results of the tests."""

from __future__ import annotations

from pathlib import PurePath

from tests.support.results import FAILED, KNOWN, PASSED, SKIPPED, Results

RUNTIMES = ("creche", "runc")
_RANK = {PASSED: 3, KNOWN: 2, SKIPPED: 2, FAILED: 1, "-": 0}

Rows = dict[tuple[str, str], dict[str, str]]  # (engine, check) -> runtime -> how it ended


def rows(results: Results) -> Rows:
    """Return how each check of each engine ended with each runtime."""
    found: Rows = {}
    for name, outcome in results.items():
        path, _, test = name.partition("::")
        function, _, parameters = test.partition("[")
        words = parameters.rstrip("]").split("-")
        runtime = next((word for word in words if word in RUNTIMES), "")
        if not runtime:  # of no engine, or a pytest that did not come to its end
            continue
        engine = PurePath(path).stem.removeprefix("test_")
        case = [function.removeprefix("test_"), *(word for word in words if word != runtime)]
        check = ": ".join(case).replace("_", " ")
        found.setdefault((engine, check), dict.fromkeys(RUNTIMES, "-"))[runtime] = outcome.word
    return found


def worse(table: Rows) -> list[tuple[str, str]]:
    """Return the checks that creche does worse in than runc."""
    return [key for key, row in table.items() if _RANK[row["creche"]] < _RANK[row["runc"]]]


def lines(table: Rows) -> list[str]:
    """Return the table as text, a check a line, with a summary in the last."""
    engine_width = max(len(engine) for engine in ("engine", *(engine for engine, _ in table)))
    check_width = max(len(check) for check in ("check", *(check for _, check in table)))
    head = f"{'engine':{engine_width}}  {'check':{check_width}}  " + "  ".join(
        f"{runtime:7}" for runtime in RUNTIMES
    )
    text = [head.rstrip()]
    for (engine, check), row in sorted(table.items()):
        words = "  ".join(f"{row[runtime]:7}" for runtime in RUNTIMES)
        text.append(f"{engine:{engine_width}}  {check:{check_width}}  {words}".rstrip())
    text += [f"worse than runc: {engine}: {check}" for engine, check in sorted(worse(table))]
    text.append(f"equal to runc or better: {len(table) - len(worse(table))} of {len(table)}")
    return text
