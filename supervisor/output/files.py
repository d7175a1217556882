"""A log file that is rotated by renaming: `output`, `output.1` (the one before), and so on.

The directory is ours alone (0700); nothing in it is followed if it is a link. A record is written
whole or not at all: if the disk is full, what has been written of it is taken back.
"""

from __future__ import annotations

import os
import stat

NAME = "output"


class LogFile:
    """directory: absolute, made if it is not there. limit: bytes. count: files kept, with this one.

    All methods raise OSError, and can be tried again after that.
    """

    __slots__ = ("_count", "_fd", "_limit", "_size", "directory")

    def __init__(self, directory: str, limit: int, count: int) -> None:
        self.directory = directory
        self._limit = limit
        self._count = count
        self._fd = -1
        self._size = 0

    def write(self, records: bytes) -> None:
        """Append records, each with its newline; all of them or none."""
        if self._fd < 0:
            self._open()
        if self._size and self._size + len(records) > self._limit:
            self._rotate()
        try:
            written = os.write(self._fd, records)
            while written < len(records):
                written += os.write(self._fd, records[written:])
        except OSError:
            os.ftruncate(self._fd, self._size)
            raise
        self._size += written

    def limits(self, limit: int, count: int) -> None:
        """Others from now on."""
        self._limit, self._count = limit, count

    def close(self) -> None:
        """It is opened again by the next `write`."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _open(self) -> None:
        os.makedirs(self.directory, mode=0o700, exist_ok=True)
        directory = os.open(
            self.directory, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        )
        try:
            # O_NONBLOCK: a FIFO in its place must not hold us up.
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            fd = os.open(NAME, flags | os.O_NONBLOCK, 0o600, dir_fd=directory)
        finally:
            os.close(directory)
        info = os.fstat(fd)
        if not stat.S_ISREG(info.st_mode):
            os.close(fd)
            raise FileExistsError(17, "is not a regular file", f"{self.directory}/{NAME}")
        self._fd = fd
        self._size = info.st_size

    def _rotate(self) -> None:
        self.close()
        path = f"{self.directory}/{NAME}"
        for number in range(self._count - 1, 0, -1):
            older = f"{path}.{number}"
            newer = path if number == 1 else f"{path}.{number - 1}"
            try:
                os.rename(newer, older)
            except FileNotFoundError:
                pass
        if self._count == 1:
            os.unlink(path)
        self._open()


def log_files(directory: str) -> list[str]:
    """The files there are, the newest first."""
    found = []
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return []
    for name in names:
        stem, _, number = name.partition(".")
        if name == NAME:
            found.append((0, name))
        elif stem == NAME and number.isdigit():
            found.append((int(number), name))
    return [f"{directory}/{name}" for _, name in sorted(found)]


def last_lines(directory: str, count: int, most: int = 8 << 20) -> list[str]:
    """The last `count` records, the oldest first; of at most `most` bytes."""
    lines: list[bytes] = []
    for path in log_files(directory):
        if len(lines) >= count or most <= 0:
            break
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            continue
        try:
            found = _tail(fd, count - len(lines), most)
        finally:
            os.close(fd)
        most -= sum(map(len, found))
        lines = found + lines
    return [line.decode("utf-8", "replace") for line in lines]


def _tail(fd: int, count: int, most: int) -> list[bytes]:
    """The last `count` whole lines of a file."""
    end = at = os.fstat(fd).st_size
    data = b""
    while at > 0 and data.count(b"\n") <= count and end - at < most:
        step = min(64 * 1024, at)
        at -= step
        data = os.pread(fd, step, at) + data
    lines = data.split(b"\n")[:-1]  # after the last newline nothing is whole
    if at > 0:
        lines = lines[1:]
    return lines[-count:] if count else []
