"""Events held against docs/events.schema.json: by every test that has some of a real creched."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping
from typing import Any

from jsonschema import Draft202012Validator

from supervisor import documents


def check(events: Iterable[Mapping[str, Any]]) -> None:
    """Raises ValidationError for the first that is not as the schema says."""
    for event in events:
        _validator(str(event.get("event"))).validate(event)


@functools.cache
def _validator(name: str) -> Draft202012Validator:
    """The schema with the one variant that can be meant: trying all takes long."""
    schema = json.loads(documents.events_schema())
    variants = [v for v in schema["oneOf"] if v["properties"]["event"]["const"] == name]
    own = set(schema["required"]) | {key for v in variants for key in v["required"]}
    # Others may be added one day, but not without being in the table.
    return Draft202012Validator(
        {**schema, "oneOf": variants or schema["oneOf"], "propertyNames": {"enum": sorted(own)}}
    )
