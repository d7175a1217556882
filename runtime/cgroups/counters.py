"""Reading the numbers out of cgroup files; a file that is not there reads as nothing."""

from __future__ import annotations

import errno
import os

from .writes import read_file

UNLIMITED = (1 << 64) - 1  # what runc shows for "max"

_HUGE_PAGES = "/sys/kernel/mm/hugepages"
# No such file; the cgroup was removed; its controller was taken away; or the kernel was told not
# to account (pressure files with psi=0).
_ABSENT = (errno.ENOENT, errno.ENODEV, errno.ENOTDIR, errno.EOPNOTSUPP)


def text(directory: str, name: str) -> str | None:
    """A file's content, or None if there is nothing to read. OSError for other failures."""
    try:
        return read_file(directory, name)
    except OSError as error:
        if error.errno in _ABSENT:
            return None
        raise


def number(directory: str, name: str) -> int:
    """A file's only number; 0 without the file."""
    return parse_number(text(directory, name) or "0")


def parse_number(word: str) -> int:
    """`max` is the largest number; what is negative or no number counts as 0."""
    word = word.strip()
    if word == "max":
        return UNLIMITED
    return int(word) if word.isascii() and word.isdigit() else 0


def keyed(content: str) -> dict[str, int]:
    """Lines of `name number`, sorted by name as Go's encoder has them."""
    pairs = {}
    for line in content.splitlines():
        name, _blank, value = line.partition(" ")
        if name and value:
            pairs[name] = parse_number(value)
    return dict(sorted(pairs.items()))


def without_zeroes(**values: object) -> dict[str, object]:
    """Go's `omitempty`."""
    return {name: value for name, value in values.items() if value}


def memory_entry(limit: int, usage: int, most: int, failures: int) -> dict[str, object]:
    """One kind of memory: bytes, and how often the limit was hit."""
    return {
        "limit": limit,
        **without_zeroes(usage=usage, max=most),
        "failcnt": failures,
    }


def huge_page_sizes() -> list[str]:
    """The sizes that the kernel has, smallest first, as cgroup files call them: 2MB, 1GB."""
    sizes = []
    try:
        names = os.listdir(_HUGE_PAGES)
    except OSError:
        return []
    for name in names:
        digits = name.removeprefix("hugepages-").removesuffix("kB")
        if digits.isascii() and digits.isdigit():
            sizes.append(int(digits))
    return [_page_size(size) for size in sorted(sizes)]


def _page_size(kilobytes: int) -> str:
    for unit, scale in (("GB", 1 << 20), ("MB", 1 << 10)):
        if kilobytes >= scale:
            return f"{kilobytes // scale}{unit}"
    return f"{kilobytes}KB"
