"""Text of a workload.toml to `Settings`: pure, and it reports every mistake, not just the first."""

from __future__ import annotations

import difflib
import tomllib
from typing import Any

from supervisor.policy import OnLimit, Policy, When
from supervisor.workload import model, schema
from supervisor.workload.errors import Problem, WorkloadError
from supervisor.workload.kinds import Mismatch, show
from supervisor.workload.lines import Path, find_line, syntax_line

Values = dict[str, Any]


def parse_settings(data: bytes, file: str) -> model.Settings:
    """The settings in `data`; raises WorkloadError with every problem found, in order of line."""
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
    settings = reader.settings(document)
    if reader.problems:
        reader.problems.sort(key=lambda problem: problem.line or 0)
        raise WorkloadError(*reader.problems)
    return settings


class _Reader:
    """Walks the document along the schema and keeps the problems it meets."""

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.text = text
        self.problems: list[Problem] = []

    def settings(self, document: Values) -> model.Settings:
        self.known(document, (), ["restart", "stop", "hooks", "container"])
        restart = self.table(document, ("restart",), schema.RESTART)
        stop = self.table(document, ("stop",), schema.STOP)
        hooks = self.table(document, ("hooks",), schema.HOOKS, also=schema.STAGES)
        staged = self.stages(document.get("hooks"))
        container = None
        if "container" in document:
            values = self.table(document, ("container",), schema.CONTAINER, also=("mounts",))
            mounts = self.tables(document["container"], ("container", "mounts"), schema.MOUNT)
            if not self.problems:
                values["mounts"] = tuple(model.Mount(**mount) for mount in mounts)
                values["read_only"] = values.pop("read-only")
                container = model.Container(**values)
        elif staged:
            self.problem(
                ("hooks", staged[0][0]),
                "hooks go together with [container]; a config.json holds its own",
            )
        if self.problems:
            return model.Settings()
        self.check(restart)
        return model.Settings(
            restart=Policy(
                when=When(restart["policy"]),
                delay=restart["delay"],
                factor=restart["factor"],
                maximum=restart["max"],
                jitter=restart["jitter"],
                reset_after=restart["reset-after"],
                limit=restart["limit"],
                window=restart["window"],
                on_limit=OnLimit(restart["on-limit"]),
                success=frozenset(restart["success"]),
            ),
            stop=model.Stop(stop["signal"], stop["timeout"]),
            hook_timeout=hooks["timeout"],
            hooks=tuple((stage, tuple(model.Hook(**v) for v in found)) for stage, found in staged),
            container=container,
        )

    def check(self, restart: Values) -> None:
        """Rules over more than one key."""
        if restart["delay"] > restart["max"]:
            self.problem(
                ("restart", "delay"),
                f"expected at most restart.max ({restart['max']:g} s), "
                f"found {restart['delay']:g} s",
            )
        if restart["limit"] and restart["window"] == 0:
            self.problem(
                ("restart", "window"), "expected more than 0 together with restart.limit, found 0"
            )

    def stages(self, hooks: object) -> list[tuple[str, list[Values]]]:
        """The hooks that are given, by stage in the order of the life cycle."""
        if not isinstance(hooks, dict):
            return []
        return [
            (stage, self.tables(hooks, ("hooks", stage), schema.HOOK))
            for stage in schema.STAGES
            if stage in hooks
        ]

    def table(
        self, document: Values, path: Path, section: schema.Section, also: tuple[str, ...] = ()
    ) -> Values:
        """Values of one table, defaults filled in."""
        found = document.get(str(path[-1]), {})
        if not isinstance(found, dict):
            self.problem(path, f"expected a table, found {show(found)}")
            return {}
        return self.fields(found, path, section, also)

    def tables(self, parent: object, path: Path, section: schema.Section) -> list[Values]:
        """Values of an array of tables."""
        found = parent.get(str(path[-1]), []) if isinstance(parent, dict) else []
        if not isinstance(found, list):
            self.problem(path, f"expected an array of tables, found {show(found)}")
            return []
        results = []
        for index, item in enumerate(found):
            if isinstance(item, dict):
                results.append(self.fields(item, (*path, index), section, ()))
            else:
                self.problem((*path, index), f"expected a table, found {show(item)}")
        return results

    def fields(
        self, found: Values, path: Path, section: schema.Section, also: tuple[str, ...]
    ) -> Values:
        self.known(found, path, [*(field.key for field in section.fields), *also])
        values = {}
        for field in section.fields:
            if field.key in found:
                try:
                    values[field.key] = field.kind.parse(found[field.key])
                except Mismatch as wrong:
                    self.problem((*path, field.key, *wrong.path), str(wrong))
            elif field.default is schema.REQUIRED:
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
