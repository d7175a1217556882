"""The files a workload is made from, as bytes: what is compared, and what is kept of a version."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass

from supervisor.workload import files
from supervisor.workload.errors import Problem, WorkloadError

SETTINGS = "workload.toml"
DROPINS = "workload.d"
CONFIG = "config.json"
MOST_DROPINS = 100


@dataclass(frozen=True, slots=True)
class Source:
    """`dropins` are (file name, contents) in the order they are laid over `settings`."""

    settings: bytes
    dropins: tuple[tuple[str, bytes], ...] = ()
    config: bytes | None = None

    def files(self) -> Iterator[tuple[str, bytes]]:
        """Path in the workload directory and contents of each file."""
        yield SETTINGS, self.settings
        for name, data in self.dropins:
            yield f"{DROPINS}/{name}", data
        if self.config is not None:
            yield CONFIG, self.config

    def digest(self) -> str:
        """The same for the same files with the same contents, and for no others."""
        total = hashlib.sha256()
        for path, data in self.files():
            name = os.fsencode(path)
            total.update(b"%d %d\0" % (len(name), len(data)) + name + data)
        return total.hexdigest()


def read_source(fd: int, directory: str) -> Source:
    """The files in the directory behind `fd`, which errors call `directory`.

    Raises WorkloadError, OSError.
    """
    file = f"{directory}/{SETTINGS}"
    try:
        settings = files.read_file(fd, file, SETTINGS)
    except FileNotFoundError:
        raise WorkloadError(Problem(file, None, "does not exist")) from None
    dropins = read_tomls(fd, f"{directory}/{DROPINS}", DROPINS)
    try:
        config = files.read_file(fd, f"{directory}/{CONFIG}", CONFIG, files.LARGEST_CONFIG)
    except FileNotFoundError:
        config = None
    return Source(settings, dropins, config)


def is_dropin(name: str) -> bool:
    """Whether a file of this name is one: not an editor's backup or half-written copy."""
    return name.endswith(".toml") and not name.startswith(".")


def read_tomls(fd: int, path: str, within: str) -> tuple[tuple[str, bytes], ...]:
    """Name and contents of each *.toml in `within`, of the directory behind `fd`, in their order.

    None if there is no such directory. `path` is what errors call it. Raises as `read_source`.
    """
    return tuple(_tomls(fd, path, within))


def _tomls(fd: int, path: str, within: str) -> Iterator[tuple[str, bytes]]:
    try:
        inside = files.open_directory(path, within, fd)
    except FileNotFoundError:
        return
    try:
        with os.scandir(inside) as entries:
            names = sorted(entry.name for entry in entries if is_dropin(entry.name))
        if len(names) > MOST_DROPINS:
            message = f"holds {len(names)} files; expected at most {MOST_DROPINS}"
            raise WorkloadError(Problem(path, None, message))
        for name in names:
            try:
                yield name, files.read_file(inside, f"{path}/{name}", name)
            except FileNotFoundError:
                # Listed a moment ago: somebody is at work here.
                raise files.Unsettled(Problem(f"{path}/{name}", None, "is being removed")) from None
    finally:
        os.close(inside)
