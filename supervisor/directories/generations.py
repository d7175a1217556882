"""The versions of each workload that were taken: what to go back to when a new one is no good.

STATE/generations/NAME/N/ holds a copy of the files of version N, STATE/generations/NAME/index.json
says which one is current, which was good, and which was rejected. The version in use is therefore
there whatever happens to the workload directory meanwhile, also when creched is not running.

Nothing waits for a disk here: what was written is flushed by `flush`, which is for a thread. A copy
that a power cut has damaged does not match its digest and is as good as none.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from supervisor.store.files import Damage, Documents, replace
from supervisor.workload.errors import WorkloadError
from supervisor.workload.files import open_directory
from supervisor.workload.source import DROPINS, Source, read_source

INDEX = "index"
MANY = 100
"""More files than this are flushed by one sync(2): thousands of fsync(2) take minutes."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One version: its number, its files, whether it has stood its probation.

    `rejected` is the digest of a version that has not.
    """

    generation: int
    source: Source
    proven: bool
    rejected: str | None


class Generations:
    """All that is kept, below the directory `state`. Methods raise OSError."""

    def __init__(self, state: str, damage: Damage) -> None:
        self.directory = f"{state}/generations"
        self._damage = damage
        self._unflushed: list[str] = []
        os.makedirs(self.directory, mode=0o700, exist_ok=True)

    def names(self) -> list[str]:
        """Of the workloads that something is kept of."""
        return sorted(os.listdir(self.directory))

    def take(self, name: str, source: Source, proven: bool) -> int:
        """Make this the current version, and the good one if it is `proven`; its number."""
        index = self._index(name)
        digest = source.digest()
        if index.get("digest") == digest and os.path.isdir(
            f"{self._path(name)}/{index['current']}"
        ):
            if proven and index["good"] != index["current"]:
                self.prove(name)
            return int(index["current"])
        number = int(index.get("last", 0)) + 1
        at = f"{self._path(name)}/{number}"
        shutil.rmtree(at, ignore_errors=True)
        os.makedirs(at, mode=0o700)
        for path, data in source.files():
            if path.startswith(f"{DROPINS}/"):
                os.makedirs(f"{at}/{DROPINS}", mode=0o700, exist_ok=True)
            replace(f"{at}/{path}", data, durable=False)
            self._unflushed.append(f"{at}/{path}")
        self._unflushed += [f"{at}/{DROPINS}"] * bool(source.dropins) + [at, self._path(name)]
        good = number if proven else index.get("good")
        good_digest = digest if proven else index.get("good_digest")
        self._save(
            name,
            current=number, digest=digest, good=good, good_digest=good_digest, last=number,
            rejected=None,
        )  # fmt: skip
        return number

    def prove(self, name: str) -> None:
        """The current version has stood its probation; no older one is needed any more."""
        index = self._index(name)
        if index:
            index |= {"good": index["current"], "good_digest": index["digest"], "rejected": None}
            self._save(name, **index)

    def reject(self, name: str) -> None:
        """The current version is no good: the good one is current again."""
        index = self._index(name)
        if index.get("good"):
            index["rejected"] = index["digest"]
            index |= {"current": index["good"], "digest": index["good_digest"]}
            self._save(name, **index)

    def pardon(self, name: str) -> None:
        """Other files have been seen since a version was rejected: it may be tried again."""
        index = self._index(name)
        if index.get("rejected"):
            self._save(name, **{**index, "rejected": None})

    def current(self, name: str) -> Kept | None:
        """The current version, if it can be used."""
        return self._load(name, "current", "digest")

    def good(self, name: str) -> Kept | None:
        """The last version that has stood its probation, if it can be used."""
        return self._load(name, "good", "good_digest")

    def forget(self, name: str) -> None:
        """Nothing of this workload is needed any more."""
        shutil.rmtree(self._path(name), ignore_errors=True)

    def unflushed(self) -> list[str]:
        """Paths of what was written since the last call, for `flush`."""
        paths, self._unflushed = self._unflushed, []
        return paths

    def _load(self, name: str, which: str, digest: str) -> Kept | None:
        index = self._index(name)
        number = index.get(which)
        if not number:
            return None
        at = f"{self._path(name)}/{number}"
        try:
            fd = open_directory(at, at)
            try:
                source = read_source(fd, at)
            finally:
                os.close(fd)
        except (OSError, WorkloadError) as error:
            self._damage(at, at, str(error))
            return None
        if source.digest() != index.get(digest):
            self._damage(at, at, "its files are not those that were written")
            return None
        return Kept(number, source, index["good"] == number, index.get("rejected"))

    def _index(self, name: str) -> dict[str, Any]:
        index = Documents(self._path(name), False, self._damage).load(INDEX) or {}
        needed = {"current": int, "digest": str, "last": int}
        if index and not all(isinstance(index.get(key), kind) for key, kind in needed.items()):
            Documents(self._path(name), False, self._damage).set_aside(INDEX, "keys are missing")
            return {}
        return index

    def _save(self, name: str, **index: Any) -> None:
        path = f"{self._path(name)}/{INDEX}"
        Documents(self._path(name), False, self._damage).save(INDEX, index)
        self._unflushed += [f"{path}.json", self._path(name), self.directory]
        for number in self._numbers(name):
            if int(number) not in (index["current"], index.get("good")):
                shutil.rmtree(f"{self._path(name)}/{number}", ignore_errors=True)

    def _numbers(self, name: str) -> Iterator[str]:
        return (entry for entry in os.listdir(self._path(name)) if entry.isdigit())

    def _path(self, name: str) -> str:
        return f"{self.directory}/{name}"


def flush(paths: list[str]) -> None:
    """Wait until these files and directories are on disk: for a thread."""
    if len(paths) > MANY:
        os.sync()
        return
    for path in dict.fromkeys(paths):
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            continue  # not needed any more
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
