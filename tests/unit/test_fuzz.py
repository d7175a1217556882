"""Arbitrary input to what reads it: an answer or a CrecheError, nothing else and no effect.

What config.json may hold is in tests/unit/spec/test_fuzz.py; here it goes on to the plan. A longer
search, guided by coverage, is `./dev fuzz` (tests/fuzz).
"""

from __future__ import annotations

import copy
import json
import re
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from runtime.cgroups import Hierarchy, Layout, compile_resources
from runtime.cgroups.paths import components
from runtime.cgroups.within import sub_cgroups
from runtime.cli.main import COMMANDS, command_of
from runtime.cli.options import HelpRequested, parse
from runtime.cli.process import LAST_ID, parse_user
from runtime.errors import CrecheError
from runtime.jsonio import dumps
from runtime.plan.compile import compile_plan
from runtime.plan.process import compile_process
from runtime.seccomp import compile_filter
from runtime.spec import parse as parse_config
from runtime.spec import parse_process, parse_resources
from runtime.spec.sysctl import needs, sysctl_path
from runtime.state import STATE_VERSION, check_id, decode, encode
from tests.unit.spec.full import FULL
from tests.unit.spec.test_fuzz import mutated, values

SLOW = settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=200)
NAMES = ("memory", "pids", "devices", "cpu", "cpuset", "blkio", "hugetlb", "freezer")
LAYOUTS = [
    Layout({name: Hierarchy(name, f"/cg/{name}", "/", "/") for name in NAMES}, []),
    Layout({"": Hierarchy("", "/cg", "/", "/")}, list(NAMES)),
]


def one_line(error: CrecheError) -> None:
    """What a message has to be to stand in a log."""
    assert str(error)
    assert "\n" not in str(error)
    assert len(str(error)) < 20_000


@SLOW
@given(mutated(), st.sampled_from(LAYOUTS))
def test_plans(config: Any, layout: Layout) -> None:
    """A plan is JSON, and compiling changes nothing of the document."""
    try:
        spec = parse_config(json.dumps(config).encode())
        before = copy.deepcopy(spec)
        plan = compile_plan(spec, layout, "/bundle", lambda _: None)
    except CrecheError as error:
        one_line(error)
        return

    assert spec == before
    assert json.loads(dumps(plan))


@st.composite
def mutated_part(draw: st.DrawFn, *keys: str) -> Any:
    """A part of the full document, with some of its leaves replaced."""
    part: Any = FULL
    for key in keys:
        part = part[key]
    part = copy.deepcopy(part)
    for _ in range(draw(st.integers(1, 3))):
        here = part
        while True:
            assume(here)
            last = draw(
                st.sampled_from(sorted(here) if isinstance(here, dict) else range(len(here)))
            )
            below = here[last]
            if not isinstance(below, dict | list) or not below or draw(st.booleans()):
                here[last] = draw(values)
                break
            here = below
    return part


@SLOW
@given(mutated_part("process"))
def test_processes(document: Any) -> None:
    """exec --process."""
    try:
        compile_process(parse_process(json.dumps(document).encode()))
    except CrecheError as error:
        one_line(error)


@SLOW
@given(mutated_part("linux", "resources"), st.sampled_from(LAYOUTS))
def test_resources(document: Any, layout: Layout) -> None:
    """update -r."""
    try:
        resources = parse_resources(json.dumps(document).encode())
        compile_resources(resources, layout, lambda _: None, "resources")
    except CrecheError as error:
        one_line(error)


@SLOW
@given(mutated_part("linux", "seccomp"))
def test_seccomp_profiles(document: Any) -> None:
    """Compiled by libseccomp where they are accepted."""
    config = copy.deepcopy(FULL)
    config["linux"]["seccomp"] = document
    try:
        spec = parse_config(json.dumps(config).encode())
        profile = spec["linux"].get("seccomp")
        if profile:
            assert len(compile_filter(profile).program) % 8 == 0
    except CrecheError as error:
        one_line(error)


# State files --------------------------------------------------------------------------------------

STATE: Any = {
    "version": STATE_VERSION,
    "id": "x",
    "pid": 7,
    "cgroup": {"pids": "/sys/fs/cgroup/pids/x"},
    "annotations": {"checksum": 'a,"checksum":"00000000"}', "\udcff": "\udcfe"},
    "config": FULL,
}


def test_a_state_is_read_as_it_was_written() -> None:
    assert decode(encode(STATE)) == STATE
    assert json.loads(encode(STATE).decode(errors="replace"))["pid"] == 7  # JSON for others, too


@given(st.binary(max_size=200))
def test_any_bytes_are_no_state(data: bytes) -> None:
    with pytest.raises(CrecheError):
        decode(data)


@given(st.data())
def test_a_damaged_state_is_seen_to_be(data: st.DataObject) -> None:
    """A byte changed, the end cut off, something in between gone."""
    text = bytearray(encode(STATE))
    at = data.draw(st.integers(0, len(text) - 1))
    match data.draw(st.integers(0, 2)):
        case 0:
            text[at] ^= data.draw(st.integers(1, 255))
        case 1:
            del text[at:]
        case _:
            del text[at : at + data.draw(st.integers(1, 100))]
    with pytest.raises(CrecheError):
        decode(bytes(text))


# Words --------------------------------------------------------------------------------------------

# Text that likes to be mistaken for something else.
odd = st.text(alphabet="01289:+-._/x \n\0\t\u0661\u00b2", max_size=12) | st.text(max_size=12)


@given(odd | st.integers(-10, 1 << 65).map(str))
def test_users(text: str) -> None:
    try:
        uid, gid = parse_user(text)
    except CrecheError as error:
        one_line(error)
        return

    assert re.fullmatch(r"[0-9]+(:[0-9]+)?", text)
    assert [uid, gid][: text.count(":") + 1] == [int(part) for part in text.split(":")]
    assert 0 <= uid <= LAST_ID
    assert 0 <= (gid or 0) <= LAST_ID


@given(odd)
def test_ids(text: str) -> None:
    try:
        check_id(text)
    except CrecheError as error:
        one_line(error)
        return

    assert re.fullmatch(r"[A-Za-z0-9_+.-]{1,255}", text)
    assert text not in (".", "..")


@given(odd)
def test_cgroup_paths(text: str) -> None:
    try:
        parts = components(text)
    except CrecheError as error:
        one_line(error)
        return

    assert not any(part in ("", ".", "..") or "\n" in part or "\0" in part for part in parts)


@given(st.lists(odd, min_size=1, max_size=3))
def test_sub_cgroups(words: list[str]) -> None:
    paths = {"pids": "/no/such/pids", "cpu,cpuacct": "/no/such/cpu"}
    try:
        chosen = sub_cgroups(paths, words)
    except CrecheError:
        return

    assert chosen == paths  # whatever else would have to exist


@given(st.sampled_from(["", "net.", "net/", "kernel.", "fs/mqueue/"]), odd)
def test_sysctls(prefix: str, text: str) -> None:
    try:
        path = sysctl_path(prefix + text)
    except ValueError:
        return

    assert ".." not in path.split("/")
    assert needs(path) is None or path.startswith(("net/", "kernel/", "fs/mqueue/", "user/"))


@pytest.mark.parametrize("name", COMMANDS)
@given(st.data())
def test_command_lines(name: str, data: st.DataObject) -> None:
    """Flags with and without values, in any order, between any words."""
    command = command_of(name)
    flags = [f"--{flag}" for each in command.flags for flag in each.names]
    word = st.sampled_from(flags or ["-"]) | odd | st.sampled_from(["--", "-", "-x", "--x=y"])
    valued = st.builds("{}={}".format, st.sampled_from(flags or ["-"]), odd)
    words = data.draw(st.lists(word | valued, max_size=6))
    try:
        parse(command.flags, words, flags_first=command.flags_first)
    except (CrecheError, HelpRequested):
        return
