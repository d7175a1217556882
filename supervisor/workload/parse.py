"""Text of a workload.toml to `Settings`: pure, and it reports every mistake, not just the first."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence

from supervisor.workload.errors import Problem, WorkloadError
from supervisor.workload.kinds import Mismatch, show
from supervisor.workload.layers import Layer, Merged, read_layer
from supervisor.workload.lines import Path
from supervisor.workload.model import Settings
from supervisor.workload.schema import REQUIRED, Field, Section, Values
from supervisor.workload.sections import RULES, SECTIONS

MOST = 100
"""So many mistakes are told of one workload; a file of something else altogether has more."""

Rule = Callable[[Values], Iterable[tuple[Path, str]]]


def parse_settings(data: bytes, file: str, dropins: Iterable[tuple[str, bytes]] = ()) -> Settings:
    """The settings in `data`, `dropins` (name, contents) laid over them in their order.

    Raises WorkloadError with every problem found, in the order of files and lines.
    """
    layers = [read_layer(data, file), *(read_layer(more, name) for name, more in dropins)]
    reader = _reader(layers)
    made = reader.read(SECTIONS, RULES)
    return Settings(**made, given=reader.given)


def parse_tables(data: bytes, file: str, sections: Sequence[Section]) -> Values:
    """What each of `sections` makes of its table in `data`, by its name; raises as above."""
    return _reader([read_layer(data, file)]).read(sections, ())


def parse_document(document: Values, where: str, sections: Sequence[Section]) -> Values:
    """The same of what is no TOML; `where` is what errors call it."""
    return _reader([Layer(where, "", document)]).read(sections, ())


def _reader(layers: list[Layer]) -> _Reader:
    try:
        return _Reader(Merged(layers))
    except RecursionError:  # dotted keys are as deep as they are long, and tomllib does not mind
        raise WorkloadError(Problem(layers[-1].file, None, "not TOML: nested too deeply")) from None


class _Reader:
    """Walks the document along the sections and keeps the problems it meets."""

    def __init__(self, merged: Merged) -> None:
        self.merged = merged
        self.problems: list[Problem] = []
        self.mistakes = 0
        self.given: Values = {}
        """Parsed values by their key as people write it; an array of tables is one value."""

    def read(self, sections: Sequence[Section], rules: Iterable[Rule]) -> Values:
        """What the sections make of the document."""
        made = self.parts(self.merged.document, (), sections)
        if not self.problems:
            for rule in rules:
                for path, message in rule(made):
                    self.problem(path, message)
        if self.problems:
            rank = self.merged.rank
            self.problems.sort(key=lambda problem: (rank(problem.file), problem.line or 0))
            raise WorkloadError(*self.problems)
        return made

    def parts(
        self, found: Values, path: Path, sections: Sequence[Section], fields: Sequence[Field] = ()
    ) -> Values:
        """What the tables (and `fields`) in the table `found` come to, by key."""
        keys = [field.key for field in fields]
        keys += [name for section in sections for name in section.names]
        self.known(found, path, keys)
        values = self.fields(found, path, fields)
        for section in sections:
            for name in section.names:
                if section.single and isinstance(found.get(name), dict):
                    values[name] = (self.table(found, (*path, name), section),)
                    continue
                read = self.tables if section.repeated else self.table
                values[name] = read(found, (*path, name), section)
        return values

    def table(self, parent: Values, path: Path, section: Section) -> object:
        """What a table comes to; None for an optional one that is not there, or a mistaken one."""
        if section.optional and path[-1] not in parent:
            return None
        found = parent.get(str(path[-1]), {})
        if not isinstance(found, dict):
            self.problem(path, f"expected a table, found {show(found)}")
            return None
        return self.made(found, path, section)

    def tables(self, parent: Values, path: Path, section: Section) -> tuple[object, ...]:
        """What an array of tables comes to."""
        found = parent.get(str(path[-1]), [])
        if not isinstance(found, list):
            self.problem(path, f"expected an array of tables, found {show(found)}")
            return ()
        results = []
        for index, item in enumerate(found):
            if isinstance(item, dict):
                results.append(self.made(item, (*path, index), section))
            else:
                self.problem((*path, index), f"expected a table, found {show(item)}")
        if path[-1] in parent and not any(isinstance(part, int) for part in path):
            self.given[written(path)] = tuple(results)
        return tuple(results)

    def made(self, found: Values, path: Path, section: Section) -> object:
        """What the section makes of one table; None if there is a mistake in it."""
        before = self.mistakes
        values = self.parts(found, path, section.parts, section.fields)
        if self.mistakes > before:
            return None
        for key, message in section.rules(values):
            self.problem((*path, key), message)
        return section.make(values) if self.mistakes == before else None

    def fields(self, found: Values, path: Path, fields: Sequence[Field]) -> Values:
        """Values of the keys that are no tables, defaults filled in."""
        values: Values = {}
        for field in fields:
            if field.key in found:
                try:
                    values[field.key] = field.kind.parse(found[field.key])
                except Mismatch as wrong:
                    self.problem((*path, field.key, *wrong.path), str(wrong))
                    continue
                if not any(isinstance(part, int) for part in path):
                    self.given[written((*path, field.key))] = values[field.key]
            elif field.default is REQUIRED:
                self.problem(path, f"{field.key} is missing: expected {field.kind.expected}")
            else:
                values[field.key] = field.default
        return values

    def known(self, found: Values, path: Path, keys: list[str]) -> None:
        """Refuse keys the schema does not have, with the one that was probably meant."""
        for key in found:
            if key in keys:
                continue
            if self.mistakes >= MOST:
                self.problem((*path, key), "unknown key")
                continue
            # A habit from TOML dialects with underscores is worth a hint as good as a typo's.
            close = difflib.get_close_matches(key.replace("_", "-"), keys, 1, 0.6)
            what = f"unknown key; did you mean {close[0]!r}?" if close else "unknown key"
            if not close:
                what += ": expected one of " + ", ".join(keys)
            self.problem((*path, key), what)

    def problem(self, path: Path, message: str) -> None:
        self.mistakes += 1
        if self.mistakes > MOST:
            return
        file, line = self.merged.place(path)
        self.problems.append(Problem(file, written(path), message, line))


def written(path: Path) -> str:
    """A path as people write it: `container.mounts[0].source`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            name = part if part.isprintable() and len(part) <= 60 else show(part)
            text += f".{name}" if text else name
    return text
