"""The event table, its documents, and how events are written."""

from __future__ import annotations

import io
import json
from pathlib import Path

import jsonschema
import pytest

from supervisor import documents, events, fields
from supervisor.console import console_line
from supervisor.logs import open_log
from supervisor.store.journal import Journal
from supervisor.workload.schema import walk
from supervisor.workload.sections import SECTIONS
from tests.support.events import check


def test_documents_are_current() -> None:
    """docs/events.md and docs/workload.md are what the tables say."""
    for name, make in documents.DOCUMENTS.items():
        assert (documents.DOCS / name).read_text(encoding="utf-8") == make(), name


def test_every_field_is_explained_and_used() -> None:
    """No name without a meaning, no meaning without a use."""
    used = {field for report in events.REPORTS.values() for field in report.fields}

    assert used == set(fields.FIELDS)
    assert not used & set(fields.COMMON)
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

    assert set(fields.COMMON) <= set(first)
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


def test_lists_are_words() -> None:
    """As one would write them; what is empty or unknown is left out."""
    log = open_log("console", stream := io.StringIO())
    log.emit("command-started", workload="w\x1b", command=["/bin/sh", "-c", "exit 3"])
    log.emit("reboot-requested", workload="w", reason="", command=[])

    first, second = stream.getvalue().splitlines()
    assert first.endswith(
        ' w\\x1b            command-started                  command=/bin/sh,-c,"exit 3"'
    )
    assert second.endswith(' reboot-requested                 reason=""')


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


SAMPLES = {"string": "x", "integer": 3, "number": 0.5, "boolean": True, "strings": ["x"]}


def written(name: str, **given: object) -> dict[str, object]:
    """An event of this name, with samples for the fields that are not given."""
    stream = io.StringIO()
    samples = {field: SAMPLES[fields.FIELDS[field][0]] for field in events.REPORTS[name].fields}
    open_log("json", stream).emit(name, **{**samples, **given})
    found: dict[str, object] = json.loads(stream.getvalue())
    return found


def test_the_schema_is_one() -> None:
    """By the validator's own rules; it has every event, and tells them apart."""
    schema = json.loads(documents.events_schema())
    jsonschema.Draft202012Validator.check_schema(schema)

    assert {v["properties"]["event"]["const"] for v in schema["oneOf"]} == set(events.REPORTS)
    jsonschema.validate(written("supervisor-stopped"), schema)


@pytest.mark.parametrize("name", events.REPORTS)
def test_the_schema_has_the_type_of_every_field(name: str) -> None:
    """No other one is let through, and null only where the table says so."""
    check([written(name)])
    for field in events.REPORTS[name].fields:
        with pytest.raises(jsonschema.ValidationError):
            check([written(name, **{field: {}})])
        if field in events.REPORTS[name].unknown:
            check([written(name, **{field: None})])
        else:
            with pytest.raises(jsonschema.ValidationError):
                check([written(name, **{field: None})])
        event = written(name)
        del event[field]
        with pytest.raises(jsonschema.ValidationError):
            check([event])
