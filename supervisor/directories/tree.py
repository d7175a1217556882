"""Which directories are watched, and which of the changes in them matter.

Watched are the directory of workload directories, each of those, its drop-ins, and what the first
one lies in, so that it may come, go and be replaced. A rename further up is not noticed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from supervisor.watch import Watcher
from supervisor.workload.model import Workload
from supervisor.workload.source import CONFIG, DROPINS, SETTINGS, is_dropin

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NONBLOCK


class Tree:
    """Watches for one directory of workload directories.

    `note` is told the name of a workload whose directory has changed, None for any of them.
    `failed` is told the path of what cannot be watched, and why.
    """

    def __init__(
        self,
        watcher: Watcher,
        path: str,
        note: Callable[[str | None], None],
        failed: Callable[[str, str], None],
    ) -> None:
        self._watcher = watcher
        self._path = path
        self._note = note
        self._failed = failed
        self._top: list[Callable[[], None]] = []
        self._workloads: dict[str, list[Callable[[], None]]] = {}
        self._more: dict[str, frozenset[str]] = {}

    def look(self) -> None:
        """Watch the directory and what it lies in, as they are now."""
        self._undo(self._top)
        parent, name = os.path.split(self._path)
        while parent != "/" and not os.path.isdir(parent):
            parent, name = os.path.split(parent)
        self._open(parent, self._top, lambda changed: self._around(name, changed))
        self._open(self._path, self._top, self._within)

    def follow(self, name: str, fd: int) -> None:
        """Watch a workload's directory, which is open as `fd`, and its drop-ins.

        To be called before it is read, so that no change is missed.
        """
        before = self._workloads.get(name, [])
        undos = self._workloads[name] = []
        self._watch(fd, f"{self._path}/{name}", undos, lambda at: self._file(name, at))
        try:
            within = os.open(DROPINS, _OPEN | os.O_NOFOLLOW, dir_fd=fd)
        except OSError:
            pass  # there are none, or reading them will say what is wrong
        else:
            at = f"{self._path}/{name}/{DROPINS}"
            self._watch(within, at, undos, lambda at: self._dropin(name, at))
            os.close(within)
        self._undo(before)

    def expect(self, workload: Workload) -> None:
        """Besides its files, take notice of the hooks and the root that lie in its directory."""
        hooks = workload.settings.hooks.stages
        names = {hook.path for _, of_stage in hooks for hook in of_stage if hook.path[:1] != "/"}
        root = workload.config.get("root")
        if isinstance(root, dict):
            names.add(os.path.relpath(str(root["path"]), workload.directory).split("/")[0])
        self._more[workload.name] = frozenset(names)

    def forget(self, name: str) -> None:
        """Its directory is gone."""
        self._undo(self._workloads.pop(name, []))
        self._more.pop(name, None)

    def names(self) -> Iterable[str]:
        """Of the workloads whose directories are watched."""
        return tuple(self._workloads)

    def close(self) -> None:
        """Watch nothing any more."""
        self._undo(self._top)
        for name in self.names():
            self.forget(name)

    def _open(
        self, path: str, undos: list[Callable[[], None]], note: Callable[[str | None], None]
    ) -> None:
        try:
            fd = os.open(path, _OPEN)
        except OSError:
            return  # whoever reads it will say so
        self._watch(fd, path, undos, note)
        os.close(fd)

    def _watch(
        self,
        fd: int,
        path: str,
        undos: list[Callable[[], None]],
        note: Callable[[str | None], None],
    ) -> None:
        try:
            undos.append(self._watcher.watch_directory(fd, note))
        except OSError as error:
            self._failed(path, error.strerror or str(error))

    def _undo(self, undos: list[Callable[[], None]]) -> None:
        while undos:
            undos.pop()()

    def _around(self, name: str, changed: str | None) -> None:
        if changed in (name, "", None):
            self._note(None)

    def _within(self, changed: str | None) -> None:
        if not changed:
            self._note(None)
        elif not changed.startswith("."):
            self._note(changed)

    def _file(self, name: str, changed: str | None) -> None:
        if changed in ("", None, SETTINGS, DROPINS, CONFIG, *self._more.get(name, ())):
            self._note(name)

    def _dropin(self, name: str, changed: str | None) -> None:
        if not changed or is_dropin(changed):
            self._note(name)
