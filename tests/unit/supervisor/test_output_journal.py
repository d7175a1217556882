"""What journalctl answers, read."""

from __future__ import annotations

import json

from supervisor.output.journal import messages


def test_lines_of_this_run_alone() -> None:
    """By the clock that nobody sets; bytes that are no text are shown as well as can be."""
    entries = [
        {"__MONOTONIC_TIMESTAMP": "4999999", "MESSAGE": "of the run before"},
        {"__MONOTONIC_TIMESTAMP": "5000000", "MESSAGE": "first"},
        {"__MONOTONIC_TIMESTAMP": "5000001", "MESSAGE": [104, 105, 255]},
    ]
    output = b"".join(json.dumps(entry).encode() + b"\n" for entry in entries)

    assert messages(output, 5.0) == ["first", "hi\N{REPLACEMENT CHARACTER}"]
    assert messages(b"", 0.0) == []
