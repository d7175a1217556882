"""JSON schemas: for what is sent, out of the dataclasses; for parameters, to check them by."""

from __future__ import annotations

import dataclasses
import enum
import inspect
import re
import types
import typing
from collections.abc import Mapping
from typing import Any

from supervisor.control.request import Refused

Schema = dict[str, Any]

_SIMPLE: dict[type, str] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    type(None): "null",
}


def of_type(kind: Any) -> Schema:
    """The schema of what `plain` makes of a value of this type (a dataclass, or of such parts)."""
    if kind in _SIMPLE:
        return {"type": _SIMPLE[kind]}
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        fields = {field.name: of_type(hints[field.name]) for field in dataclasses.fields(kind)}
        meaning = {"description": inspect.cleandoc(kind.__doc__)} if kind.__doc__ else {}
        return {"type": "object", **meaning, "properties": fields, "required": list(fields)}
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return {"type": "string", "enum": [str(member.value) for member in kind]}
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return {"anyOf": [of_type(argument) for argument in arguments]}
    if origin in (list, tuple, set, frozenset):
        return {"type": "array", "items": of_type(arguments[0])}
    if origin is dict or origin is Mapping:
        return {"type": "object", "additionalProperties": of_type(arguments[1])}
    return {}


def plain(value: Any) -> Any:
    """Dataclasses, enums and tuples as JSON has them."""
    if dataclasses.is_dataclass(value):
        return {
            field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)
        }
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    return value


def read(name: str, text: str, schema: Schema) -> Any:
    """The value of a parameter. Raises Refused (400) with what was expected and found."""
    kind = schema["type"]
    problem = None
    value: Any = text
    if kind in ("integer", "number"):
        pattern = r"[0-9]{1,15}" if kind == "integer" else r"[0-9]{1,9}(\.[0-9]{1,9})?"
        if re.fullmatch(pattern, text, re.ASCII) is None:
            problem = "a whole number" if kind == "integer" else "a number"
        else:
            value = int(text) if kind == "integer" else float(text)
            if not schema.get("minimum", 0) <= value <= schema.get("maximum", value):
                problem = f"at most {schema['maximum']}"
    elif kind == "boolean":
        if text not in ("true", "false"):
            problem = "true or false"
        value = text == "true"
    elif "enum" in schema and text not in schema["enum"]:
        problem = "one of " + ", ".join(schema["enum"])
    elif "pattern" in schema and re.fullmatch(schema["pattern"].strip("^$"), text) is None:
        problem = f"something like {schema['pattern']}"
    if problem is not None:
        raise Refused(400, f"{name}: expected {problem}, found {text[:80]!r}")
    return value
