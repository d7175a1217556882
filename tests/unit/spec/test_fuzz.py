"""Whatever a config.json holds, the answer is a Spec or a ConfigError."""

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runtime.errors import ConfigError
from runtime.spec import default_spec, parse, parse_process, parse_resources, render
from tests.unit.spec.full import FULL

BASES = [json.loads(render(default_spec())), FULL]

values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([-1, 0, 1, 2**31, 2**32 - 1, 2**32, 2**63, 2**64 - 1, 2**64]),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["", "/", "..", "a\0b", "a\nb", "/" + "x" * 5000, "0-3,7", "-", "=", "1.0.0"]),
    st.lists(st.text(max_size=5) | st.integers() | st.none(), max_size=3),
    st.dictionaries(st.text(max_size=8), st.text(max_size=5) | st.integers(), max_size=3),
)


def places(value: Any, keys: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    result = [keys]
    if isinstance(value, dict):
        for key, item in value.items():
            result += places(item, (*keys, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            result += places(item, (*keys, index))
    return result


PLACES = [[keys for keys in places(base) if keys] for base in BASES]


@st.composite
def mutated(draw: st.DrawFn) -> Any:
    """A valid document with up to three values replaced, removed or doubled."""
    which = draw(st.integers(0, len(BASES) - 1))
    config = json.loads(json.dumps(BASES[which]))
    for _ in range(draw(st.integers(1, 3))):
        *parents, last = draw(st.sampled_from(PLACES[which]))
        here = config
        try:
            for key in parents:
                here = here[key]
            kind = draw(st.sampled_from(["replace", "remove", "double", "add"]))
            if kind == "replace":
                here[last] = draw(values)
            elif kind == "remove":
                del here[last]
            elif kind == "double" and isinstance(here, list):
                here.append(here[last])
            elif kind == "add" and isinstance(here[last], dict):
                here[last][draw(st.text(max_size=10))] = draw(values)
        except (KeyError, IndexError, TypeError):
            continue  # an earlier change took the place away
    return config


def survives(data: bytes) -> None:
    warnings: list[str] = []
    for read in (
        lambda: parse(data, warnings.append),
        lambda: parse_process(data, warnings.append),
        lambda: parse_resources(data),
    ):
        try:
            read()
        except ConfigError as error:
            assert str(error).isprintable()
            assert len(str(error)) < 1000
    for warning in warnings:
        assert warning.isprintable()


@given(st.binary(max_size=300))
def test_bytes(data: bytes) -> None:
    survives(data)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=400)
@given(mutated())
def test_mutated(config: Any) -> None:
    survives(json.dumps(config).encode())


@settings(deadline=None)
@given(st.data())
def test_damaged_text(data: st.DataObject) -> None:
    """Bytes flipped, cut out or put in at random places of a valid file."""
    text = bytearray(render(default_spec()).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text) - 1))
        match data.draw(st.integers(0, 2)):
            case 0:
                text[at] = data.draw(st.integers(0, 255))
            case 1:
                del text[at : at + data.draw(st.integers(1, 20))]
            case _:
                text[at:at] = data.draw(st.binary(min_size=1, max_size=4))
    survives(bytes(text))


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(mutated())
def test_accepted_documents_are_stable(config: Any) -> None:
    """What is accepted is accepted again, unchanged and without a further warning."""
    try:
        spec = parse(json.dumps(config).encode())
    except ConfigError:
        return
    warnings: list[str] = []

    again = parse(render(spec).encode(), warnings.append)

    assert again == spec
    assert [w for w in warnings if "deprecated" not in w] == []
