"""Tables: with rich on a terminal, in plain columns into a pipe, where nobody pays for rich."""

from __future__ import annotations

import sys
from collections.abc import Sequence

COLOURS = {
    "running": "green",
    "done": "green",
    "failed": "bold red",
    "refused": "bold red",
    "unhealthy": "bold red",
    "restarting": "yellow",
    "starting": "yellow",
    "stopping": "yellow",
    "waiting": "yellow",
    "exited": "yellow",
    "files refused": "yellow",
    "stopped": "dim",
}


def show(
    columns: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[int] = ()
) -> None:
    """Print it. `numbers`: the columns that stand to the right."""
    if sys.stdout.isatty():
        from rich.console import Console

        Console(highlight=False).print(made(columns, rows, numbers))
        return
    for line in plain(columns, rows, numbers):
        print(line)


def plain(
    columns: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[int] = ()
) -> list[str]:
    """Lines of columns two blanks apart."""
    table = [[column.upper() for column in columns], *rows]
    widths = [max(len(row[index]) for row in table) for index in range(len(columns))]
    return [
        "  ".join(
            cell.rjust(width) if index in numbers else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    ]


def made(columns: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[int]) -> object:
    """The same as a table of rich's; texts are texts, not its markup."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for index, column in enumerate(columns):
        last = index == len(columns) - 1
        table.add_column(
            column.upper(),
            justify="right" if index in numbers else "left",
            no_wrap=not last,
            overflow="ellipsis" if not last else "fold",
        )
    for row in rows:
        table.add_row(*(Text(cell, style=_style(cell)) for cell in row))
    return table


def _style(cell: str) -> str:
    word = cell.split(",")[-1].strip()
    return COLOURS.get(word, COLOURS.get(cell.partition(",")[0], ""))
