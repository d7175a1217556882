"""The conversation with init does not trust the other side."""

from __future__ import annotations

import array
import os
import socket
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.channel import MAX_FDS, MAX_MESSAGE, Channel, ProtocolError, pair, read_document
from runtime.errors import CrecheError


@pytest.fixture
def ends() -> Iterator[tuple[Channel, Channel]]:
    """Give both ends: ours, and theirs, which may say anything."""
    ours, theirs = pair()
    yield ours, theirs
    ours.close()
    theirs.close()


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_a_message_with_descriptors_arrives(ends: tuple[Channel, Channel]) -> None:
    ours, theirs = ends
    theirs.send({"type": "console"}, [0, 1])
    received = ours.receive()

    assert received is not None
    message, fds = received
    assert message == {"type": "console"}
    assert [os.get_inheritable(fd) for fd in fds] == [False, False]
    for fd in fds:
        os.close(fd)


def test_a_document_may_be_longer_than_any_message(ends: tuple[Channel, Channel]) -> None:
    ours, theirs = ends
    document: dict[str, object] = {"annotations": {"x": "y" * (4 << 20), "\udcff": "\udcfe"}}
    before = descriptors()
    ours.send({"type": "start"}, document=document)
    received = theirs.receive()

    assert received is not None
    assert read_document(received[1]) == document
    assert descriptors() == before


def test_without_a_document_there_is_an_empty_one() -> None:
    assert read_document([]) == {}


HOSTILE = [b"{", b"[]", b"{}", b'{"type": 7}', b"\xff\xfe", b"[" * 1000, b'{"type": NaN}']


@pytest.mark.parametrize("data", HOSTILE)
def test_what_is_no_message_is_refused_and_its_descriptors_closed(
    ends: tuple[Channel, Channel], data: bytes
) -> None:
    ours, theirs = ends
    before = descriptors()
    theirs.sock.sendmsg(
        [data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0, 1, 2]).tobytes())]
    )
    with pytest.raises(CrecheError):
        ours.receive()

    assert descriptors() == before


def test_more_than_fits_is_refused(ends: tuple[Channel, Channel]) -> None:
    ours, theirs = ends
    before = descriptors()
    theirs.sock.send(b'{"type": "' + b"x" * MAX_MESSAGE + b'"}')
    with pytest.raises(ProtocolError, match="cut off"):
        ours.receive()
    many = array.array("i", [0] * (MAX_FDS + 1)).tobytes()
    theirs.sock.sendmsg([b'{"type": "x"}'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, many)])
    with pytest.raises(ProtocolError, match="cut off"):
        ours.receive()

    assert descriptors() == before


@given(st.binary(min_size=1, max_size=200))
def test_any_bytes(data: bytes) -> None:
    ours, theirs = pair()
    try:
        theirs.sock.send(data)
        try:
            received = ours.receive()
        except CrecheError:
            return
        assert received is not None
        assert isinstance(received[0]["type"], str)
    finally:
        ours.close()
        theirs.close()


def test_last_words_are_heard_of_one_who_did_not_listen() -> None:
    """The kernel reports once that something was left unread, before what is there to be read."""
    one, other = pair()
    other.send({"type": "error"})
    one.send({"type": "go"})
    other.close()

    assert one.receive() == ({"type": "error"}, [])
    assert one.receive() is None
    one.close()
