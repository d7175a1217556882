"""The workload directories of one creched: read, kept an eye on, and followed by what runs."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping

import trio

from supervisor.directories import telling
from supervisor.directories.cycles import refuse_cycles
from supervisor.directories.generations import Generations, flush
from supervisor.directories.plan import Action, Plan, Step, decide
from supervisor.directories.probation import stands
from supervisor.directories.settling import Settling
from supervisor.directories.starting import settle_start
from supervisor.directories.tree import Tree
from supervisor.events import EventLog
from supervisor.mistakes import Mistakes
from supervisor.nursery import Nursery
from supervisor.record import Resumed
from supervisor.watch import Watcher
from supervisor.workload.directory import Reading, names_in, open_top, read_one
from supervisor.workload.errors import Problem, WorkloadError
from supervisor.workload.files import Unsettled
from supervisor.workload.model import Workload
from supervisor.workload.source import Source

PATIENCE = 5
"""So often a file that is being written is read again before it counts as a mistake."""


class Directories:
    """What is in `path` now, and what of it was taken.

    `scratch` is where embedded roots are made. Without `generations` no version is kept beyond
    this process.
    """

    def __init__(
        self,
        path: str,
        scratch: str,
        nursery: Nursery,
        log: EventLog,
        generations: Generations | None = None,
        settling: Settling | None = None,
    ) -> None:
        self.path = os.path.abspath(path)
        self.current: dict[str, Workload] = {}
        """The versions that run, or are to."""
        self.rejected: dict[str, str] = {}
        """Digests of versions that have failed their probation."""
        self._scratch = scratch
        self._nursery = nursery
        self._log = log
        self._generations = generations
        self._settling = settling or Settling()
        self._tree: Tree | None = None
        self._tasks: trio.Nursery
        self._lock = trio.Lock()
        self._written = trio.Event()
        self._resumed: Mapping[str, Resumed] = {}
        self._lost = ""
        self._unsettled: dict[str, int] = {}
        self._removing: set[str] = set()
        self._followers: dict[str, list[str]] = {}
        self._good: dict[str, Workload] = {}
        self._probations: dict[str, trio.CancelScope] = {}

    # --- at the start ----------------------------------------------------------------------

    async def load(self, resumed: Mapping[str, Resumed] | None = None) -> Plan:
        """Read everything for the first time; `begin` then does what the plan says.

        `resumed` is how an earlier creched left workloads: what it ran is taken first, and what
        has changed since is a change like any other. Raises WorkloadError if the directory is of
        no use, but FileNotFoundError if there is none, which `run` waits for.
        """
        self._resumed = resumed or {}
        alive = {name for name, left in self._resumed.items() if left.container is not None}
        if not os.path.lexists(self.path):  # noqa: ASYNC240  a look, not a read
            raise FileNotFoundError(errno.ENOENT, "does not exist", self.path)
        readings = await self._read(None, patient=False)
        if self._generations is not None:
            stale = settle_start(self.path, self._scratch, readings, alive, self._generations, self)
            for name in stale:
                self._settling.note(name)
        return decide({}, readings, {})

    def unproven(self, name: str, good: Workload) -> None:
        """Its version has still to stand its probation; `good` is what to go back to."""
        self._good[name] = good

    def begin(self, plan: Plan, tasks: trio.Nursery) -> None:
        """Take what `load` has found. `tasks`: where removals and probations go on."""
        self._tasks = tasks
        left, self._resumed = self._resumed, {}
        if self._generations is not None and os.path.isdir(self.path):
            for name in set(self._generations.names()) - plan.seen:
                self._generations.forget(name)  # it went while nobody looked
        outdated = {
            name: resumed.record.generation
            for name, resumed in left.items()
            if resumed.container is not None and resumed.record.generation
        }
        self._apply(plan)
        for name, generation in outdated.items():
            # An earlier creched was killed between taking a version and starting it.
            if name in self.current and self.current[name].generation != generation:
                telling.outdated(self._log, self.current[name], generation)
                self._nursery.change(self.current[name], True)

    # --- while it runs ---------------------------------------------------------------------

    async def run(self, watcher: Watcher) -> None:
        """Follow changes until cancelled."""
        self._tree = Tree(watcher, self.path, self._settling.note, self._cannot_watch)
        try:
            for name in self._good.keys() - self._probations.keys():
                self._on_probation(name, self._nursery.status(name).attempt - 1)
            if self._generations is not None:
                self._tasks.start_soon(self._flush, self._generations)
            # What was read before it was watched may have changed in between.
            self._settling.note(None)
            while True:
                await self._look(await self._settling.settled())
        finally:
            self._tree.close()
            self._tree = None

    async def plan(self) -> Plan:
        """What `reload` would do now. Raises WorkloadError if there is no directory."""
        async with self._lock:
            return decide(self.current, await self._read(None, patient=False), self.rejected)

    async def reload(self) -> Plan:
        """Read everything and follow it now; what was done. Raises WorkloadError as `plan` does."""
        async with self._lock:
            self._settling.take()
            plan = decide(self.current, await self._read(None, patient=False), self.rejected)
            self._apply(plan)
        return plan

    async def _look(self, names: set[str] | None) -> None:
        async with self._lock:
            try:
                readings = await self._read(names, patient=True)
            except WorkloadError as error:
                if str(error) != self._lost:
                    self._lost = str(error)
                    message = error.problems[0].message
                    self._log.emit("directory-lost", directory=self.path, message=message)
                return
            self._apply(decide(self.current, readings, self.rejected))

    async def _read(self, names: set[str] | None, patient: bool) -> dict[str, Reading | None]:
        """Read workloads; None for all that there are or were. Raises WorkloadError."""
        if names is None and self._tree is not None:
            self._tree.look()
        top = open_top(self.path)
        try:
            if names is None:
                names = {*names_in(top), *self.current, *self._nursery.mistakes}
            readings = {}
            for name in sorted(names):
                # Two thousand directories are no reason not to look at anything else meanwhile.
                await trio.lowlevel.checkpoint()
                reading = self._read_one(top, name)
                error = None if reading is None else reading.error
                if patient and isinstance(error, Unsettled):
                    self._unsettled[name] = self._unsettled.get(name, 0) + 1
                    if self._unsettled[name] < PATIENCE:
                        self._settling.note(name)
                        continue
                self._unsettled.pop(name, None)
                readings[name] = reading
                self._pardon(name, reading)
        finally:
            os.close(top)
        if self._lost:
            self._lost = ""
            self._log.emit("directory-found", directory=self.path)
        return refuse_cycles(self.current, readings)

    def _read_one(self, top: int, name: str) -> Reading | None:
        try:
            if stat.S_ISREG(os.stat(name, dir_fd=top, follow_symlinks=False).st_mode):
                return None
        except OSError:
            return None
        follow = (lambda name, fd: None) if self._tree is None else self._tree.follow
        known = self.current.get(name)
        reading = read_one(top, self.path, name, self._scratch, known, follow)
        if self._tree is not None and reading is not None and reading.workload is not None:
            self._tree.expect(reading.workload)
        return reading

    def _pardon(self, name: str, reading: Reading | None) -> None:
        """Other files than those that were rejected: those may be tried again one day."""
        source = None if reading is None else reading.source
        if source is not None and self.rejected.get(name) not in (None, source.digest()):
            del self.rejected[name]
            if self._generations is not None:
                self._generations.pardon(name)

    # --- doing it --------------------------------------------------------------------------

    def _apply(self, plan: Plan) -> None:
        self._written.set()
        if self._nursery.stopping:
            return
        for step in sorted(plan.steps, key=lambda step: step.action is not Action.REMOVE):
            self._mistakes(step.name, step.problems, step.action is not Action.REFUSE)
            if step.action is Action.REMOVE:
                self._remove(step)
            elif step.action is Action.ADD:
                self._add(step)
            elif step.reading is not None and step.reading.workload is not None:
                self._change(step, step.reading.workload)
        mistakes = self._nursery.mistakes
        settled = set(mistakes) - {step.name for step in plan.steps if step.problems}
        for name in settled & plan.seen:
            del mistakes[name]
            if any(step.name == name for step in plan.steps):
                continue
            if name in self.current:
                self._log.emit("workload-mended", workload=name)
                continue
            self._forget(name)
            if name not in self._removing and self._nursery.take_stray(name):
                self._begin_removal(name)

    def _add(self, step: Step) -> None:
        assert step.reading is not None
        assert step.reading.workload is not None
        name, workload = step.name, step.reading.workload
        self.current[name] = self._taken(workload, step.reading.source, name not in self._good)
        telling.loaded(self._log, self.current[name], self._nursery.groups)
        if step.renamed in self._removing:
            self._followers.setdefault(step.renamed or "", []).append(name)
        elif name not in self._removing:
            self._nursery.add(self.current[name])

    def _remove(self, step: Step) -> None:
        name = step.name
        del self.current[name]
        self._end_probation(name)
        self._forget(name)
        if name in self._nursery.keepers and name not in self._removing:
            self._begin_removal(name)

    def _forget(self, name: str) -> None:
        self.rejected.pop(name, None)
        if self._tree is not None:
            self._tree.forget(name)
        if self._generations is not None:
            self._generations.forget(name)

    def _begin_removal(self, name: str) -> None:
        self._removing.add(name)
        self._tasks.start_soon(self._removed, name)

    async def _removed(self, name: str) -> None:
        await self._nursery.remove(name)
        self._removing.discard(name)
        for waiting in (name, *self._followers.pop(name, ())):
            if waiting in self.current and waiting not in self._nursery.keepers:
                self._nursery.add(self.current[waiting])

    def _change(self, step: Step, new: Workload) -> None:
        name, old = step.name, self.current[step.name]
        assert step.reading is not None
        restart = step.action is Action.RESTART
        there = name in self._nursery.keepers and name not in self._removing
        if restart:
            good = self._good.get(name, old)
            self._end_probation(name)
            if new.settings.update.rollback and there:
                self._good[name] = good
        self.current[name] = self._taken(new, step.reading.source, name not in self._good)
        self.rejected.pop(name, None)
        telling.changed(self._log, step, old, self.current[name], self._nursery.groups)
        if there:
            attempt = self._nursery.status(name).attempt
            self._nursery.change(self.current[name], restart)
            if restart and name in self._good:
                self._on_probation(name, attempt)

    def _taken(self, workload: Workload, source: Source | None, proven: bool) -> Workload:
        return telling.numbered(self._log, self._generations, workload, source, proven)

    def _mistakes(self, name: str, problems: tuple[Problem, ...], kept: bool) -> None:
        """Tell of mistakes, once."""
        known = self._nursery.mistakes.get(name)
        if problems and (known is None or known.problems != problems):
            since = self._log.now() if known is None else known.since
            self._nursery.mistakes[name] = Mistakes(f"{self.path}/{name}", problems, since)
            telling.refused(self._log, name, problems, kept)

    # --- probation -------------------------------------------------------------------------

    def _on_probation(self, name: str, attempt: int) -> None:
        scope = self._probations[name] = trio.CancelScope()
        self._tasks.start_soon(self._probation, name, attempt, scope)

    def _end_probation(self, name: str) -> None:
        self._good.pop(name, None)
        if (scope := self._probations.pop(name, None)) is not None:
            scope.cancel()

    async def _probation(self, name: str, attempt: int, scope: trio.CancelScope) -> None:
        with scope:
            reason = await stands(
                lambda: self._nursery.status(name),
                lambda: self._nursery.next_move(name),
                attempt,
                self.current[name].settings.update.probation,
            )
            if self._nursery.stopping:
                return
            new, good = self.current[name], self._good[name]
            self._end_probation(name)
            if reason is None:
                if self._generations is not None:
                    self._generations.prove(name)
                    self._written.set()
                self._log.emit("update-proven", workload=name, generation=new.generation)
            else:
                if self._generations is not None:
                    self._generations.reject(name)
                    self._written.set()
                self.rejected[name] = new.digest
                self.current[name] = good
                self._log.emit(
                    "rolled-back",
                    workload=name,
                    generation=good.generation,
                    rejected=new.generation,
                    reason=reason,
                )
                self._nursery.change(good, True)

    # --- the rest --------------------------------------------------------------------------

    async def _flush(self, generations: Generations) -> None:
        """Have what is kept survive a power cut; nothing else waits for the disk."""
        while True:
            await self._written.wait()
            self._written = trio.Event()
            await trio.to_thread.run_sync(flush, generations.unflushed(), abandon_on_cancel=True)

    def _cannot_watch(self, path: str, message: str) -> None:
        self._log.emit("directory-unwatched", directory=path, message=message)
