"""supervisor/output/lines.py and limit.py: records, and how many."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from supervisor.output.limit import Bucket
from supervisor.output.lines import LONGEST, Splitter, record, timestamp

CHUNKS = st.lists(st.binary(max_size=200), max_size=20)


def split(*chunks: bytes) -> list[str]:
    """All lines of a stream."""
    splitter = Splitter()
    lines = [line for chunk in chunks for line in splitter.feed(chunk)]
    return lines + splitter.rest()


def test_lines_across_chunks() -> None:
    """Wherever they are cut; the last one needs no newline."""
    assert split(b"on", b"e\ntwo\n\nth", b"", b"ree") == ["one", "two", "", "three"]


def test_hostile_bytes() -> None:
    """One printable line each: no escape sequence, no forged record, tabs stay."""
    forged = record(timestamp(0), "stderr", "all is well").encode()
    found = split(b"\x1b[2Jx\0y\r" + forged + b"\xff\xe2\x80\xae\n", b"a\tb\r\n")

    assert found == [
        "\\x1b[2Jx\\x00y\\r1970-01-01T00:00:00.000000Z stderr all is well\\xff\\u202e",
        "a\tb",
    ]


def test_an_endless_line() -> None:
    """It is cut, and says by how much; the next one is whole."""
    chunks = [b"x" * 65536] * 100

    assert split(*chunks, b"\nnext\n") == [
        "x" * LONGEST + f" [{6553600 - LONGEST} bytes more]",
        "next",
    ]
    assert split(b"a\n" + b"y" * (LONGEST + 1) + b"\n")[1].endswith("y [1 bytes more]")


@given(CHUNKS)
def test_chunks_do_not_matter(chunks: list[bytes]) -> None:
    """The same bytes make the same lines."""
    assert split(*chunks) == split(b"".join(chunks))


@given(CHUNKS)
def test_whatever_comes(chunks: list[bytes]) -> None:
    """One line for each that was written, printable but for tabs."""
    data = b"".join(chunks)
    lines = split(*chunks)

    assert len(lines) == data.count(b"\n") + (0 if data.endswith(b"\n") or not data else 1)
    assert all(line.replace("\t", "").isprintable() for line in lines)


@given(CHUNKS, CHUNKS)
def test_skipped_lines_are_counted(before: list[bytes], skipped: list[bytes]) -> None:
    """What is skipped and what is not make all there is."""
    splitter = Splitter()
    count = sum(len(splitter.feed(chunk)) for chunk in before)
    count += sum(splitter.skip(chunk) for chunk in skipped)

    assert count == b"".join(before + skipped).count(b"\n")


def test_timestamps() -> None:
    """RFC 3339."""
    assert re.fullmatch(r"2001-09-09T01:46:40\.250000Z", timestamp(1_000_000_000.25))


def test_the_bucket() -> None:
    """A burst, then as fast as it is refilled."""
    bucket = Bucket(10, now=0, burst=2)

    assert bucket.take(15, 0)
    assert bucket.take(15, 0)  # overdrawn by ten
    assert not bucket.take(1, 0.5)
    assert 0.5 < bucket.wait(0.5) <= 0.7
    assert bucket.take(1, 1.2)
    assert bucket.wait(100) == 0
    assert Bucket(None, 0).take(10**9, 0)


@given(st.lists(st.tuples(st.floats(0, 10), st.integers(1, 50)), max_size=50))
def test_the_bucket_keeps_its_rate(events: list[tuple[float, int]]) -> None:
    """Never more than burst, rate times time, and one overdraft."""
    bucket = Bucket(10, now=0, burst=2)
    now = 0.0
    taken = 0
    for step, amount in events:
        now += step
        if bucket.take(amount, now):
            taken += amount
        assert taken <= 20 + 10 * now + 50
