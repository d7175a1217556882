"""Small files that commands leave for later ones (runtime.KEPT): whole, and not too many."""

from __future__ import annotations

import os


def keep(directory: int, name: str, data: bytes, most: int) -> None:
    """Replace a file, for root alone, in one step. Raises OSError; then the old one is still there.

    most: so many files a directory holds; with one more all begin again.
    """
    names = os.listdir(directory)
    for old in names if name not in names and len(names) >= most else ():
        os.unlink(old, dir_fd=directory)
    temporary = f"{name}.{os.getpid()}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    fd = os.open(temporary, flags, 0o600, dir_fd=directory)
    try:
        complete = os.write(fd, data) == len(data)
    finally:
        os.close(fd)
    if complete:
        os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
    else:
        os.unlink(temporary, dir_fd=directory)
