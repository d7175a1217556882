"""JSON in and out, strict and cheap.

Reading uses the C scanner behind the standard `json` module without importing that module, which
would bring `re` and `enum` along: several milliseconds that every container start would pay. Only
a syntax error makes the scanner import it, for the position.

Stricter than `json` (RFC 8259 allows a reader to refuse all of these): NaN and infinities,
duplicate keys, lone surrogates, a byte order mark, numbers of absurd length, documents that are
too deep or too large. A `ConfigError` says where: by line and column for text that is no JSON, by
JSON path for JSON that is refused.
"""

from __future__ import annotations

import _json

from runtime.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import NoReturn

MAX_SIZE = 16 << 20  # bytes; Kubernetes caps a whole pod at 1.5 MiB
MAX_DEPTH = 128  # arrays and objects within one another; a config.json needs 8
_MAX_DIGITS = 20  # of an integer: 18446744073709551615 has 20
_MAX_FLOAT = 64  # characters of a number with fraction or exponent
_SPACE = " \t\n\r"


class _Fault:
    """Stands in the parsed tree for a value that is refused, so that its path can be told."""

    __slots__ = ("message", "name")

    def __init__(self, message: str, name: str | None = None) -> None:
        self.message = message
        self.name = name  # the duplicate key within the object


class _Reader:
    """What `_json.make_scanner` takes its settings from; one for each document."""

    __slots__ = ("faults",)
    strict = True  # no control characters within strings
    object_hook = None

    def __init__(self) -> None:
        self.faults: list[_Fault] = []

    def _fault(self, message: str, name: str | None = None) -> _Fault:
        fault = _Fault(message, name)
        self.faults.append(fault)
        return fault

    def object_pairs_hook(self, pairs: list[tuple[str, object]]) -> object:
        result = dict(pairs)
        if len(result) == len(pairs):
            return result
        seen = set()
        for key, _ in pairs:
            if key in seen:
                return self._fault("the key is given twice", key)
            seen.add(key)
        return result  # unreachable: fewer entries than pairs means that one was met again

    def parse_int(self, text: str) -> object:
        # Longer ones make int() slow, and beyond 4300 digits a ValueError.
        digits = len(text) - text.startswith("-")
        if digits > _MAX_DIGITS:
            return self._fault(f"expected a number of at most 20 digits, found one of {digits}")
        return int(text)

    def parse_float(self, text: str) -> object:
        value = float(text) if len(text) <= _MAX_FLOAT else float("inf")
        if value in (float("inf"), float("-inf")):
            return self._fault(f"expected a number that fits 64 bits, found {quote(text, 24)}")
        return value

    def parse_constant(self, text: str) -> object:
        return self._fault(f"expected a number, found {text}, which is not JSON")


def loads(data: bytes | str, max_size: int = MAX_SIZE, max_depth: int = MAX_DEPTH) -> object:
    """Parse one JSON document.

    data: bytes must be UTF-8. A str is trusted to be decoded already; raw surrogates in it (from
    `surrogateescape`) are refused only where the text also has an escaped one.
    max_size: in bytes (characters for a str); max_depth: of nesting.
    Raises ConfigError; its path is "" for text that is not JSON.
    """
    if len(data) > max_size:
        raise ConfigError("", f"expected at most {max_size} bytes, found {len(data)}")
    text = data if isinstance(data, str) else _decode(data)
    if text.startswith("\ufeff"):
        raise ConfigError("", "not valid JSON: begins with a byte order mark (line 1 column 1)")
    start = _skip(text, 0)
    reader = _Reader()
    try:
        value, end = _scan(reader, text, start)
    except StopIteration as stop:
        _syntax(text, stop.value, "expected a value")
    except RecursionError:
        raise _deep(max_depth) from None
    except ValueError as error:
        _syntax(text, getattr(error, "pos", 0), str(getattr(error, "msg", error)))
    except ImportError:
        # The scanner could not import json.decoder for its exception: the import system has been
        # emptied, as it is in a container's init.
        raise ConfigError("", "not valid JSON") from None
    end = _skip(text, end)
    if end != len(text):
        _syntax(text, end, "expected the end, found more text")
    if reader.faults:
        _refuse(value, reader.faults[0])
    if text.count("[") + text.count("{") > max_depth and _deeper(value, max_depth):
        raise _deep(max_depth)
    # Bytes that are valid UTF-8 hold no surrogate: only an escape (\ud800) can bring one in.
    if "\\ud" in text or "\\uD" in text:
        _check_surrogates(value)
    return value


def _scan(reader: _Reader, text: str, start: int) -> tuple[object, int]:
    scanner = _json.make_scanner(reader)  # type: ignore[arg-type]
    try:
        return scanner(text, start)
    except SystemError:
        # Before Python 3.12 the scanner raises json.decoder.JSONDecodeError only if that module
        # has been imported, and fails without an exception if not.
        import json.decoder  # noqa: F401

        return scanner(text, start)


def _decode(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8")
        raise ConfigError(
            "", f"not valid UTF-8: byte 0x{data[error.start]:02x} at {_position(before)}"
        ) from None


def _skip(text: str, index: int) -> int:
    end = len(text)
    while index < end and text[index] in _SPACE:
        index += 1
    return index


def _position(before: str) -> str:
    """Line and column, both from 1, of the character that follows `before`."""
    column = len(before) - before.rfind("\n")
    return f"line {before.count(chr(10)) + 1} column {column}"


def _syntax(text: str, index: int, message: str) -> NoReturn:
    """Raise for text that is not JSON, in the same words whatever the version of Python.

    3.13 began to tell a trailing comma apart, at the comma; earlier ones point behind it.
    """
    message = message.removesuffix(" starting at").removesuffix(" at").removesuffix(":")
    message = message[:1].lower() + message[1:]
    message = message.replace("expecting", "expected").replace(" enclosed in", " in")
    comma = len(text[:index].rstrip(_SPACE)) - 1
    if text[index : index + 1] in ("}", "]") and comma >= 0 and text[comma] == ",":
        index, message = comma, "trailing comma"
    elif "trailing comma" in message:
        message = "trailing comma"
    elif index >= len(text):
        message += ", found the end of the text"
    raise ConfigError("", f"not valid JSON: {message} ({_position(text[:index])})")


def _deep(max_depth: int) -> ConfigError:
    return ConfigError("", f"expected at most {max_depth} levels of nesting, found more")


def _deeper(value: object, limit: int) -> bool:
    level = [value]
    for _ in range(limit):
        below: list[object] = []
        for item in level:
            if isinstance(item, dict):
                below.extend(x for x in item.values() if isinstance(x, (dict, list)))
            elif isinstance(item, list):
                below.extend(x for x in item if isinstance(x, (dict, list)))
        if not below:
            return False
        level = below
    return True


def walk(value: object) -> Iterable[tuple[tuple[str | int, ...], object]]:
    """Every value of a document with the keys that lead to it, in document order."""
    stack: list[tuple[tuple[str | int, ...], object]] = [((), value)]
    while stack:
        keys, item = stack.pop()
        yield keys, item
        if isinstance(item, dict):
            stack.extend(((*keys, key), x) for key, x in reversed(item.items()))
        elif isinstance(item, list):
            stack.extend(((*keys, i), item[i]) for i in range(len(item) - 1, -1, -1))


def _refuse(value: object, first: _Fault) -> NoReturn:
    for keys, item in walk(value):
        if isinstance(item, _Fault):
            where = keys if item.name is None else (*keys, item.name)
            raise ConfigError(join_path(where), item.message)
    # It stood in an object that has a duplicate key and was dropped with it.
    raise ConfigError("", first.message)


def _check_surrogates(value: object) -> None:
    for keys, item in walk(value):
        strings = [item] if isinstance(item, str) else list(item) if isinstance(item, dict) else ()
        for text in strings:
            try:
                text.encode("utf-8")
            except UnicodeEncodeError as error:
                raise ConfigError(
                    join_path(keys),
                    f"expected Unicode text, found the lone surrogate {ord(text[error.start]):#x}",
                ) from None


def quote(text: str, limit: int = 64) -> str:
    """`text` in double quotes for a message on one line: escaped if need be, and cut short."""
    if len(text) > limit:
        text = text[: limit - 1] + "\u2026"
    encode = _json.encode_basestring if text.isprintable() else _json.encode_basestring_ascii
    return encode(text)


def join_path(keys: Iterable[str | int]) -> str:
    """The JSON path as messages show it: `mounts[3].source`, `linux.sysctl["net.core.x"]`."""
    path = ""
    for key in keys:
        if isinstance(key, int):
            path += f"[{key}]"
        elif key.replace("_", "").replace("-", "").isalnum() and key.isascii() and len(key) <= 64:
            path += f".{key}" if path else key
        else:
            path += f"[{quote(key)}]"
    return path


def _default(value: object) -> NoReturn:
    raise TypeError(f"no JSON form for {type(value).__name__}")


def dumps(value: object, indent: str | None = None, sort_keys: bool = False) -> str:
    """The JSON text of str, int, float, bool, None, dict (str keys), list and tuple.

    Text stays as it is but for what JSON requires to be escaped, raw surrogates included: encode
    the result with `surrogateescape` where those can occur. indent: one level's white space, or
    None for one line without blanks. Layout as Go's json.MarshalIndent. Raises TypeError, and
    ValueError for NaN and infinities.
    """
    if indent is not None:
        return _indented(value, indent, "\n", sort_keys)
    encoder = _json.make_encoder(
        None, _default, _json.encode_basestring, None, ":", ",", sort_keys, False, False
    )
    return "".join(encoder(value, 0))


def _indented(value: object, indent: str, margin: str, sort_keys: bool) -> str:
    inner = margin + indent
    if isinstance(value, dict) and value:
        items = sorted(value.items()) if sort_keys else value.items()
        body = ("," + inner).join(
            f"{_json.encode_basestring(k)}: {_indented(v, indent, inner, sort_keys)}"
            for k, v in items
        )
        return "{" + inner + body + margin + "}"
    if isinstance(value, (list, tuple)) and value:
        body = ("," + inner).join(_indented(v, indent, inner, sort_keys) for v in value)
        return "[" + inner + body + margin + "]"
    return dumps(value)
