"""Which hooks apply, in which order, and what is executed for each."""

import pytest

from hooks.command import prepare
from hooks.errors import HookError
from hooks.order import plan_hooks
from hooks.stages import BY_NAME, STAGES
from hooks.types import Hook, Hooks


def test_stages_in_the_order_of_a_life() -> None:
    assert [stage.name for stage in STAGES] == [
        "prestart",
        "createRuntime",
        "createContainer",
        "startContainer",
        "poststart",
        "poststop",
    ]


def test_only_a_failed_poststop_is_not_the_end() -> None:
    assert [stage.name for stage in STAGES if stage.keep_going] == ["poststop"]


def test_container_hooks_run_in_the_container() -> None:
    inside = [stage.name for stage in STAGES if stage.namespaces == "container"]

    assert inside == ["createContainer", "startContainer"]
    assert BY_NAME["createContainer"].resolved_in == "runtime"
    assert BY_NAME["startContainer"].resolved_in == "container"


def test_hooks_keep_their_listed_order() -> None:
    hooks: Hooks = {"prestart": [{"path": "/b"}, {"path": "/a"}], "poststop": [{"path": "/c"}]}

    assert plan_hooks(hooks, "prestart") == [{"path": "/b"}, {"path": "/a"}]
    assert plan_hooks(hooks, "poststop") == [{"path": "/c"}]


def test_a_stage_without_hooks_is_empty() -> None:
    assert plan_hooks({}, "poststart") == []
    assert plan_hooks(None, "poststart") == []


def test_the_plan_is_a_copy() -> None:
    hooks: Hooks = {"prestart": [{"path": "/a"}]}
    plan_hooks(hooks, "prestart").clear()

    assert hooks["prestart"] == [{"path": "/a"}]


def test_an_unknown_stage_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(KeyError):
        plan_hooks({}, "poststrat")


def test_without_args_argv_is_the_path() -> None:
    assert prepare("prestart", 0, {"path": "/bin/x"}, None, None).argv == [b"/bin/x"]


def test_args_are_the_whole_argv() -> None:
    hook: Hook = {"path": "/usr/bin/clean", "args": ["cleanup.sh", "-f"]}

    assert prepare("poststop", 0, hook, None, None).argv == [b"cleanup.sh", b"-f"]


def test_environment_is_the_hooks_own() -> None:
    hook: Hook = {"path": "/x", "env": ["A=1", "B", "A=2=3", "=c", "D="]}

    assert prepare("prestart", 0, hook, None, None).env == {b"A": b"2=3", b"D": b""}
    assert prepare("prestart", 0, {"path": "/x"}, None, None).env == {}


def test_own_timeout_wins_over_the_default() -> None:
    assert prepare("prestart", 0, {"path": "/x", "timeout": 3}, None, 9).timeout == 3
    assert prepare("prestart", 0, {"path": "/x"}, None, 9).timeout == 9
    assert prepare("prestart", 0, {"path": "/x"}, None, None).timeout is None


@pytest.mark.parametrize(
    ("hook", "reason"),
    [
        ({"path": "bin/x"}, "path is not absolute"),
        ({"path": ""}, "path is not absolute"),
        ({"path": "/x\0y"}, "path, args or env contain a NUL character"),
        ({"path": "/x", "args": ["a", "b\0"]}, "path, args or env contain a NUL character"),
        ({"path": "/x", "env": ["A=\0"]}, "path, args or env contain a NUL character"),
        ({"path": "/x", "args": ["\ud800"]}, "path, args or env are not UTF-8"),
        ({"path": "/x", "timeout": 0}, "timeout must be greater than zero, not 0"),
        ({"path": "/x", "timeout": -1}, "timeout must be greater than zero, not -1"),
    ],
)
def test_what_cannot_be_executed_is_refused(hook: Hook, reason: str) -> None:
    with pytest.raises(HookError) as caught:
        prepare("createRuntime", 2, hook, None, None)

    assert caught.value.reason == reason
    assert str(caught.value).startswith(f"error running createRuntime hook #2: {reason}, stdout: ")
