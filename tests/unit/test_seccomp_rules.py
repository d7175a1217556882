"""What a seccomp profile has to satisfy, and the flags it is loaded with."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.errors import ConfigError
from runtime.seccomp import check, tables
from runtime.seccomp.rules import action_value, load_flags
from runtime.spec import names

KILL: dict[str, Any] = {"defaultAction": "SCMP_ACT_KILL"}


def profile(**call: Any) -> dict[str, Any]:
    return {**KILL, "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW", **call}]}


@pytest.mark.parametrize(
    ("seccomp", "path", "words"),
    [
        ({}, "defaultAction", "unknown seccomp action None"),
        ({"defaultAction": "SCMP_ACT_X"}, "defaultAction", "unknown seccomp action 'SCMP_ACT_X'"),
        ({"defaultAction": "SCMP_ACT_NOTIFY"}, "defaultAction", "cannot be used as default action"),
        ({**KILL, "defaultErrnoRet": 1}, "defaultErrnoRet", "returns no error number"),
        (
            {"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 4096},
            "defaultErrnoRet",
            "expected 0 to 4095",
        ),
        ({**KILL, "architectures": ["x86"]}, "architectures[0]", "unknown seccomp architecture"),
        ({**KILL, "flags": ["TSYNC"]}, "flags[0]", "unknown seccomp flag"),
        ({**KILL, "listenerMetadata": "x"}, "listenerMetadata", "with listenerPath only"),
        (profile(action="SCMP_ACT_X"), "syscalls[0].action", "unknown seccomp action"),
        (profile(errnoRet=1), "syscalls[0].errnoRet", "SCMP_ACT_ALLOW returns no error number"),
        (profile(names=[]), "syscalls[0].names", "at least one"),
        (
            profile(args=[{"index": 6, "value": 0, "op": "SCMP_CMP_EQ"}]),
            "syscalls[0].args[0].index",
            "arguments 0 to 5",
        ),
        (
            profile(args=[{"index": 0, "value": 0, "op": "EQ"}]),
            "syscalls[0].args[0].op",
            "unknown seccomp operator",
        ),
        (profile(action="SCMP_ACT_NOTIFY"), "listenerPath", "required"),
        (
            {**profile(action="SCMP_ACT_NOTIFY", names=["write"]), "listenerPath": "/x"},
            "syscalls[0].names",
            "SCMP_ACT_NOTIFY cannot be used for the write syscall",
        ),
    ],
)
def test_refused(seccomp: dict[str, Any], path: str, words: str) -> None:
    """With the JSON path and the reason."""
    with pytest.raises(ConfigError) as caught:
        check(seccomp)
    assert caught.value.path == f"linux.seccomp.{path}"
    assert words in caught.value.message


def test_accepted() -> None:
    """A listener that nothing notifies, and an empty list of everything."""
    check({**KILL, "listenerPath": "/x", "listenerMetadata": "y"})
    check({**KILL, "architectures": [], "flags": [], "syscalls": []})
    check({**profile(action="SCMP_ACT_NOTIFY"), "listenerPath": "/x"})
    check(profile(action="SCMP_ACT_TRACE", errnoRet=0xFFFF))


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (None, 4),
        ([], 0),
        (["SECCOMP_FILTER_FLAG_LOG"], 2),
        (["SECCOMP_FILTER_FLAG_SPEC_ALLOW"], 4),
        (["SECCOMP_FILTER_FLAG_TSYNC"], 0),
        (["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"], 6),
    ],
)
def test_flags(flags: list[str] | None, expected: int) -> None:
    """Absent is not the same as empty; TSYNC changes nothing for a single thread."""
    seccomp = dict(KILL) if flags is None else {**KILL, "flags": flags}
    assert load_flags(seccomp) == (expected, [])


def test_listener_flags() -> None:
    """WAIT_KILLABLE_RECV is for listeners; the kernel refuses it without one."""
    notify = {**profile(action="SCMP_ACT_NOTIFY"), "listenerPath": "/x"}
    wait = ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]
    assert load_flags({**notify, "flags": wait}) == (8 | 32, [])
    value, warnings = load_flags({**KILL, "flags": wait})
    assert value == 0
    assert len(warnings) == 1


def test_actions_with_a_number() -> None:
    """EPERM unless another is given; the others have none."""
    assert action_value("SCMP_ACT_ERRNO", None) == 0x00050001
    assert action_value("SCMP_ACT_ERRNO", 0) == 0x00050000
    assert action_value("SCMP_ACT_TRACE", 7) == 0x7FF00007
    assert action_value("SCMP_ACT_ALLOW", None) == 0x7FFF0000


def test_the_reader_of_configurations_knows_the_same_names() -> None:
    """Otherwise one of them would refuse what the other takes."""
    assert set(names.SECCOMP_ACTIONS) == set(tables.ACTIONS)
    assert set(names.SECCOMP_FLAGS) == set(tables.FLAGS)
    assert set(names.SECCOMP_OPERATORS) == set(tables.OPERATORS)
    assert set(names.SECCOMP_ARCHITECTURES) == set(tables.ARCHITECTURES)
