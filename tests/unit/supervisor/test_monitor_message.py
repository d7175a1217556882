"""supervisor/monitor/message.py: which words of a container are believed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.monitor.message import LONGEST_STATUS, Message, parse
from supervisor.monitor.types import Signal


@pytest.mark.parametrize(
    ("data", "signals"),
    [
        (b"READY=1", [(Signal.READY, "")]),
        (b"READY=1\nSTATUS=up\n", [(Signal.READY, ""), (Signal.STATUS, "up")]),
        (b"READY=0", []),
        (b"READY=1 ", []),
        (b"RELOADING=1\nMONOTONIC_USEC=5", [(Signal.RELOADING, "")]),
        (b"STOPPING=1", [(Signal.STOPPING, "")]),
        (b"ERRNO=2", [(Signal.STATUS, "error number 2")]),
        (b"ERRNO=-2", []),
        (b"EXTEND_TIMEOUT_USEC=250000", [(Signal.EXTEND, "250000")]),
        (b"EXTEND_TIMEOUT_USEC=18446744073709551615", [(Signal.EXTEND, "3600000000")]),
        (b"EXTEND_TIMEOUT_USEC=" + b"9" * 4000, []),
        (b"EXTEND_TIMEOUT_USEC=\xd9\xa1", []),
        (b"MAINPID=1", []),
        (b"FDSTORE=1\nFDNAME=x\nFDSTOREREMOVE=1", []),
        (b"BARRIER=1", []),
        (b"STATUS=\x1b[2J\rfake", [(Signal.STATUS, "\\x1b[2J\\rfake")]),
        (b"", []),
        (b"\0\0\0", []),
    ],
)
def test_words(data: bytes, signals: list[tuple[Signal, str]]) -> None:
    """Progress is understood, the rest passed over; a status is printable."""
    assert list(parse(data).signals) == signals


def test_the_watchdog() -> None:
    """A sign of life, a call for help, another interval."""
    assert parse(b"WATCHDOG=1") == Message(alive=True)
    assert parse(b"WATCHDOG=trigger") == Message(trigger=True)
    assert parse(b"WATCHDOG_USEC=20000000") == Message(interval=20_000_000)
    assert parse(b"WATCHDOG_USEC=0") == Message()
    assert parse(b"WATCHDOG_USEC=99999999999999") == Message()


@given(st.binary(max_size=4096))
def test_whatever_comes(data: bytes) -> None:
    """There is an answer, it is printable, and bounded."""
    for _, text in parse(data).signals:
        assert text.isprintable()
        assert len(text) <= LONGEST_STATUS
