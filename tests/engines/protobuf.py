"""As much of protobuf's encoding as the calls of the tests need: numbers, strings, messages.

https://protobuf.dev/programming-guides/encoding: each field is a key (number and wire type) and a
value; a message within a message is a string of bytes. A Schema names a message's fields.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


@dataclass(frozen=True)
class Field:
    """One field: its number, "int", "text", "bytes" or the schema of a message, and how often."""

    number: int
    kind: str | Mapping[str, Field] = "text"
    repeated: bool = False


Schema = Mapping[str, Field]


def mapping(number: int) -> Field:
    """Return a field of type map<string, string>, as its list of entries."""
    return Field(number, {"key": Field(1), "value": Field(2)}, repeated=True)


def encode(schema: Schema, message: Mapping[str, Any]) -> bytes:
    """Encode a message; a name that the schema lacks is a KeyError."""
    encoded = bytearray()
    for name, value in message.items():
        field = schema[name]
        if field.repeated and isinstance(value, Mapping):
            value = [{"key": key, "value": text} for key, text in value.items()]
        for one in value if field.repeated else [value]:
            encoded += _encode_field(field, one)
    return bytes(encoded)


def _encode_field(field: Field, value: Any) -> bytes:
    if field.kind == "int":
        return _varint(field.number << 3 | _VARINT) + _varint(int(value))
    if isinstance(field.kind, Mapping):
        value = encode(field.kind, value)
    elif field.kind == "text":
        value = value.encode()
    return _varint(field.number << 3 | _BYTES) + _varint(len(value)) + bytes(value)


def decode(schema: Schema, data: bytes) -> dict[str, Any]:
    """Decode a message: every field of the schema, those not sent with their default."""
    message: dict[str, Any] = {}
    for name, field in schema.items():
        empty: Any
        if field.repeated:
            empty = []
        elif isinstance(field.kind, Mapping):
            empty = {}
        else:
            empty = {"int": 0, "text": "", "bytes": b""}[field.kind]
        message[name] = empty
    names = {field.number: name for name, field in schema.items()}
    for number, raw in _fields(data):
        if number not in names:
            continue
        name = names[number]
        field = schema[name]
        value: Any = raw
        if isinstance(field.kind, Mapping):
            assert isinstance(raw, bytes)
            value = decode(field.kind, raw)
        elif field.kind == "text":
            assert isinstance(raw, bytes)
            value = raw.decode()
        if field.repeated:
            message[name].append(value)
        else:
            message[name] = value
    return message


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    at = 0
    while at < len(data):
        key, at = _read_varint(data, at)
        kind = key & 7
        value: int | bytes
        if kind == _VARINT:
            value, at = _read_varint(data, at)
        else:
            length = {_FIXED64: 8, _FIXED32: 4}.get(kind, 0)
            if kind == _BYTES:
                length, at = _read_varint(data, at)
            value = data[at : at + length]
            at += length
        yield key >> 3, value


def _varint(number: int) -> bytes:
    number &= (1 << 64) - 1
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
        shift += 7
