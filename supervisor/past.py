"""What a creched finds of those before it, and leaves to those after it."""

from __future__ import annotations

from collections.abc import Collection

from supervisor import adopt
from supervisor.engine import Engine
from supervisor.events import EventLog
from supervisor.nursery import Nursery
from supervisor.record import Resumed
from supervisor.store.journal import Journal
from supervisor.store.records import StoredRecords
from supervisor.supervision import Events


class Past:
    """own: creched's directory in the state root. state: directory that lasts, "" for none. kept:
    how much of the events is.

    From its making on, events are kept and go on with their numbers. Raises OSError.
    """

    def __init__(self, own: str, state: str, log: EventLog, kept: Events) -> None:
        self._log = log
        damage: list[tuple[str, str, str]] = []
        self.journal = Journal(
            f"{own}/journal", lambda *told: damage.append(told), kept.size, kept.files
        )
        log.keep(self.journal)
        for told in damage:
            self.damaged(*told)
        intent = f"{state}/intent" if state else ""
        self._removed: set[str] = set()
        self.records = StoredRecords(f"{own}/records", intent, self.damaged, self._unsaved)

    def damaged(self, path: str, kept: str, reason: str) -> None:
        """A file of ours cannot be used, and was set aside."""
        self._log.emit("state-damaged", file=path, kept=kept, message=reason)

    def _unsaved(self, name: str, reason: str) -> None:
        self._log.emit("workload-warning", workload=name, message=reason)

    async def resume(self, engine: Engine) -> dict[str, Resumed]:
        """How earlier creched left the workloads; what could not be adopted has been removed."""
        boot = self._log.boot
        records = self.records.load(boot)
        told = adopt.Told(self.journal.read(1), boot)
        self._removed = told.removed
        containers = engine.left(records, self._log.emit, self._log.now())
        return await adopt.resume(containers, records, told)

    def take_strays(
        self, nursery: Nursery, but: Collection[str] = (), declared: bool = False
    ) -> list[str]:
        """Have the nursery look after what was left of workloads that it does not know.

        See Nursery.take_stray. `but`: not these. What is remembered of workloads of which nothing
        else is left stays if they may be `declared` where nobody can read it. Gives the names.
        """
        taken = []
        for name in [name for name in nursery.left if name not in but]:
            resumed = nursery.left[name]
            if declared and resumed.container is None and resumed.exit is None:
                continue
            if nursery.take_stray(name, told=name in self._removed):
                taken.append(name)
        return taken

    def close(self) -> None:
        """Nothing happens any more."""
        self.journal.close()
