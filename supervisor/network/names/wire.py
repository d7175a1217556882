"""DNS messages, as far as somebody needs them who answers for a few names (RFC 1035, RFC 6891).

A query has one question, whose name nothing could be compressed in; an answer's names point to the
question's. What is passed on is passed on as it is. So there are no pointers to follow, and what a
hostile query can cost is known. Pure.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address

MOST_QUERY = 1232
"""Bytes; a question takes 255 at most, and the rest is options (RFC 7830 pads to 128 or 468)."""
PLAIN = 512
"""Bytes that everybody takes over UDP (RFC 1035, 4.2.1)."""
MOST_UDP = 1232
"""Bytes that are not fragmented anywhere (dnsflagday.net/2020)."""
LONGEST_NAME, LONGEST_LABEL = 255, 63

_HEADER = struct.Struct("!HHHHHH")
_TWO = struct.Struct("!HH")
_RECORD = struct.Struct("!HHHIH")
_OPTIONS = struct.Struct("!BHHIH")
_LABEL = re.compile(rb"[A-Za-z0-9_-]+")
_QR, _OPCODE, _AA, _TC, _RD, _RA, _CD = 0x8000, 0x7800, 0x400, 0x200, 0x100, 0x80, 0x10
_TO_QUESTION = 0xC000 | _HEADER.size
IN = 1


class Kind(IntEnum):
    """Of records that are answered with; a query may ask for any other."""

    A = 1
    SOA = 6
    PTR = 12
    AAAA = 28
    OPT = 41
    ANY = 255


class Code(IntEnum):
    """How a query went."""

    NOERROR = 0
    FORMERR = 1
    SERVFAIL = 2
    NXDOMAIN = 3
    NOTIMP = 4
    REFUSED = 5


class NoQueryError(ValueError):
    """It is none: nobody waits for an answer, or nobody should get one."""


@dataclass(frozen=True, slots=True)
class Query:
    """`code` is not NOERROR if it is wrong already; then only `id` and `flags` are of use.

    `name`: in small letters, without the last dot; "" for the root, and for what is no text.
    `question`: as it came. `size`: bytes that the asker takes over UDP; `options`: it sent some.
    """

    id: int
    flags: int
    code: Code = Code.NOERROR
    name: str = ""
    kind: int = 0
    group: int = IN
    question: bytes = b""
    size: int = PLAIN
    options: bool = False


def read(data: bytes) -> Query:
    """A query. Raises NoQueryError."""
    if len(data) < _HEADER.size:
        raise NoQueryError("too short")
    number, flags, questions, answers, authorities, more = _HEADER.unpack_from(data)
    if flags & _QR:
        raise NoQueryError("it is an answer")  # or two responders could keep each other busy
    if flags & _OPCODE:
        return Query(number, flags, Code.NOTIMP)
    if questions != 1 or answers or authorities or len(data) > MOST_QUERY:
        return Query(number, flags, Code.FORMERR)
    labels = []
    at = _HEADER.size
    while True:
        length = data[at] if at < len(data) else LONGEST_LABEL + 1
        end = at + 1 + length
        # Also what would be a pointer: nothing is there yet that it could lead to.
        if length > LONGEST_LABEL or end > len(data) or end - _HEADER.size > LONGEST_NAME:
            return Query(number, flags, Code.FORMERR)
        if not length:
            break
        labels.append(data[at + 1 : end])
        at = end
    if end + _TWO.size > len(data):
        return Query(number, flags, Code.FORMERR)
    kind, group = _TWO.unpack_from(data, end)
    end += _TWO.size
    size, options = _options(data[end:]) if more else (PLAIN, False)
    question = data[_HEADER.size : end]
    return Query(number, flags, Code.NOERROR, _text(labels), kind, group, question, size, options)


def _text(labels: Sequence[bytes]) -> str:
    """Of a name; "" if it has what no workload's name has, such as dots within labels."""
    if all(_LABEL.fullmatch(label) for label in labels):
        return b".".join(labels).decode("ascii").lower()
    return ""


def _options(rest: bytes) -> tuple[int, bool]:
    """Of an OPT record, if that is what comes first."""
    if len(rest) < _OPTIONS.size:
        return PLAIN, False
    root, kind, size, _, _ = _OPTIONS.unpack_from(rest)
    if root or kind != Kind.OPT:
        return PLAIN, False
    return min(max(size, PLAIN), MOST_UDP), True


@dataclass(frozen=True, slots=True)
class Answer:
    """What is said: `data` about the question's name; `zone`: there is nothing more in it.

    Names in here have no last dot. `own`: we are who knows.
    """

    code: Code = Code.NOERROR
    data: tuple[IPv4Address | IPv6Address | str, ...] = ()
    zone: str = ""
    own: bool = False


def write(query: Query, answer: Answer, limit: int, recursive: bool = False) -> bytes:
    """The message that answers; with no records if they take more than `limit` bytes (TC)."""
    flags = _QR | (query.flags & (_OPCODE | _RD | _CD)) | answer.code
    flags |= (_AA if answer.own else 0) | (_RA if recursive else 0)
    records = [_record(each) for each in answer.data]
    authority = [_soa(answer.zone)] if answer.zone and not records else []
    options = [_OPTIONS.pack(0, Kind.OPT, MOST_UDP, 0, 0)] if query.options else []
    size = _HEADER.size + sum(map(len, [query.question, *records, *authority, *options]))
    if size > limit:
        flags |= _TC
        records, authority = [], []
    counts = (1 if query.question else 0, len(records), len(authority), len(options))
    head = _HEADER.pack(query.id, flags, *counts)
    return b"".join([head, query.question, *records, *authority, *options])


def _record(data: IPv4Address | IPv6Address | str) -> bytes:
    if isinstance(data, str):
        kind, packed = Kind.PTR, encode(data)
    else:
        kind, packed = (Kind.A if data.version == 4 else Kind.AAAA), data.packed
    # Not to be remembered: a workload's address may be another one's a moment later.
    return _RECORD.pack(_TO_QUESTION, kind, IN, 0, len(packed)) + packed


def _soa(zone: str) -> bytes:
    """That there is no such record; nor is that to be remembered (RFC 2308)."""
    name = encode(zone)
    data = name + encode("hostmaster." + zone) + struct.pack("!IIIII", 1, 3600, 600, 86400, 0)
    return name + _RECORD.pack(0, Kind.SOA, IN, 0, len(data))[2:] + data


def encode(name: str) -> bytes:
    """A name in its own bytes. Raises ValueError if it is too long to be one."""
    labels = [label.encode("ascii") for label in name.split(".")] if name else []
    if any(not 0 < len(label) <= LONGEST_LABEL for label in labels):
        raise ValueError(name)
    made = b"".join(bytes((len(label),)) + label for label in labels) + b"\0"
    if len(made) > LONGEST_NAME:
        raise ValueError(name)
    return made


def passed_on(query: bytes, number: int) -> bytes:
    """The same query under another number."""
    return number.to_bytes(2, "big") + query[2:]


def is_answer(data: bytes, query: Query, number: int) -> bool:
    """Whether it answers `query`, asked under that number: what does not is somebody else's."""
    if len(data) < _HEADER.size:
        return False
    found, flags, *_ = _HEADER.unpack_from(data)
    same = data[_HEADER.size : _HEADER.size + len(query.question)] == query.question
    return found == number and bool(flags & _QR) and same
