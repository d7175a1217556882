"""creched.toml: what is to be said about creched itself, as strictly read as a workload.toml.

Each table is a Section (supervisor/workload/schema.py) of the part that it is about; SECTIONS has
them all, and docs/creched.md comes from it.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from supervisor.control.settings import CONTROL, HTTP, Control, Http
from supervisor.groups import Group
from supervisor.network.model import Network
from supervisor.network.settings import conflicts, networks
from supervisor.supervision import EVENTS, SUPERVISOR, Events, Supervisor, groups
from supervisor.workload import files
from supervisor.workload.errors import Problem, WorkloadError
from supervisor.workload.parse import parse_tables
from supervisor.workload.source import read_tomls

DEFAULT = "/etc/creche/creched.toml"

SECTIONS = (SUPERVISOR, EVENTS, CONTROL, HTTP, groups(()), networks(()))
NETWORKS = "networks.d"
"""Directory beside creched.toml, whose *.toml hold [networks.NAME] and nothing else."""


@dataclass(frozen=True, slots=True)
class Settings:
    """One attribute for each table."""

    supervisor: Supervisor = field(default_factory=Supervisor)
    events: Events = field(default_factory=Events)
    control: Control = field(default_factory=Control)
    http: Http = field(default_factory=Http)
    groups: Mapping[str, Group] = field(default_factory=dict)
    networks: Mapping[str, Network] = field(default_factory=dict)


def parse(data: bytes, file: str) -> Settings:
    """The settings in `data`; raises WorkloadError with every mistake in it."""
    sections = (*SECTIONS[:-2], groups(_names(data, "groups")), networks(_names(data, "networks")))
    return Settings(**parse_tables(data, file, sections))


def parse_networks(
    given: Iterable[tuple[str, bytes]], known: Mapping[str, Network], file: str
) -> dict[str, Network]:
    """The networks in the files `given` (path, contents), and those `known` from `file`.

    Raises WorkloadError with every mistake in them.
    """
    found = dict(known)
    origin = dict.fromkeys(known, file)
    problems: list[Problem] = []
    for path, data in given:
        try:
            made = parse_tables(data, path, (networks(_names(data, "networks")),))["networks"]
        except WorkloadError as error:
            problems += error.problems
            continue
        for name, network in made.items():
            key = f"networks.{name}"
            if name in found:
                problems.append(Problem(path, key, f"is in {origin[name]} already"))
                continue
            for other in found.values():
                problems += [Problem(path, key, why) for why in conflicts(other, network)]
            found[name], origin[name] = network, path
    if problems:
        raise WorkloadError(*problems)
    return found


def _names(data: bytes, table: str) -> list[str]:
    """The keys of one table of a document."""
    try:
        found = tomllib.loads(data.decode()).get(table, {})
    except (ValueError, RecursionError):
        return []  # whatever is wrong is told by the parser, with its line
    return list(found) if isinstance(found, dict) else []


def read_settings(path: str | None) -> Settings:
    """The settings in the file at `path`, with networks.d beside it; None: DEFAULT, if it is there.

    Raises WorkloadError with every mistake in them, and if others than root (or the user creched
    runs as) could have written them.
    """
    file = os.path.abspath(path or DEFAULT)
    parent, name = os.path.split(file)
    try:
        directory = files.open_directory(parent, parent)
    except FileNotFoundError:
        return _without(path, file)
    try:
        try:
            found = parse(files.read_file(directory, file, name), file)
        except FileNotFoundError:
            found = _without(path, file)
        beside = f"{parent}/{NETWORKS}"
        more = [
            (f"{beside}/{each}", data) for each, data in read_tomls(directory, beside, NETWORKS)
        ]
    finally:
        os.close(directory)
    return replace(found, networks=parse_networks(more, found.networks, file))


def _without(path: str | None, file: str) -> Settings:
    if path is None:
        return Settings()
    raise WorkloadError(Problem(file, None, "does not exist"))
