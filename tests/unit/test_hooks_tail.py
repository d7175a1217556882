"""The bounded end of a hook's output, and how it is shown."""

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from hooks.tail import KEEP, Tail, printable, show


@given(st.lists(st.binary(max_size=40)), st.integers(min_value=1, max_value=64))
def test_keeps_exactly_the_end(chunks: list[bytes], limit: int) -> None:
    tail = Tail(limit)
    for chunk in chunks:
        tail.feed(chunk)
    whole = b"".join(chunks)

    assert tail.value() == whole[-limit:]
    assert tail.total == len(whole)


def test_one_endless_line_needs_bounded_memory() -> None:
    tail = Tail()
    chunk = b"x" * 65536
    tracemalloc.start()
    try:
        for _ in range(2048):
            tail.feed(chunk)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert tail.total == 2048 * 65536
    assert peak < 6 * KEEP


def test_trailing_newlines_are_not_shown() -> None:
    assert show(b"Hello World\n", 12) == "Hello World"
    assert show(b"a\nb\r\n\n", 6) == "a\\nb"
    assert show(b"", 0) == ""


def test_what_was_left_out_is_counted() -> None:
    assert show(b"abcdef", 6, limit=4) == "[2 earlier bytes left out] cdef"
    assert show(b"abcdef\n", 107, limit=100) == "[100 earlier bytes left out] abcdef"


def test_does_not_begin_inside_a_character() -> None:
    data = "aé".encode()

    assert show(data, len(data), limit=1) == "[3 earlier bytes left out] "


def test_hostile_bytes_are_escaped() -> None:
    assert printable(b"\x1b[31mred\x00\r\n\t") == "\\x1b[31mred\\x00\\r\\n\\t"
    assert printable(b"\xff\xfe ok") == "\\xff\\xfe ok"
    assert printable("\u202eevil\u200b".encode()) == "\\u202eevil\\u200b"
    assert printable("\U000e0001".encode()) == "\\U000e0001"
    assert printable("grüße, 世界".encode()) == "grüße, 世界"


@given(st.binary())
def test_whatever_comes_is_one_printable_line(data: bytes) -> None:
    assert show(data, len(data)).isprintable()
