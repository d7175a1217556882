"""config.json's process compiled: exact lists, masks and numbers."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.errors import ConfigError
from runtime.plan.capabilities import NAMES, NUMBERS, SETS, mask, names
from runtime.plan.process import RLIMITS, compile_process, unique_env


def compiled(**process: Any) -> Any:
    base: dict[str, Any] = {"args": ["/bin/true"], "cwd": "/", "user": {"uid": 0, "gid": 0}}
    return compile_process({**base, **process})  # type: ignore[typeddict-item]


def test_the_smallest() -> None:
    """What is not given is nothing, but for the umask."""
    assert compiled() == {
        "args": ["/bin/true"],
        "env": [],
        "cwd": "/",
        "uid": 0,
        "gid": 0,
        "groups": [],
        "umask": 0o022,
        "terminal": False,
        "console_size": None,
        "capabilities": dict.fromkeys(SETS, 0),
        "rlimits": [],
        "no_new_privileges": False,
        "oom_score_adj": None,
        "scheduler": None,
        "io_priority": None,
        "affinity": ([], []),
        "apparmor": "",
        "selinux": "",
    }


def test_everything() -> None:
    plan = compiled(
        args=["a", ""],
        env=["A=1"],
        cwd="/w",
        user={"uid": 4294967294, "gid": 7, "additionalGids": [9, 8, 9], "umask": 0o77},
        terminal=True,
        consoleSize={"height": 24, "width": 80},
        noNewPrivileges=True,
        oomScoreAdj=0,
        scheduler={
            "policy": "SCHED_DEADLINE",
            "flags": ["SCHED_FLAG_RESET_ON_FORK", "SCHED_FLAG_DL_OVERRUN"],
            "runtime": 1,
            "deadline": 2,
            "period": 3,
        },
        execCPUAffinity={"initial": "0-2,5", "final": "1"},
        ioPriority={"class": "IOPRIO_CLASS_IDLE", "priority": 4},
        apparmorProfile="p",
        selinuxLabel="l",
    )

    assert (plan["args"], plan["env"], plan["cwd"]) == (["a", ""], ["A=1"], "/w")
    assert (plan["uid"], plan["gid"], plan["groups"]) == (4294967294, 7, [9, 8, 9])
    assert plan["umask"] == 0o77
    assert (plan["terminal"], plan["console_size"]) == (True, (24, 80))
    assert plan["no_new_privileges"] is True
    assert plan["oom_score_adj"] == 0  # set to nought, and not untouched
    assert plan["scheduler"] == {
        "policy": 6,
        "flags": 0x01 | 0x04,
        "nice": 0,
        "priority": 0,
        "runtime": 1,
        "deadline": 2,
        "period": 3,
    }
    assert plan["affinity"] == ([0, 1, 2, 5], [1])
    assert plan["io_priority"] == 3 << 13 | 4
    assert (plan["apparmor"], plan["selinux"]) == ("p", "l")


def test_without_a_user_it_is_root() -> None:
    """Go's zero value, on which engines rely."""
    plan = compile_process({"args": ["x"], "cwd": "/"})

    assert (plan["uid"], plan["gid"], plan["groups"]) == (0, 0, [])


def test_a_umask_of_nought_is_not_the_default() -> None:
    assert compiled(user={"uid": 0, "gid": 0, "umask": 0})["umask"] == 0


@pytest.mark.parametrize("process", [{"args": []}, {"args": None}])
def test_arguments_are_needed(process: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        compile_process({"cwd": "/", "user": {"uid": 0, "gid": 0}, **process})  # type: ignore[typeddict-item]

    assert str(caught.value) == "process.args: expected at least one argument, found none"


# Environment --------------------------------------------------------------------------------------


def test_the_later_of_two_variables_wins_at_the_place_of_the_first() -> None:
    assert unique_env(["A=1", "B=2", "A=3", "C=a=b", "D=", "B="]) == ["A=3", "B=", "C=a=b", "D="]


def test_values_may_hold_newlines_and_bytes() -> None:
    assert unique_env(["A=x\ny", "A=\udcff\n"]) == ["A=\udcff\n"]


@settings(deadline=None)
@given(st.lists(st.from_regex(r"\A[AB]{1,2}=[a=]{0,3}\Z")))
def test_each_variable_once_with_its_last_value(env: list[str]) -> None:
    result = unique_env(env)
    found = dict(entry.split("=", 1) for entry in result)

    assert len(found) == len(result)
    assert found == dict(entry.split("=", 1) for entry in env)


# Capabilities -------------------------------------------------------------------------------------


def test_numbers_are_the_kernels() -> None:
    """include/uapi/linux/capability.h; a few known ones, and the last."""
    assert NUMBERS["CAP_CHOWN"] == 0
    assert NUMBERS["CAP_SETPCAP"] == 8
    assert NUMBERS["CAP_SYS_ADMIN"] == 21
    assert NUMBERS["CAP_AUDIT_READ"] == 37
    assert NUMBERS["CAP_CHECKPOINT_RESTORE"] == 40
    assert len(NAMES) == len(set(NAMES)) == 41


@settings(deadline=None)
@given(st.sets(st.sampled_from(NAMES)))
def test_masks_there_and_back(chosen: set[str]) -> None:
    assert set(names(mask(list(chosen)))) == chosen


def test_unknown_names_have_no_bit() -> None:
    assert mask(["CAP_FROBNICATE", "CAP_KILL", "CAP_KILL"]) == 1 << 5


def capabilities(**sets: list[str]) -> dict[str, int]:
    found: dict[str, int] = compiled(capabilities=sets)["capabilities"]
    return found


CHOWN, KILL, SETUID = ["CAP_CHOWN"], ["CAP_KILL"], ["CAP_SETUID"]


def test_all_five_sets() -> None:
    both = CHOWN + KILL
    found = capabilities(
        bounding=[*both, *SETUID], permitted=both, effective=CHOWN, inheritable=KILL, ambient=KILL
    )

    assert found == {
        "bounding": 0b10100001,
        "permitted": 0b100001,
        "effective": 0b1,
        "inheritable": 0b100000,
        "ambient": 0b100000,
    }


def test_permitted_is_cut_to_bounding_and_effective_to_permitted() -> None:
    found = capabilities(bounding=CHOWN, permitted=CHOWN + KILL, effective=CHOWN + KILL + SETUID)

    assert (found["permitted"], found["effective"]) == (1, 1)


def test_nothing_is_inheritable_by_default() -> None:
    """CVE-2022-29162."""
    found = capabilities(bounding=CHOWN, permitted=CHOWN, effective=CHOWN, ambient=CHOWN)

    assert (found["inheritable"], found["ambient"]) == (0, 0)


def test_ambient_needs_permitted_too() -> None:
    assert capabilities(bounding=CHOWN, inheritable=CHOWN, ambient=CHOWN)["ambient"] == 0


# Limits -------------------------------------------------------------------------------------------


def test_all_sixteen_limits_with_the_kernels_numbers() -> None:
    assert sorted(RLIMITS.values()) == list(range(16))
    limits = [{"type": name, "soft": 1, "hard": (1 << 64) - 1} for name in RLIMITS]

    assert compiled(rlimits=limits)["rlimits"] == [
        (number, 1, 0xFFFFFFFFFFFFFFFF) for number in RLIMITS.values()
    ]


def test_numbers_match_pythons() -> None:
    import resource

    for name, number in RLIMITS.items():
        assert getattr(resource, name, number) == number
