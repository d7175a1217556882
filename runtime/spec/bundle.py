"""Reading config.json from a bundle without being led astray by what is there."""

from __future__ import annotations

import errno
import os
import stat

from runtime.errors import ConfigError, strerror
from runtime.jsonio import MAX_SIZE

CONFIG_NAME = "config.json"


def read_config(bundle: str) -> bytes:
    """The bytes of bundle/config.json. Raises ConfigError; never blocks.

    A symbolic link is refused at the last component, and so is all but a regular file: opening a
    FIFO would wait for a writer.
    """
    path = os.path.join(bundle, CONFIG_NAME)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError as error:
        if error.errno == errno.ENOENT:
            raise ConfigError("", f"JSON specification file {path} not found") from None
        if error.errno == errno.ELOOP:
            raise ConfigError(
                "", f"open {path}: expected a regular file, found a symbolic link"
            ) from None
        raise ConfigError("", f"open {path}: {strerror(error.errno or 0)}") from None
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise ConfigError("", f"open {path}: expected a regular file, found another kind")
        if status.st_size > MAX_SIZE:
            raise ConfigError(
                "",
                f"{CONFIG_NAME}: expected at most {MAX_SIZE} bytes, found {status.st_size}",
            )
        return read_limited(fd, path)
    finally:
        os.close(fd)


def read_limited(fd: int, subject: str, limit: int = MAX_SIZE) -> bytes:
    """Everything up to the end of file, which may be a pipe's; more than `limit` is refused.

    subject: names the file in messages.
    """
    chunks: list[bytes] = []
    size = 0
    while True:
        try:
            chunk = os.read(fd, 1 << 20)
        except OSError as error:
            raise ConfigError("", f"read {subject}: {strerror(error.errno or 0)}") from None
        if not chunk:
            return b"".join(chunks)
        size += len(chunk)
        if size > limit:
            raise ConfigError("", f"read {subject}: expected at most {limit} bytes, found more")
        chunks.append(chunk)
