"""Which key leads to what."""

from __future__ import annotations

from dataclasses import replace

import pytest

from supervisor.workload import schema
from supervisor.workload.diff import Effect, KeyChange, changes, restarts
from supervisor.workload.model import Workload
from supervisor.workload.parse import parse_settings
from supervisor.workload.sections import SECTIONS

C = '[container]\nargs = ["a"]\n'


def workload(text: str) -> Workload:
    """A workload with these settings."""
    return Workload("w", "/w", parse_settings(text.encode(), "w"), {})


def diff(old: str, new: str) -> list[tuple[str, str]]:
    """Keys and effects."""
    return [(c.key, c.effect.value) for c in changes(workload(old), workload(new))]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("", "", []),
        ("# a", "# b", []),
        ("restart.delay = 1", "[restart]\ndelay = '1s'", []),
        ("", "restart.delay = '1s'", []),  # the default, written down
        ("", "restart.policy = 'always'", [("restart.policy", "apply")]),
        ("stop.timeout = 3", "", [("stop.timeout", "apply")]),
        (C, C + "memory = '64M'", [("container.memory", "apply")]),
        (C, C + "[[container.mounts]]\ndestination='/a'", [("container.mounts", "restart")]),
        (
            C + "env = {A = '1', B = '2'}",
            C + "env = {B = '3', C = '4'}",
            [("container.env.A", "restart"), ("container.env.B", "restart"),
             ("container.env.C", "restart")],
        ),
        (C, C + "[[hooks.poststop]]\npath='/x'", [("hooks.poststop", "restart")]),
        ("", "[health]\nexec = ['true']", [("health.exec", "apply")]),
        ("", "ready.timeout = 3", [("ready.timeout", "apply")]),
        ("", "ready.on = 'notify'", [("ready.on", "restart")]),
        ("", C, [("container.args", "restart")]),
        (
            "stop.signal = 'INT'",
            C + "[stop]\ntimeout = 1\n[update]\nrollback = true",
            [("stop.signal", "apply"), ("stop.timeout", "apply"), ("update.rollback", "apply"),
             ("container.args", "restart")],
        ),
    ],
)  # fmt: skip
def test_keys(old: str, new: str, expected: list[tuple[str, str]]) -> None:
    """What is written differently and means the same is no change."""
    assert diff(old, new) == expected
    back = [(key, effect) for key, effect in diff(new, old)]
    assert back == expected


def test_values_are_shown_but_those_of_variables() -> None:
    """They may be passwords."""
    old = workload(C + 'env = {KEY = "secret"}\nmemory = "64M"')
    new = workload('[container]\nargs = ["b", "c"]\nenv = {KEY = "hidden"}\n')
    found = changes(old, new)

    assert found == (
        KeyChange("container.args", Effect.RESTART, '["a"]', '["b", "c"]'),
        KeyChange("container.env.KEY", Effect.RESTART),
        KeyChange("container.memory", Effect.APPLY, '"64M"', "no limit"),
    )
    assert restarts(found)


@pytest.mark.parametrize(
    ("key", "old", "new", "shown"),
    [
        ("restart.cooldown", "90", "'2m'", ('"90s"', '"2m"')),
        ("restart.cooldown", "0.25", "'1500ms'", ('"250ms"', '"1.5s"')),
        ("restart.cooldown", "0", "3600.5", ('"0s"', '"3600.5s"')),
        ("restart.delays", "[60, 0.1]", "['1d', '1h']", ('["1m", "100ms"]', '["1d", "1h"]')),
        ("stop.signal", "2", "'usr1'", ('"SIGINT"', '"SIGUSR1"')),
        ("restart.success", "['KILL', 3]", "[]", ('["SIGKILL", 3]', "[]")),
        ("logs.size", "5000", "'2048K'", ("5000", '"2M"')),
    ],
)
def test_values_are_shown_as_what_they_mean(
    key: str, old: str, new: str, shown: tuple[str, str]
) -> None:
    """In one spelling, whatever that of the file."""
    [change] = changes(workload(f"{key} = {old}"), workload(f"{key} = {new}"))

    assert (change.old, change.new) == shown


def test_config_json_and_the_root() -> None:
    """Each key of the former, and another directory in the place of the latter."""
    old = replace(workload(""), config={"process": {"args": ["a"], "cwd": "/"}}, root=(1, 2))
    new = replace(
        workload(""), config={"process": {"args": ["b"], "cwd": "/"}, "x": 1}, root=(1, 3)
    )

    assert [change.key for change in changes(old, new)] == [
        "config.json: process.args",
        "config.json: x",
        "root file system",
    ]


def test_every_section_is_an_attribute_of_the_settings() -> None:
    """Or its changes would not be seen."""
    settings = parse_settings(b"", "w")

    for section, _ in schema.walk(SECTIONS):
        if "." not in section.name:
            assert hasattr(settings, section.name)
