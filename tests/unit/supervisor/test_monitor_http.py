"""supervisor/monitor/http.py: one question, the first line of the answer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.monitor.http import LONGEST_LINE, NotHttp, is_path, request, status


def test_the_question() -> None:
    """A whole request; an IPv6 address has brackets."""
    assert request("127.0.0.1", 80, "/x?y=1").startswith(
        b"GET /x?y=1 HTTP/1.1\r\nHost: 127.0.0.1:80\r\n"
    )
    assert b"\r\nHost: [::1]:8080\r\n" in request("::1", 8080, "/")
    assert request("::1", 80, "/").endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("received", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\n", 200),
        (b"HTTP/1.0 404\r\nLocation: x", 404),
        (b"HTTP/1.1 302 Found\nLocation: http://elsewhere/", 302),
        (b"HTTP/1.1 200", None),
        (b"", None),
    ],
)
def test_the_answer(received: bytes, expected: int | None) -> None:
    """The status, once its line is whole."""
    assert status(received) == expected


@pytest.mark.parametrize(
    "received", [b"SSH-2.0-x\r\n", b"HTTP/2 200\n", b"HTTP/1.1 99 x\n", b"\n", b"x" * LONGEST_LINE]
)
def test_no_answer(received: bytes) -> None:
    """Something else listens there, or it goes on for ever."""
    with pytest.raises(NotHttp):
        status(received)


@given(st.binary(max_size=2000))
def test_whatever_comes(received: bytes) -> None:
    """A status, a wish for more of what is short, or a refusal."""
    try:
        found = status(received)
    except NotHttp:
        return
    assert found is not None or len(received) < LONGEST_LINE


def test_paths() -> None:
    """Nothing that could end the request line."""
    assert is_path("/a?b=c%20d")
    assert not is_path("a")
    assert not is_path("/a b")
    assert not is_path("/a\r\nX: y")
    assert not is_path("/\N{LATIN SMALL LETTER E WITH ACUTE}")
