"""Lists of numbers as the kernel writes CPUs and NUMA nodes: `0-3,7`."""

from __future__ import annotations

from runtime.jsonio import quote


def parse_ranges(text: str, limit: int) -> list[int]:
    """The numbers, ascending and none twice. cpuset(7), "List format".

    limit: the numbers are below it. Blanks around an entry are allowed. Raises ValueError with
    what is wrong, for the caller to put into its own sentence.
    """
    numbers: set[int] = set()
    for entry in text.split(","):
        entry = entry.strip(" \t\n")
        if not entry:
            continue
        first, dash, last = entry.partition("-")
        low = _number(first, entry, limit)
        high = _number(last, entry, limit) if dash else low
        if high < low:
            raise ValueError(f"the range {quote(entry, 24)[1:-1]} runs backwards")
        numbers.update(range(low, high + 1))
    return sorted(numbers)


def _number(text: str, entry: str, limit: int) -> int:
    # str.isdigit() alone would let other scripts' digits pass.
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"expected numbers and ranges such as 0-3,7, found {quote(entry, 24)}")
    if len(text) > 9 or int(text) >= limit:
        raise ValueError(f"{quote(text, 24)[1:-1]} is too large, the limit is {limit - 1}")
    return int(text)
