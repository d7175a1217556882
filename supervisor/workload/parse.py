"""Text of a workload.toml to `Settings`: pure, and it reports every mistake, not just the first."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Callable, Iterable, Sequence

from supervisor.workload.errors import Problem, WorkloadError
from supervisor.workload.kinds import Mismatch, show
from supervisor.workload.lines import Path, find_line, syntax_line
from supervisor.workload.model import Settings
from supervisor.workload.schema import REQUIRED, Field, Section, Values
from supervisor.workload.sections import RULES, SECTIONS


def parse_settings(data: bytes, file: str) -> Settings:
    """The settings in `data`; raises WorkloadError with every problem found, in order of line."""
    return Settings(**parse_tables(data, file, SECTIONS, RULES))


def parse_tables(
    data: bytes,
    file: str,
    sections: Iterable[Section],
    rules: Iterable[Callable[[Values], Iterable[tuple[Path, str]]]] = (),
) -> Values:
    """What each of `sections` makes of its table in `data`, by its name; raises as above."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise WorkloadError(Problem(file, "", "not UTF-8 text", line)) from None
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        said = str(error).split(" (at ")[0]
        raise WorkloadError(
            Problem(file, "", f"not TOML: {said[:1].lower()}{said[1:]}", syntax_line(error))
        ) from None
    except RecursionError:
        raise WorkloadError(Problem(file, "", "not TOML: nested too deeply")) from None
    reader = _Reader(file, text)
    made = reader.parts(document, (), tuple(sections))
    if not reader.problems:
        for rule in rules:
            for path, message in rule(made):
                reader.problem(path, message)
    if reader.problems:
        reader.problems.sort(key=lambda problem: problem.line or 0)
        raise WorkloadError(*reader.problems)
    return made


class _Reader:
    """Walks the document along the sections and keeps the problems it meets."""

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.text = text
        self.problems: list[Problem] = []

    def parts(
        self, found: Values, path: Path, sections: tuple[Section, ...], fields: Sequence[Field] = ()
    ) -> Values:
        """What the tables (and `fields`) in the table `found` come to, by key."""
        keys = [field.key for field in fields]
        keys += [name for section in sections for name in section.names]
        self.known(found, path, keys)
        values = self.fields(found, path, fields)
        for section in sections:
            for name in section.names:
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
        return tuple(results)

    def made(self, found: Values, path: Path, section: Section) -> object:
        """What the section makes of one table; None if there is a mistake in it."""
        before = len(self.problems)
        values = self.parts(found, path, section.parts, section.fields)
        if len(self.problems) > before:
            return None
        for key, message in section.rules(values):
            self.problem((*path, key), message)
        return section.make(values) if len(self.problems) == before else None

    def fields(self, found: Values, path: Path, fields: Sequence[Field]) -> Values:
        """Values of the keys that are no tables, defaults filled in."""
        values: Values = {}
        for field in fields:
            if field.key in found:
                try:
                    values[field.key] = field.kind.parse(found[field.key])
                except Mismatch as wrong:
                    self.problem((*path, field.key, *wrong.path), str(wrong))
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
            # A habit from TOML dialects with underscores is worth a hint as good as a typo's.
            close = difflib.get_close_matches(key.replace("_", "-"), keys, 1, 0.6)
            what = f"unknown key; did you mean {close[0]!r}?" if close else "unknown key"
            if not close:
                what += ": expected one of " + ", ".join(keys)
            self.problem((*path, key), what)

    def problem(self, path: Path, message: str) -> None:
        self.problems.append(Problem(self.file, written(path), message, find_line(self.text, path)))


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
