"""creched.toml: what is to be said about creched itself, as strictly read as a workload.toml.

Each table is a Section (supervisor/workload/schema.py) of the part that it is about; SECTIONS has
them all, and docs/creched.md comes from it.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field

from supervisor.control.settings import CONTROL, HTTP, Control, Http
from supervisor.groups import Group
from supervisor.supervision import SUPERVISOR, Supervisor, groups
from supervisor.workload import files
from supervisor.workload.errors import Problem, WorkloadError
from supervisor.workload.parse import parse_tables

DEFAULT = "/etc/creche/creched.toml"

SECTIONS = (SUPERVISOR, CONTROL, HTTP, groups(()))


@dataclass(frozen=True, slots=True)
class Settings:
    """One attribute for each table."""

    supervisor: Supervisor = field(default_factory=Supervisor)
    control: Control = field(default_factory=Control)
    http: Http = field(default_factory=Http)
    groups: Mapping[str, Group] = field(default_factory=dict)


def parse(data: bytes, file: str) -> Settings:
    """The settings in `data`; raises WorkloadError with every mistake in it."""
    try:
        found = tomllib.loads(data.decode()).get("groups", {})
        names = list(found) if isinstance(found, dict) else []
    except (ValueError, RecursionError):
        names = []  # whatever is wrong is told below, with its line
    return Settings(**parse_tables(data, file, (*SECTIONS[:-1], groups(names))))


def read_settings(path: str | None) -> Settings:
    """The settings in the file at `path`; None: in DEFAULT, if there is such a file.

    Raises WorkloadError with every mistake in it, and if others than root (or the user creched
    runs as) could have written it.
    """
    file = os.path.abspath(path or DEFAULT)
    parent, name = os.path.split(file)
    try:
        directory = files.open_directory(parent, parent)
        try:
            data = files.read_file(directory, file, name)
        finally:
            os.close(directory)
    except FileNotFoundError:
        if path is None:
            return Settings()
        raise WorkloadError(Problem(file, "", "does not exist")) from None
    return parse(data, file)
