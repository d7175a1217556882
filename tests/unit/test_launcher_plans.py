"""What the launcher remembers of plans, and what it forgets."""

from __future__ import annotations

from typing import Any

from runtime.launcher_plans import Plans

FIRST = {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": []}
OTHER = {"defaultAction": "SCMP_ACT_LOG", "syscalls": []}


def plan(name: str, seccomp: dict[str, Any] | None = None) -> dict[str, Any]:
    """A plan's document, with a profile of its own."""
    return {"hostname": name, "seccomp": None if seccomp is None else dict(seccomp)}


def test_what_was_not_used_for_longest_is_forgotten() -> None:
    """One at a time, not all at once."""
    plans = Plans(kept=2)
    plans.add("a", plan("a"))
    plans.add("b", plan("b"))
    assert plans.get("a") is not None
    plans.add("c", plan("c"))
    assert plans.get("b") is None
    assert [known.document["hostname"] for known in map(plans.get, "ac") if known] == ["a", "c"]


def test_equal_profiles_are_one_and_are_compiled_once() -> None:
    """The filter belongs to the profile, whichever plan it came with."""
    plans = Plans()
    first, second = plans.add("a", plan("a", FIRST)), plans.add("b", plan("b", FIRST))
    other, without = plans.add("c", plan("c", OTHER)), plans.add("d", plan("d"))
    assert first.profile is second.profile
    assert first.document["seccomp"] is second.document["seccomp"]
    assert len({known.profile for known in (first, other, without)}) == 3


def test_a_plan_keeps_its_profile_when_others_come() -> None:
    """Profiles are bounded like plans, and what is in use is not lost."""
    plans = Plans(kept=1)
    first = plans.add("a", plan("a", FIRST))
    plans.add("b", plan("b", OTHER))
    assert first.document["seccomp"] == FIRST
    assert plans.add("c", plan("c", FIRST)).profile is not first.profile
