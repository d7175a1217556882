"""Drop-ins: what wins, what is added, and that a mistake is told with the file it stands in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from supervisor.workload.errors import WorkloadError
from supervisor.workload.layers import Merged, read_layer
from supervisor.workload.model import Settings
from supervisor.workload.parse import parse_settings

BASE = """
[restart]
policy = "never"
success = [1, 2]
[container]
args = ["a"]
env = { A = "1", B = "2" }
[[container.mounts]]
destination = "/one"
"""


def settings(*dropins: str, base: str = BASE) -> Settings:
    """The settings of `base` with drop-ins d0, d1, ..."""
    laid = [(f"d{number}", text.encode()) for number, text in enumerate(dropins)]
    return parse_settings(base.encode(), "w", laid)


def test_tables_are_merged_and_values_replaced() -> None:
    """Key by key; an array of values is a value."""
    made = settings(
        '[restart]\nsuccess = [3]\n[container]\nenv = { B = "3", C = "4" }', "stop.timeout = 5"
    )

    assert made.restart.when == "never"
    assert made.restart.success == {3}
    assert made.container is not None
    assert dict(made.container.env) == {"A": "1", "B": "3", "C": "4"}
    assert made.stop.timeout == 5


def test_the_last_one_wins() -> None:
    """They are laid over each other in order."""
    assert settings("stop.timeout = 1", "stop.timeout = 2").stop.timeout == 2


def test_arrays_of_tables_grow_and_an_empty_array_empties_them() -> None:
    """As with systemd, where an empty assignment takes back what was there."""
    two = '[[container.mounts]]\ndestination = "/two"'

    def mounts(*dropins: str) -> list[str]:
        container = settings(*dropins).container
        assert container is not None
        return [mount.destination for mount in container.mounts]

    assert mounts(two) == ["/one", "/two"]
    assert mounts("container.mounts = []") == []
    assert mounts("container.mounts = []", two) == ["/two"]


@pytest.mark.parametrize(
    ("dropins", "message"),
    [
        (["[restart]\n\ndelay = 'x'"], "d0:3: restart.delay: expected"),
        (["", "restart = 3"], "d1:1: restart: expected a table, found 3"),
        (["[[container.mounts]]\nsource = 'x'"], "d0:1: container.mounts[1]: destination is miss"),
        (["container.mounts = []", "\n[[container.mounts]]"], "d1:2: container.mounts[0]: destin"),
        (["container.args = 1", "stop.timeout = 3"], "d0:1: container.args: expected"),
        (["[restart]\nmax = 0"], "d0:1: restart.delay: expected at most"),
        (["[restrat]"], "d0:1: restrat: unknown key; did you mean 'restart'?"),
        (["", "x = ["], "d1: not TOML: invalid value"),
    ],
)
def test_mistakes_are_told_with_their_own_file(dropins: list[str], message: str) -> None:
    """And with the line in that."""
    with pytest.raises(WorkloadError) as caught:
        settings(*dropins)

    assert str(caught.value).startswith(message)


def test_mistakes_come_in_the_order_of_the_files() -> None:
    """First the file itself, then its drop-ins."""
    with pytest.raises(WorkloadError) as caught:
        settings("a = 1", "\n\nb = 1", base="\n\n\n\nc = 1")

    assert [(p.file, p.line) for p in caught.value.problems] == [("w", 5), ("d0", 1), ("d1", 3)]


def test_a_file_of_something_else_is_not_told_of_line_by_line() -> None:
    """A hundred mistakes are enough, and take no time to find."""
    with pytest.raises(WorkloadError) as caught:
        settings(base="".join(f"key{number} = 1\n" for number in range(5000)))

    assert len(caught.value.problems) == 100


@pytest.mark.parametrize(
    "text", ["a." * 300_000 + "a = 1", "[" + "a." * 5000 + "a]", "a=" + "[" * 9999]
)
def test_deep_nesting_is_refused_at_once(text: str) -> None:
    """tomllib takes time that grows with the square of the depth."""
    with pytest.raises(WorkloadError, match="nested too deeply"):
        settings(base=text)


def test_long_numbers_are_a_mistake_like_others() -> None:
    """int() has a limit of its own."""
    with pytest.raises(WorkloadError, match="a number is too long"):
        settings(base="a = " + "9" * 5000)


def plain(value: Any) -> str:
    """A value as TOML."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {plain(v)}" for key, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(plain(v) for v in value) + "]"
    return str(value)


NAMES = st.sampled_from(["a", "b", "c"])
VALUES = st.recursive(
    st.integers(0, 9),
    lambda inner: (
        st.dictionaries(NAMES, inner, max_size=3)
        | st.lists(inner, max_size=2)
        | st.lists(st.dictionaries(NAMES, inner, max_size=2), max_size=2)
    ),
    max_leaves=12,
)


@example([{"b": [{}]}, {"b": {"a": [{"a": 0}]}}])
@example([{"a": [{}]}, {"a": 0}, {"a": [{"a": 0}]}])
@given(st.lists(st.dictionaries(NAMES, VALUES, max_size=3), min_size=1, max_size=4))
def test_each_part_of_the_outcome_is_found_in_its_file(documents: list[dict[str, Any]]) -> None:
    """Whatever the layers are: where `place` points there is that very value."""
    texts = ["\n".join(f"{k} = {plain(v)}" for k, v in doc.items()) for doc in documents]
    merged = Merged(read_layer(t.encode(), str(i)) for i, t in enumerate(texts))

    def leaves(value: Any, path: tuple[str | int, ...], visit: Callable[..., None]) -> None:
        if isinstance(value, dict):
            for key, item in value.items():
                leaves(item, (*path, key), visit)
        elif isinstance(value, list):
            for number, item in enumerate(value):
                leaves(item, (*path, number), visit)
        else:
            visit(value, path)

    def check(value: int, path: tuple[str | int, ...]) -> None:
        file, line = merged.place(path)
        assert line is not None
        assert str(value) in texts[int(file)].splitlines()[line - 1]

    leaves(merged.document, (), check)
    assert all(layer.document == doc for layer, doc in zip(merged.layers, documents, strict=True))
