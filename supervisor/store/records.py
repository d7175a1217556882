"""Records of workloads on tmpfs, and the operator's intent on a disk that survives a power cut."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace

from supervisor.record import Intent, Record
from supervisor.store.files import Damage, Documents


class StoredRecords:
    """records: directory on tmpfs, of this boot. intent: directory that lasts, or "" for none.

    Both are made if they are not there (OSError if that fails). warn: told, with the workload and a
    text, of what cannot be written; the workload's care goes on without.
    """

    def __init__(
        self, records: str, intent: str, damage: Damage, warn: Callable[[str, str], object]
    ) -> None:
        os.makedirs(records, 0o700, exist_ok=True)
        if intent:
            os.makedirs(intent, 0o700, exist_ok=True)
        self._records = Documents(records, durable=False, damage=damage)
        self._intents = Documents(intent, durable=True, damage=damage) if intent else None
        self._down: set[str] = set()
        self._warn = warn

    def load(self, boot: str) -> dict[str, Record]:
        """What an earlier creched has left, by name; of another boot only the intent counts."""
        found: dict[str, Record] = {}
        for name in self._records.names():
            document = self._records.load(name)
            if document is None:
                continue
            try:
                record = Record.from_json(document)
                if record.name != name:
                    raise ValueError(f"it is that of {record.name!r}")
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                self._records.set_aside(name, f"it is no record: {error!r}")
                continue
            found[name] = record if record.boot == boot else Record(name)
        for name in self._intents.names() if self._intents else ():
            document = self._intents.load(name) if self._intents else None
            if document is not None and document.get("intent") == Intent.DOWN:
                self._down.add(name)
                found[name] = replace(found.get(name, Record(name)), intent=Intent.DOWN)
        return found

    def save(self, record: Record) -> None:
        """See supervisor.record.Records."""
        try:
            try:
                self._save_intent(record)
            finally:  # they are on different file systems: where one is full the other need not be
                self._records.save(record.name, record.to_json())
        except OSError as error:
            self._warn(record.name, f"save how it stands: {error.strerror}: {error.filename}")

    def forget(self, name: str) -> None:
        """See supervisor.record.Records."""
        try:
            self._records.remove(name)
            if self._intents is not None and name in self._down:
                self._intents.remove(name)
        except OSError as error:
            self._warn(name, f"forget how it stood: {error.strerror}: {error.filename}")
        self._down.discard(name)

    def _save_intent(self, record: Record) -> None:
        """Only what an operator changes is worth a disk's time."""
        down = record.intent is Intent.DOWN
        if self._intents is None or down == (record.name in self._down):
            return
        if down:
            self._intents.save(record.name, {"intent": record.intent.value, "why": record.why})
            self._down.add(record.name)
        else:
            self._intents.remove(record.name)
            self._down.discard(record.name)
