"""The hosts file and resolv.conf of each workload that is told names: ROOT/.creched/names/NAME/.

A container has the files themselves, by bind mounts: to change one is to write into it. What is
written goes in one call, longer or shorter only afterwards; who reads in between may miss a name in
the hosts file, and is then told by the responder.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

from supervisor.network.names.book import Book

NAMES = ("hosts", "resolv.conf")
DIRECTORY = "names"
"""In ROOT/.creched."""
_SHARED = ".shared"
"""Directory of hosts files that several have; no workload has such a name."""
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_OPTIONS = ("bind", "ro", "nosuid", "nodev", "noexec")


class Files:
    """Those of one creched, in `directory`. What was written is not looked at again."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._written: dict[str, str] = {}

    def write(self, book: Book, called: Callable[[str], tuple[str, ...]]) -> None:
        """Have them as `book` says, and no others. `called`: names of its own. Raises OSError.

        With two hundred workloads on a network, one that comes would change two hundred files. So
        whoever has nothing of his own in it has a link to the one file of all on his networks.
        """
        texts: dict[tuple[str, ...], tuple[str, str]] = {}
        askers = book.askers
        for asker, networks in askers.items():
            if networks not in texts:
                texts[networks] = book.hosts(asker), book.resolver(asker)
                os.makedirs(f"{self._directory}/{_SHARED}", 0o755, exist_ok=True)
                self._put(f"{self._directory}/{_SHARED}/{_name(networks)}", texts[networks][0])
            hosts, resolver = texts[networks]
            own, where = book.own(asker, called(asker)), f"{self._directory}/{asker}"
            if f"{where}/resolv.conf" not in self._written:
                os.makedirs(where, 0o755, exist_ok=True)
            self._put(f"{where}/resolv.conf", resolver)
            if own:
                self._put(f"{where}/hosts", own + hosts)
            else:
                self._link(f"{self._directory}/{_SHARED}/{_name(networks)}", f"{where}/hosts")
        self._forget(self._directory, {*askers, _SHARED} if askers else ())
        self._forget(f"{self._directory}/{_SHARED}", map(_name, texts))

    def _put(self, path: str, text: str) -> None:
        if self._written.get(path) != text:
            self._written.pop(path, None)
            _write(path, text)
            self._written[path] = text

    def _link(self, shared: str, path: str) -> None:
        if self._written.get(path) == shared:
            return
        self._written.pop(path, None)
        try:
            if not os.path.samefile(shared, path):
                os.unlink(path)  # it had something of its own
                os.link(shared, path)
        except FileNotFoundError:
            os.link(shared, path)
        self._written[path] = shared

    def _forget(self, directory: str, names: Iterable[str]) -> None:
        kept = {*names}
        try:
            left = {*os.listdir(directory)} - kept
        except FileNotFoundError:
            return
        for name in left:
            path = f"{directory}/{name}"
            for each in [path, *(f"{path}/{file}" for file in NAMES)]:
                self._written.pop(each, None)
            shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)
        if not kept:
            os.rmdir(directory)


@cache
def _name(networks: tuple[str, ...]) -> str:
    return hashlib.sha256("\0".join(networks).encode()).hexdigest()[:16]


def _write(path: str, text: str) -> None:
    data = text.encode()
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    fd = os.open(path, flags, 0o644)
    try:
        if os.fstat(fd).st_nlink > 1 and f"/{_SHARED}/" not in path:
            os.close(fd)  # it was shared
            os.unlink(path)
            fd = os.open(path, flags, 0o644)
        os.fchmod(fd, 0o644)  # whatever the umask
        size = os.fstat(fd).st_size
        if size == len(data) and os.pread(fd, size, 0) == data:
            return
        os.pwrite(fd, data.ljust(size, b"\n"), 0)
        os.ftruncate(fd, len(data))
    finally:
        os.close(fd)


def mounted(config: dict[str, Any], directory: str) -> dict[str, Any]:
    """A config whose container has the files in `directory` for its own. Pure.

    Where it mounts something itself, that stays; without a mount namespace nothing changes.
    """
    namespaces = config.get("linux", {}).get("namespaces", [])
    if not any(each.get("type") == "mount" and not each.get("path") for each in namespaces):
        return config
    mounts = list(config.get("mounts", []))
    taken = {os.path.normpath(f"/{mount.get('destination', '').strip('/')}") for mount in mounts}
    added = [
        {
            "destination": f"/etc/{name}",
            "type": "bind",
            "source": f"{directory}/{name}",
            "options": list(_OPTIONS),
        }
        for name in NAMES
        if not taken & {"/etc", f"/etc/{name}"}
    ]
    return {**config, "mounts": mounts + added}


def called(config: Mapping[str, Any]) -> tuple[str, ...]:
    """What a container calls itself, if it says so. Pure."""
    name, domain = str(config.get("hostname", "")), str(config.get("domainname", ""))
    names = (f"{name}.{domain}", name) if domain else (name,)
    return tuple(each for each in names if _HOST.fullmatch(each))
