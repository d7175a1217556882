"""Every malformed configuration is refused with the message the table promises."""

import pytest

from runtime.errors import ConfigError
from runtime.spec import default_spec, parse, render
from tests.unit.spec.malformed import MALFORMED, Malformed


def test_base_is_valid() -> None:
    """Only the change makes a case malformed."""
    parse(render(default_spec()).encode())


def test_names_are_unique() -> None:
    names = [case.name for case in MALFORMED]

    assert len(names) == len(set(names))
    assert len(names) >= 70


@pytest.mark.parametrize("case", MALFORMED, ids=lambda case: case.name)
def test_refused(case: Malformed) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(case.data())

    assert str(caught.value) == case.message
    assert "\n" not in case.message
