"""What goes to CRIU and what comes back, as protocol buffers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.criu.messages import DUMP, NOTIFY, RESTORE, VERSION, Answer, notified, request
from runtime.criu.swrk import errors_of
from runtime.criu.wire import WireError, decode, encode, signed, varint


@pytest.mark.parametrize(
    ("number", "data"),
    [(0, b"\0"), (1, b"\1"), (127, b"\x7f"), (300, b"\xac\x02"), (-1, b"\xff" * 9 + b"\x01")],
)
def test_numbers(number: int, data: bytes) -> None:
    """The documentation's own example among them."""
    assert varint(number) == data


def test_a_message_of_the_documentation() -> None:
    assert encode([(1, 150)]) == b"\x08\x96\x01"
    assert encode([(2, "testing")]) == b"\x12\x07testing"
    assert encode([(3, encode([(1, 150)]))]) == b"\x1a\x03\x08\x96\x01"


@given(st.lists(st.tuples(st.integers(1, 500), st.integers(-(2**63), 2**63 - 1) | st.binary())))
def test_what_is_written_can_be_read(fields: list[tuple[int, int | bytes]]) -> None:
    """Of a repeated field the last."""
    found = decode(encode(fields))
    expected = dict(fields)

    assert {n: signed(v) if isinstance(v, int) else v for n, v in found.items()} == expected


@given(st.binary(max_size=64))
def test_whatever_comes_is_a_message_or_an_error(data: bytes) -> None:
    try:
        Answer(data)
    except WireError:
        pass


def test_a_request() -> None:
    data = request(DUMP, {"images_dir_fd": 5, "ext_mnt": [("/a", "/b")], "leave_running": True})

    fields = decode(data)
    assert fields[1] == DUMP
    options = fields[2]
    assert isinstance(options, bytes)
    assert decode(options) == {1: 5, 23: encode([(1, "/a"), (2, "/b")]), 3: 1}


def test_answers() -> None:
    script = Answer(encode([(1, NOTIFY), (2, True), (5, encode([(1, "post-restore"), (2, 42)]))]))
    assert (script.kind, script.success, script.script, script.pid) == (
        NOTIFY, True, "post-restore", 42,
    )  # fmt: skip
    assert Answer(encode([(1, RESTORE), (2, True), (4, encode([(1, 7)]))])).pid == 7
    version = Answer(encode([(1, VERSION), (2, True), (10, encode([(1, 3), (2, 17), (4, 1)]))]))
    assert version.version == 31701
    failed = Answer(encode([(1, DUMP), (2, False), (7, -22), (9, "because")]))
    assert (failed.success, failed.errno, failed.text) == (False, 22, "because")
    assert decode(notified()) == {1: NOTIFY, 3: 1}


def test_the_log_tells_why(tmp_path: object) -> None:
    path = f"{tmp_path}/dump.log"
    with open(path, "w") as file:
        file.write("(00.1) fine\n(00.2) Error (criu/x.c:1): no way\nError (criu/y.c:2): at all\n")

    assert errors_of(path) == ["(criu/x.c:1): no way", "(criu/y.c:2): at all"]
    assert errors_of(path + ".not") == []
