"""The events creched reports: their names and fields are an interface, and this table is it.

Every event carries the common fields; supervisor/fields.py says what they and all others mean, and
what type they have. docs/events.md and docs/events.schema.json are made from here (`python -m
supervisor.documents`), and a test says when they are out of date.

Within one `version` names and fields are only added, never changed or taken away.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from supervisor.store.journal import Journal

VERSION = 1


@dataclass(frozen=True, slots=True)
class Report:
    """One name: `level`, the fields it carries besides the common ones, what it means.

    `unknown`: those of the fields that may be null, which are given with a question mark.
    """

    level: str
    fields: tuple[str, ...]
    meaning: str
    unknown: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        unknown = (field[:-1] for field in self.fields if field.endswith("?"))
        object.__setattr__(self, "unknown", frozenset(unknown))
        object.__setattr__(self, "fields", tuple(field.rstrip("?") for field in self.fields))


_CHANGE = ("workload", "container?", "old", "new", "status", "cause?", "reason?")
_EXIT = ("code?", "signal?", "core", "oom_kills?", "uptime", "restarts", "output")

REPORTS: dict[str, Report] = {
    "supervisor-started": Report(
        "info", ("release", "directory", "root", "workloads", "pid"), "creched is up."
    ),
    "supervisor-stopping": Report(
        "info", ("cause", "reason"), "It was asked to stop, and stops every workload."
    ),
    "supervisor-hurried": Report(
        "warning", ("cause", "reason"), "It was asked again: what still runs is killed."
    ),
    "supervisor-stopped": Report(
        "info", ("exit_status",), "Every workload has ended; the last event of a run."
    ),
    "supervisor-left": Report(
        "info",
        ("cause", "reason"),
        "It ends, and its containers run on: the next creched takes them over.",
    ),
    "supervisor-reexec": Report(
        "info",
        ("cause", "reason"),
        "It executes itself anew, in the same process; `supervisor-started` comes next.",
    ),
    "reexec-failed": Report(
        "error", ("message",), "It could not execute itself anew, and goes on as it was."
    ),
    "workload-loaded": Report(
        "info", ("workload", "directory"), "Its directory was read and is in order."
    ),
    "workload-refused": Report(
        "error",
        ("workload", "file", "line?", "key?", "message"),
        "Its directory is not in order; one event for each mistake. Nothing of it was started. "
        "`workload-loaded` or `workload-removed` tells how that ends.",
    ),
    "change-refused": Report(
        "error",
        ("workload", "file", "line?", "key?", "message"),
        "Its files have changed and are not in order; one event for each mistake. What runs is not "
        "touched, and the version before stays.",
    ),
    "workload-mended": Report(
        "info", ("workload",), "Its files are in order again, and the same as what is in use."
    ),
    "workload-changed": Report(
        "info",
        ("workload", "action", "keys", "generation", "before"),
        "Its files have changed, which restarts it, applies to what runs, or makes no difference.",
    ),
    "update-proven": Report(
        "info", ("workload", "generation"), "A new version of it has stood its probation."
    ),
    "rolled-back": Report(
        "error",
        ("workload", "generation", "rejected", "reason"),
        "A new version of it has failed its probation; the one before is back.",
    ),
    "directory-lost": Report(
        "error",
        ("directory", "message"),
        "The directory of workload directories is gone or of no use; what runs is not touched.",
    ),
    "directory-found": Report("info", ("directory",), "It is there again, and is followed."),
    "directory-unwatched": Report(
        "warning",
        ("directory", "message"),
        "Changes in it will be noticed only when creched is asked to look.",
    ),
    "workload-warning": Report(
        "warning", ("workload", "message"), "Something about it should be mended, but it works."
    ),
    "reload-failed": Report(
        "error", ("message",), "The directories could not be read; nothing has changed."
    ),
    "state-damaged": Report(
        "error",
        ("file", "kept", "message"),
        "A file of creched's own state cannot be used; it goes on without it.",
    ),
    "creating": Report("info", (*_CHANGE, "attempt"), "Its container is being made."),
    "created": Report(
        "info", (*_CHANGE, "attempt", "pid"), "The container is there; its program runs next."
    ),
    "create-failed": Report(
        "error", (*_CHANGE, "attempt"), "It could not be made, and what was made has been undone."
    ),
    "waiting": Report(
        "info", (*_CHANGE, "waiting_for"), "It starts when others have come far enough."
    ),
    "started": Report(
        "info",
        (*_CHANGE, "attempt", "pid", "ready"),
        "Its program runs and poststart hooks have run.",
    ),
    "ready": Report("info", (*_CHANGE, "attempt"), "It can do its work."),
    "healthy": Report("info", (*_CHANGE, "attempt"), "Its health was checked and is good."),
    "unhealthy": Report(
        "error", (*_CHANGE, "attempt"), "Its health was checked and is bad: it is ended."
    ),
    "watchdog-expired": Report(
        "error", (*_CHANGE, "attempt"), "It gave no sign of life in time: it is ended."
    ),
    "start-timeout": Report(
        "error", (*_CHANGE, "attempt", "timeout"), "It was not ready in time: it is ended."
    ),
    "adopted": Report(
        "info",
        (*_CHANGE, "attempt", "pid?", "ready"),
        "An earlier creched started it; it has run on and is looked after again.",
    ),
    "resumed": Report("info", (*_CHANGE, "attempt"), "It is where an earlier creched has left it."),
    "start-failed": Report(
        "error", (*_CHANGE, "attempt"), "It could not be started, or a poststart hook failed."
    ),
    "exited": Report(
        "info",
        (*_CHANGE, "attempt", *_EXIT),
        "The first process of the container has ended.",
    ),
    "cleaning": Report("info", _CHANGE, "What is left of the container is being removed."),
    "cleaned": Report("info", _CHANGE, "It is removed, and poststop hooks have run."),
    "clean-failed": Report(
        "error", (*_CHANGE, "result", "leftovers?"), "Something of it could not be removed."
    ),
    "restart-scheduled": Report(
        "warning",
        (*_CHANGE, "after", "at", "series", "restarts"),
        "It will be started again after a delay.",
    ),
    "cooling-down": Report(
        "error",
        (*_CHANGE, "after", "at", "restarts"),
        "It has failed too often and gets a longer rest before it is tried again.",
    ),
    "gave-up": Report(
        "error",
        (*_CHANGE, "action", "result", "restarts"),
        "It has failed and is not started again.",
    ),
    "done": Report("info", (*_CHANGE, "result", "restarts"), "It has ended as it should."),
    "stopping": Report("info", (*_CHANGE, "signal", "timeout"), "It was asked to end."),
    "aborting": Report("info", _CHANGE, "It was being started, which was cut short."),
    "killing": Report("warning", _CHANGE, "Everything in it is killed."),
    "stop-noted": Report("info", _CHANGE, "It had ended already; it will not be restarted."),
    "start-noted": Report("info", _CHANGE, "It will be started once it has ended."),
    "reset": Report("info", _CHANGE, "Past failures are forgotten: delays and limit begin anew."),
    "signalled": Report(
        "info",
        ("workload", "container", "cause", "reason", "signal"),
        "Its first process was sent a signal by hand.",
    ),
    "reboot-requested": Report(
        "error",
        ("workload", "reason", "command"),
        "It has failed in a way that only a reboot may help against. The command is the one of "
        "creched.toml; without one nothing follows.",
    ),
    "command-started": Report(
        "warning", ("workload", "command"), "A command runs because restarts have not helped."
    ),
    "command-ended": Report("info", ("workload", "command"), "It has ended well."),
    "command-failed": Report("error", ("workload", "command", "message"), "It has not."),
    "workload-removed": Report(
        "info", ("workload",), "It is not looked after any more: its directory has gone."
    ),
    "hurried": Report("warning", _CHANGE, "Hooks that were still running are killed."),
    "stopped": Report("info", (*_CHANGE, "result", "restarts"), "It has ended, as was asked."),
    "oom": Report(
        "warning",
        ("workload", "container", "count"),
        "The kernel killed a process in it for lack of memory; the container may live on.",
    ),
    "hook-failed": Report(
        "warning",
        ("workload", "container", "stage", "message"),
        "A poststop hook failed; the others run all the same.",
    ),
    "container-warning": Report(
        "warning", ("workload", "container?", "message"), "Something about its container."
    ),
    "network-attached": Report(
        "info", ("workload", "addresses"), "Its networks are there, with these addresses of it."
    ),
    "network-changed": Report(
        "info", ("workload",), "What has changed in its [network] holds now, as it runs."
    ),
    "network-declared": Report(
        "info",
        ("network", "action", "keys"),
        "It is another one in creched.toml, and is as it says there, or will be once those on it "
        "are restarted.",
    ),
    "network-refused": Report(
        "error",
        ("network", "message"),
        "It is another one in creched.toml, and stays as it was, for this reason.",
    ),
    "network-restored": Report(
        "warning", ("message",), "Somebody had changed what creched made; it is as declared again."
    ),
    "network-forwarding": Report(
        "warning",
        ("message",),
        "The host forwards packets between its links from now on, as published ports and "
        "masquerade need it; these sysctls were set, and stay so.",
    ),
    "network-trouble": Report(
        "error", ("workload?", "message"), "A network cannot be made as declared, or removed."
    ),
    "control": Report(
        "info",
        ("workload?", "action", "who", "pid?", "uid?", "gid?"),
        "Somebody asked for a change on the admin socket; what came of it is told by other events.",
    ),
    "control-fault": Report(
        "error",
        ("error", "message", "traceback"),
        "A mistake in creched itself while it answered on a control socket.",
    ),
    "alerted": Report(
        "info", ("workload", "alert", "message"), "A program of `[[alerts]]` was told."
    ),
    "alert-failed": Report(
        "warning", ("workload", "alert", "message"), "A program of `[[alerts]]` was not told."
    ),
    "workload-fault": Report(
        "error",
        (*_CHANGE, "result", "error", "message", "traceback"),
        "A mistake in creched itself ended the care for this workload; others are not touched.",
    ),
}


class Lines:
    """Where events go as lines of JSON: each is encoded once, for all who want it."""

    def __init__(
        self, encode: Callable[[dict[str, object]], str], write: Callable[[str], None] | None
    ) -> None:
        """`write` takes a line without its newline, and must not raise."""
        self._encode = encode
        self._write = write
        self.journal: Journal | None = None

    def take(self, number: int, event: dict[str, object]) -> None:
        """One event."""
        if self.journal is None and self._write is None:
            return
        line = self._encode(event)
        # First: what somebody has seen is there to be read again, under the same number.
        if self.journal is not None:
            self.journal.append(number, line.encode() + b"\n")
        if self._write is not None:
            self._write(line)


class EventLog:
    """Numbers events, fills in the common fields, checks them against the table, hands them on.

    `write` takes the level and the whole event, and must not raise; `lines` gets it before.
    """

    def __init__(
        self,
        write: Callable[[str, dict[str, object]], None],
        timestamp: Callable[[], str],
        monotonic: Callable[[], float],
        boot: str,
        run: str,
        lines: Lines | None = None,
    ) -> None:
        self._write = write
        self._lines = lines
        self._timestamp = timestamp
        self._monotonic = monotonic
        self._boot = boot
        self._run = run
        self._taps: list[Callable[[dict[str, object]], None]] = []
        self.seq = 0

    @property
    def run(self) -> str:
        """The field `run`."""
        return self._run

    def tap(self, note: Callable[[dict[str, object]], None]) -> None:
        """Show each event to one more function, which must not raise."""
        self._taps.append(note)

    @property
    def boot(self) -> str:
        """The field `boot`."""
        return self._boot

    def now(self) -> float:
        """The clock of the field `monotonic`."""
        return self._monotonic()

    def keep(self, journal: Journal) -> None:
        """Write each event to the journal first, and go on with its numbers."""
        assert self._lines is not None
        self._lines.journal = journal
        self.seq = journal.last

    def emit_from(self, name: str, values: dict[str, object]) -> dict[str, object]:
        """Report one event, its fields taken out of `values`, which may hold more."""
        return self.emit(name, **{field: values[field] for field in REPORTS[name].fields})

    def emit(self, name: str, **fields: object) -> dict[str, object]:
        """Report one event; all its fields must be given, and no others (KeyError)."""
        report = REPORTS[name]
        if set(fields) != set(report.fields):
            wrong = sorted(set(fields) ^ set(report.fields))
            raise KeyError(f"event {name}: fields missing or unknown: {', '.join(wrong)}")
        self.seq += 1
        event: dict[str, object] = {
            "version": VERSION,
            "seq": self.seq,
            "timestamp": self._timestamp(),
            "monotonic": round(self._monotonic(), 6),
            "boot": self._boot,
            "run": self._run,
            "level": report.level,
            "event": name,
        }
        event.update((field, fields[field]) for field in report.fields)
        if self._lines is not None:
            self._lines.take(self.seq, event)
        self._write(report.level, event)
        for note in self._taps:
            note(event)
        return event
