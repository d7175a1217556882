"""What is wrong with a workload directory, said so that it can be mended without a search."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake: which file, which key in it (None: none), what is wrong, and in which line (from
    1; None if it cannot be told)."""

    file: str
    key: str | None
    message: str
    line: int | None = None

    def __str__(self) -> str:
        """`FILE:LINE: KEY: MESSAGE`, the parts that are not known left out."""
        where = self.file if self.line is None else f"{self.file}:{self.line}"
        text = f"{where}: {self.key}: {self.message}" if self.key else f"{where}: {self.message}"
        # Names of files are anybody's bytes, and a line of output is read by terminals.
        return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


class WorkloadError(Exception):
    """A workload that cannot be used. Nothing of it was started; other workloads are untouched."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__(*problems)
        self.problems = problems

    def __str__(self) -> str:
        return "; ".join(str(problem) for problem in self.problems)
