"""Log lines in logrus' forms, and where they go."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from runtime.cli.log import Log, json_line, text_line, timestamp
from runtime.errors import CrecheError

WHEN = "2026-01-02T03:04:05Z"


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("container does not exist", 'msg="container does not exist"'),
        ('runc: "run" requires', 'msg="runc: \\"run\\" requires"'),
        ("plain", "msg=plain"),
        ("/run/x-1_2@a+b^c.d", "msg=/run/x-1_2@a+b^c.d"),
        ("", 'msg=""'),
        ("two\nlines", 'msg="two\\nlines"'),
    ],
)
def test_a_text_line_quotes_like_logrus(message: str, expected: Any) -> None:
    assert text_line("error", message, WHEN) == f'time="{WHEN}" level=error {expected}\n'


def test_a_json_line_is_one_compact_object_with_sorted_keys() -> None:
    line = json_line("error", 'a "b"\n\udcff', WHEN)

    assert line == f'{{"level":"error","msg":"a \\"b\\"\\n\\udcff","time":"{WHEN}"}}\n'
    assert list(json.loads(line)) == ["level", "msg", "time"]


def test_a_debug_json_line_names_its_place() -> None:
    line = json_line("debug", "x", WHEN, ("a.py:3", "f"))

    assert list(json.loads(line)) == ["file", "func", "level", "msg", "time"]


def test_the_time_is_rfc3339(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    try:
        for zone, offset in (("UTC0", "Z"), ("XXX-5:30", r"\+05:30"), ("XXX3", "-03:00")):
            monkeypatch.setenv("TZ", zone)
            time.tzset()
            assert re.fullmatch(rf"\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d{offset}", timestamp())
    finally:
        monkeypatch.undo()
        time.tzset()


def test_with_a_file_the_record_goes_there_and_the_bare_message_to_stderr(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "log"
    path.write_text("earlier\n")
    log = Log()
    log.configure(str(path), "json", debugging=False)
    try:
        log.debug("hidden")
        log.warning("careful")
        log.error("it failed")
    finally:
        os.close(log._fd)

    earlier, *lines = path.read_text().splitlines()
    records = [json.loads(line) for line in lines]
    assert earlier == "earlier"
    assert [(r["level"], r["msg"]) for r in records] == [
        ("warning", "careful"),
        ("error", "it failed"),
    ]
    assert capfd.readouterr() == ("", "it failed\n")


def test_debug_lines_never_reach_stderr_when_there_is_a_file(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    log = Log()
    log.configure(str(tmp_path / "log"), "text", debugging=True)
    try:
        log.debug("step")
    finally:
        os.close(log._fd)

    assert "level=debug msg=step" in (tmp_path / "log").read_text()
    assert capfd.readouterr() == ("", "")


def test_without_a_file_lines_go_to_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    log = Log()
    log.configure("", "text", debugging=True)
    log.debug("step")
    log.error("it failed")

    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("it failed") == 1
    assert "level=debug msg=step" in err


def test_the_file_is_made_readable_for_engines(tmp_path: Path) -> None:
    mask = os.umask(0o022)
    try:
        log = Log()
        log.configure(str(tmp_path / "log"), "text", debugging=False)
        os.close(log._fd)
    finally:
        os.umask(mask)

    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o644


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(CrecheError, match="invalid log-format: xml"):
        Log().configure("", "xml", debugging=False)


def test_a_file_that_cannot_be_opened_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CrecheError, match="no such file or directory"):
        Log().configure(str(tmp_path / "no" / "log"), "text", debugging=False)


def test_nobody_at_the_other_end_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Neither stderr nor the log file can be written: an error is still no exception."""

    def refuse(fd: int, text: str) -> None:
        raise BrokenPipeError

    monkeypatch.setattr("runtime.cli.log.write_all", refuse)
    log = Log()
    log.configure(str(tmp_path / "log"), "text", debugging=False)
    log.error("x")
    log.bare_error("x")
