"""A workload.toml and the drop-ins laid over it: one document, of which every part knows its file.

Later files win. Tables are merged key by key. Values and arrays of values replace what was there;
[[tables]] are added behind those that are there, and an empty array takes those away.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from typing import Any

from supervisor.workload.errors import Problem, WorkloadError
from supervisor.workload.lines import Path, find_line, index, syntax_line

Document = dict[str, Any]

_DEEP = re.compile(r"(?:[A-Za-z0-9_-]{1,64}[ \t]*\.[ \t]*){128}")
"""A key of so many parts that tomllib would take minutes: its time grows with their square."""


class Layer:
    """One file: what errors call it, what tomllib made of it, and where things are in it."""

    def __init__(self, file: str, text: str, document: Document) -> None:
        self.file = file
        self.document = document
        self._text = text
        self._lines: dict[Path, int] | None = None

    def line(self, path: Path) -> int | None:
        """Line (1-based) of `path`, or of what encloses it; None where it cannot be told."""
        if self._lines is None:
            self._lines = index(self._text)
        return find_line(self._lines, path)


def read_layer(data: bytes, file: str) -> Layer:
    """The TOML document in `data`; raises WorkloadError with the line, where that is known."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise WorkloadError(Problem(file, None, "not UTF-8 text", line)) from None
    if _DEEP.search(text):
        raise WorkloadError(Problem(file, None, "not TOML: nested too deeply"))
    try:
        return Layer(file, text, tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        said = str(error).split(" (at ")[0]
        raise WorkloadError(
            Problem(file, None, f"not TOML: {said[:1].lower()}{said[1:]}", syntax_line(error))
        ) from None
    except (RecursionError, ValueError) as error:
        # A number of more than 4300 digits is a ValueError of int().
        why = "nested too deeply" if isinstance(error, RecursionError) else "a number is too long"
        raise WorkloadError(Problem(file, None, f"not TOML: {why}")) from None


class Merged:
    """Layers merged, the first one lowest; at least one."""

    def __init__(self, layers: Iterable[Layer]) -> None:
        self.layers = tuple(layers)
        self.document: Document = {}
        for layer in self.layers:
            _lay(layer.document, self.document)

    def place(self, path: Path) -> tuple[str, int | None]:
        """File and line (1-based; None where it cannot be told) that `path` comes from."""
        best, layer = -1, self.layers[0]
        own = path
        for candidate, translated in self._own(path):
            depth = _depth(candidate.document, translated)
            if depth >= best:  # what is laid over wins
                best, layer, own = depth, candidate, translated
        return layer.file, layer.line(own)

    def rank(self, file: str) -> int:
        """The place of `file` among the layers, to sort by."""
        return [layer.file for layer in self.layers].index(file)

    def _own(self, path: Path) -> Iterable[tuple[Layer, Path]]:
        """What `path` is called in each layer; an array of tables may be made of several."""
        at = next((i for i, part in enumerate(path) if isinstance(part, int)), None)
        if at is None:
            return [(layer, path) for layer in self.layers]
        number = path[at]
        assert isinstance(number, int)
        found: list[tuple[Layer, Path]] = []
        start = 0
        before: object = None
        for layer in self.layers:
            value = _get(layer.document, path[:at])
            if value is _MISSING:
                continue
            if not isinstance(value, list):
                found, start, before = [], 0, None
                continue
            start = start if _tables(value) and _tables(before) else 0
            if start <= number < start + len(value):
                found = [(layer, (*path[:at], number - start, *path[at + 1 :]))]
            start, before = start + len(value), value
        return found


_MISSING = object()


def _lay(over: Document, under: Document) -> None:
    for key, value in over.items():
        there = under.get(key)
        if isinstance(value, dict) and isinstance(there, dict):
            _lay(value, there)
        elif isinstance(there, list) and _tables(value) and _tables(there):
            under[key] = [*there, *value]
        else:
            # What lies below is merged into later: a layer's own document stays as it was.
            under[key] = _copy(value)


def _tables(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(v, dict) for v in value)


def _copy(value: Any) -> Any:
    return {k: _copy(v) for k, v in value.items()} if isinstance(value, dict) else value


def _get(document: Any, path: Path) -> object:
    """What is at `path`; None if something that is no table is in its way there."""
    for part in path:
        if not isinstance(document, dict):
            return None
        if part not in document:
            return _MISSING
        document = document[part]
    return document


def _depth(value: Any, path: Path) -> int:
    """How many parts of `path` there are in `value`."""
    for depth, part in enumerate(path):
        if isinstance(value, dict):
            inside = part in value
        else:
            inside = isinstance(value, list) and isinstance(part, int) and part < len(value)
        if not inside:
            return depth
        value = value[part]
    return len(path)
