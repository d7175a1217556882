"""The event table, its documents, and how events are written."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from supervisor import documents, events
from supervisor.console import console_line
from supervisor.logs import open_log
from supervisor.store.journal import Journal
from supervisor.workload.schema import walk
from supervisor.workload.sections import SECTIONS


def test_documents_are_current() -> None:
    """docs/events.md and docs/workload.md are what the tables say."""
    for name, make in documents.DOCUMENTS.items():
        assert (documents.DOCS / name).read_text(encoding="utf-8") == make(), name


def test_every_field_is_explained_and_used() -> None:
    """No name without a meaning, no meaning without a use."""
    used = {field for report in events.REPORTS.values() for field in report.fields}

    assert used == set(events.FIELDS)
    assert not used & set(events.COMMON)
    assert {report.level for report in events.REPORTS.values()} == {"info", "warning", "error"}


def test_the_workload_document_names_every_key() -> None:
    """The schema is the document."""
    text = documents.workload_document()

    for section, _ in walk(SECTIONS):
        assert f"{section.name}]" in text
        for field in section.fields:
            assert f"| `{field.key}` | " in text


def test_fields_are_checked() -> None:
    """An event with a field missing, or one too many, is never written."""
    log = open_log("json", io.StringIO())
    with pytest.raises(KeyError, match="fields missing or unknown: exit_status"):
        log.emit("supervisor-stopped")
    with pytest.raises(KeyError, match="fields missing or unknown: colour"):
        log.emit("supervisor-stopped", exit_status=0, colour="red")
    assert log.seq == 0


def test_events_are_kept_before_they_are_told(tmp_path: Path) -> None:
    """The same line, under the same number; the numbers go on with the next run."""
    stream = io.StringIO()
    for seq in (1, 2):
        journal = Journal(str(tmp_path), lambda *damage: None)
        log = open_log("json", stream)
        log.keep(journal)
        log.emit("supervisor-stopped", exit_status=0)
        assert log.seq == seq
        assert b"".join(journal.read(1)).decode() == stream.getvalue()
        journal.close()


def test_json_lines() -> None:
    """One object a line, with the common fields and consecutive numbers."""
    stream = io.StringIO()
    log = open_log("json", stream)
    log.emit("supervisor-stopping", cause="signal", reason="creched got SIGTERM")
    log.emit("supervisor-stopped", exit_status=0)
    first, second = map(json.loads, stream.getvalue().splitlines())

    assert set(events.COMMON) <= set(first)
    assert [first["seq"], second["seq"]] == [1, 2]
    assert first["event"] == "supervisor-stopping"
    assert first["reason"] == "creched got SIGTERM"
    assert (first["boot"], first["run"]) == (second["boot"], second["run"])
    assert first["timestamp"].endswith("Z")
    assert first["monotonic"] <= second["monotonic"]


def test_console_lines() -> None:
    """Words for people; what hooks or programs wrote cannot steer the terminal."""
    stream = io.StringIO()
    log = open_log("console", stream)
    log.emit("workload-warning", workload="w", message="red \x1b[31m\nalert")

    assert "w                workload-warning" in stream.getvalue()
    assert 'message="red \\x1b[31m\\nalert"' in stream.getvalue()
    assert stream.getvalue().count("\n") == 1


def test_colours_only_for_what_needs_attention() -> None:
    """Warnings and errors stand out."""
    event: dict[str, object] = {
        "level": "error", "event": "gave-up", "timestamp": "2026-01-01T01:02:03.456789Z",
        "workload": "w", "old": "deciding", "new": "failed", "status": "failed",
    }  # fmt: skip

    assert console_line(event, colours=True).startswith("\x1b[31m01:02:03.456 w ")
    assert "gave-up [failed]" in console_line(event, colours=False)
    assert "\x1b" not in console_line({**event, "level": "info"}, colours=True)


def test_a_reader_that_has_gone_is_no_reason_to_stop() -> None:
    """creched must not end because a pipe was closed."""

    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    log = open_log("json", Closed())
    log.emit("supervisor-stopped", exit_status=0)

    assert log.seq == 1


def test_the_schema_holds_every_event() -> None:
    """Each name with its level and exactly its fields; what creched writes fits."""
    schema = json.loads(documents.events_schema())
    found = {v["properties"]["event"]["const"]: v for v in schema["oneOf"]}
    assert set(found) == set(events.REPORTS)
    stream = io.StringIO()
    open_log("json", stream).emit("supervisor-stopped", exit_status=0)
    event = json.loads(stream.getvalue())
    variant = found["supervisor-stopped"]
    assert set(event) == set(schema["required"]) | set(variant["required"])
    assert set(variant["required"]) <= set(schema["$defs"])
    assert event["level"] == variant["properties"]["level"]["const"]
