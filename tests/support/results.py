"""What became of each test, read from the files that pytest writes for --junitxml.

Each part of the tests has a directory for them: NAME.xml, then NAME.again1.xml for what had failed
and was tried once more, and so on; of a test that was run twice the later result counts.
`python -m tests.support.results DIRECTORY...` prints what passed only when tried again, what was
skipped, what failed, and the total.
"""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

PASSED, FAILED, SKIPPED, KNOWN = "passed", "failed", "skipped", "known"
AGAIN = ".again"


@dataclass(frozen=True)
class Outcome:
    """How one test ended. KNOWN: it failed where a test says that it has to."""

    word: str
    reason: str = ""
    seconds: float = 0.0


Results = Mapping[str, Outcome]  # by pytest's name of the test, path::function[parameters]


def name_of(file: Path) -> str:
    """Return the NAME in a file's."""
    return file.stem.partition(AGAIN)[0]


def names(directory: Path) -> list[str]:
    """Return the NAMEs in a directory, in order."""
    return sorted({name_of(file) for file in directory.glob("*.xml")})


def next_suffix(directory: Path) -> str:
    """Return what follows the NAMEs of a part when what failed is tried once more."""
    count = 1
    while any(directory.glob(f"*{AGAIN}{count}.xml")):
        count += 1
    return f"{AGAIN}{count}"


def read(file: Path) -> dict[str, Outcome]:
    """Return the results in a file.

    One that is missing or cut short stands for a pytest that did not come to its end: one failure.
    """
    try:
        cases = list(ElementTree.parse(file).iter("testcase"))
    except (FileNotFoundError, ElementTree.ParseError):
        return {name_of(file): Outcome(FAILED, "pytest did not come to its end")}
    found: dict[str, Outcome] = {}
    for case in cases:
        name, outcome = _name(case), _outcome(case)
        # A test that passed and whose fixtures then fail is there twice.
        if name not in found or found[name].word != FAILED:
            found[name] = outcome
    return found


def read_name(directory: Path, name: str) -> dict[str, Outcome]:
    """Return the results of one pytest, with those of the runs that followed it."""
    results = read(directory / f"{name}.xml")
    for again in sorted(directory.glob(f"{name}{AGAIN}*.xml")):
        results.pop(name, None)  # which stands for a run without an end
        results |= read(again)
    return results


def recovered(directory: Path) -> list[str]:
    """Return the names of the tests of a part that failed, and passed when tried again."""
    now = read_part(directory)
    return [
        test
        for name in names(directory)
        for test in failed(read(directory / f"{name}.xml"))
        if test in now and now[test].word == PASSED
    ]


def read_part(directory: Path) -> dict[str, Outcome]:
    """Return the results of all of a part; a directory without any is one failure."""
    found: dict[str, Outcome] = {}
    for name in names(directory) or [directory.name]:
        found |= read_name(directory, name)
    return found


def _name(case: ElementTree.Element) -> str:
    module, name = case.get("classname", ""), case.get("name", "")
    # What could not be collected has no module, and its own as its name.
    return f"{module.replace('.', '/')}.py::{name}" if module else f"{name.replace('.', '/')}.py"


def _outcome(case: ElementTree.Element) -> Outcome:
    seconds = float(case.get("time") or 0)
    for kind in ("failure", "error"):
        if (child := case.find(kind)) is not None:
            return Outcome(FAILED, child.get("message") or "", seconds)
    if (skipped := case.find("skipped")) is not None:
        known = skipped.get("type") == "pytest.xfail"
        return Outcome(KNOWN if known else SKIPPED, skipped.get("message") or "", seconds)
    return Outcome(PASSED, "", seconds)


def failed(results: Results) -> list[str]:
    """Return the names of the tests that failed."""
    return [name for name, outcome in results.items() if outcome.word == FAILED]


def total(results: Results) -> str:
    """Return the counts in one line; a known failure counts as skipped."""
    counts = Counter(outcome.word for outcome in results.values())
    skips = counts[SKIPPED] + counts[KNOWN]
    return f"{counts[PASSED]} passed, {counts[FAILED]} failed, {skips} skipped"


def reasons(results: Results) -> list[str]:
    """Return a line for each reason why tests were skipped, the commonest first."""
    found = Counter(
        (outcome.word, outcome.reason)
        for outcome in results.values()
        if outcome.word in (SKIPPED, KNOWN)
    )
    words = {SKIPPED: "skipped", KNOWN: "failed as expected"}
    return [f"{words[word]} {number}: {reason}" for (word, reason), number in found.most_common()]


def main(arguments: Iterable[str]) -> int:
    """Print reasons for skips, failures and the total of parts; 1 if anything failed."""
    whole: dict[str, Outcome] = {}
    for argument in arguments:
        # The virtual machine runs some of the same tests, and they count there as well.
        found = read_part(Path(argument))
        whole |= {f"{argument}: {name}": outcome for name, outcome in found.items()}
        for name in recovered(Path(argument)):
            print(f"passed only when it was tried again: {argument}: {name}")
    for line in [*reasons(whole), *(f"failed {name}" for name in failed(whole))]:
        print(line)
    print(total(whole))
    return 1 if failed(whole) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
