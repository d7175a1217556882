"""Protocol buffers, as much as CRIU's requests and answers need: numbers, texts and messages. Pure.

Source: "Encoding" in the documentation of protocol buffers. A message is a list of pairs, so that a
field may be repeated: (field number, int | bool | str | bytes).
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TypeAlias

    Field: TypeAlias = tuple[int, "int | bool | str | bytes"]

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class WireError(ValueError):
    """Bytes that are no message."""


def varint(number: int) -> bytes:
    """A number, seven bits a byte; a negative one as 64 bits in two's complement."""
    number &= 2**64 - 1
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def encode(fields: Iterable[Field]) -> bytes:
    """The message; what is nested is encoded already and given as bytes."""
    out = bytearray()
    for number, value in fields:
        if isinstance(value, int):
            out += varint(number << 3 | _VARINT) + varint(int(value))
        else:
            data = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
            out += varint(number << 3 | _BYTES) + varint(len(data)) + data
    return bytes(out)


def decode(data: bytes) -> dict[int, int | bytes]:
    """Field number -> value; of a repeated field the last. Raises WireError."""
    found: dict[int, int | bytes] = {}
    at = 0
    while at < len(data):
        key, at = _read_varint(data, at)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            found[number], at = _read_varint(data, at)
            continue
        if kind == _BYTES:
            size, at = _read_varint(data, at)
        elif kind in (_FIXED32, _FIXED64):
            size = 4 if kind == _FIXED32 else 8
        else:
            raise WireError(f"unknown wire type {kind}")
        if at + size > len(data):
            raise WireError("cut off")
        found[number] = data[at : at + size]
        at += size
    return found


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    number = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise WireError("cut off")
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number & (2**64 - 1), at
    raise WireError("a number of more than ten bytes")


def signed(number: int) -> int:
    """A 64 bit number as read, with its sign."""
    return number - 2**64 if number >= 2**63 else number
