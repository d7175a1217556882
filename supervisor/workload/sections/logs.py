"""[logs]: where standard output and error of a container go."""

from __future__ import annotations

from dataclasses import dataclass

from supervisor.workload import kinds
from supervisor.workload.schema import Field, Section, into


@dataclass(frozen=True, slots=True)
class Logs:
    """Sizes in bytes; rate in bytes a second, None: unlimited."""

    to: str = "auto"
    size: int = 10 << 20
    files: int = 5
    rate: int | None = 4 << 20
    on_full: str = "drop"
    lines: int = 20


LOGS = Section(
    "logs",
    "Where its standard output and error go. docs/monitoring.md tells more.",
    (
        Field(
            "to",
            kinds.one_of("auto", "journal", "file", "stderr", "none"),
            "auto",
            '"auto"',
            "`journal`: straight to systemd's journal, creched is not in between; `file`: to files "
            "that creched writes, rotates and limits; `auto`: to the journal if there is one, else "
            "to files; `stderr`: to creched's own standard error, unchanged; `none`: nowhere.",
            live=False,
        ),
        Field("size", kinds.SIZE, 10 << 20, '"10M"', "A file that would grow larger is rotated."),
        Field("files", kinds.integer(1, 1000), 5, "5", "So many files are kept."),
        Field(
            "rate",
            kinds.SIZE,
            4 << 20,
            '"4M"',
            "Bytes a second; four seconds' worth may come at once. What is more is dropped, or "
            "held up: see `on-full`.",
        ),
        Field(
            "on-full",
            kinds.one_of("drop", "block"),
            "drop",
            '"drop"',
            "When `rate` or the disk is used up: `drop` lines (a record says how many), or let the "
            "program wait (`block`).",
        ),
        Field(
            "lines",
            kinds.integer(0, 1000),
            20,
            "20",
            "How many of its last lines (4 KiB at most) go into the `exited` event and alerts.",
        ),
    ),
    live=True,
    make=into(Logs),
)
