"""Tables as Go's text/tabwriter sets them."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

# runc's settings for `list`: minimal width of a cell, and blanks after its text.
CELL_WIDTH = 12
CELL_PADDING = 3


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells in columns; the last column is as long as its text."""
    columns = len(rows[0]) - 1
    widths = [
        max(CELL_WIDTH, *(len(row[column]) + CELL_PADDING for row in rows))
        for column in range(columns)
    ]
    lines = []
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        lines.append("".join(cells) + row[columns] + "\n")
    return "".join(lines)
