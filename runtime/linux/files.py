"""Small files of the kernel (procfs, sysfs, cgroupfs): read whole, written with one write(2).

By descriptor calls, because `open` builds three objects and looks for a codec, which init may not.
"""

from __future__ import annotations

import os


def read_text(path: str, dir_fd: int | None = None, nofollow: bool = False) -> str:
    """All of a file; bytes that are no UTF-8 are kept by `surrogateescape`. Raises OSError."""
    flags = os.O_RDONLY | os.O_CLOEXEC | (os.O_NOFOLLOW if nofollow else 0)
    fd = os.open(path, flags, dir_fd=dir_fd)
    try:
        chunks = []
        while chunk := os.read(fd, 65536):
            chunks.append(chunk)
    finally:
        os.close(fd)
    return b"".join(chunks).decode("utf-8", "surrogateescape")


def write_text(path: str, text: str, dir_fd: int | None = None, nofollow: bool = False) -> None:
    """One write(2): such files take a value whole or not at all. Raises OSError."""
    flags = os.O_WRONLY | os.O_CLOEXEC | (os.O_NOFOLLOW if nofollow else 0)
    fd = os.open(path, flags, dir_fd=dir_fd)
    try:
        os.write(fd, text.encode("utf-8", "surrogateescape"))
    finally:
        os.close(fd)
