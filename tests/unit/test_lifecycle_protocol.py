"""The order of create, start and delete, and what follows a failure of each single step.

The generators are driven without a container: a step "succeeds" by sending None back and "fails" by
throwing an exception in, which is all that a driver ever does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runtime.lifecycle.protocol import (
    AwaitExec,
    Expect,
    HandOver,
    Kill,
    Launch,
    ReleaseInit,
    RemoveCgroup,
    RemoveState,
    RunHooks,
    SaveState,
    Step,
    Tell,
    Warn,
    create,
    destroy,
    start,
)

if TYPE_CHECKING:
    from runtime.lifecycle.protocol import Steps

CREATE: list[Step] = [
    SaveState("creating"),
    Launch(),
    SaveState("creating"),
    Tell("go"),
    Expect("prepared"),
    RunHooks("prestart", "creating"),
    RunHooks("createRuntime", "creating"),
    Tell("hooks-done", "creating"),
    Expect("created"),
    HandOver(),
    SaveState("created"),
]
STRAIGHT: list[Step] = [
    SaveState("creating"),
    Launch(),
    SaveState("creating"),
    Tell("go-through"),
    Expect("created"),
    HandOver(),
    SaveState("created"),
]
START: list[Step] = [
    ReleaseInit(),
    AwaitExec(),
    SaveState("running"),
    RunHooks("poststart", "running"),
]
DESTROY: list[Step] = [
    SaveState("deleting"),
    Kill(),
    RemoveCgroup(),
    RunHooks("poststop", "stopped", keep_going=True),
    RemoveState(),
]


class Failed(Exception):
    """What a step fails with."""


def drive(protocol: Steps, failures: dict[int, BaseException]) -> tuple[list[Step], object]:
    """Perform everything, failing the steps with these indices; the steps, and what came out."""
    done: list[Step] = []
    try:
        step = next(protocol)
        while True:
            index = len(done)
            done.append(step)
            error = failures.get(index)
            step = protocol.send(None) if error is None else protocol.throw(error)
    except StopIteration:
        return done, None
    except BaseException as error:
        return done, error


def test_create_in_full() -> None:
    assert drive(create(), {}) == (CREATE, None)


def test_create_without_hooks_waits_once() -> None:
    """The order of what is done is the same; each failure is undone in the same way."""
    assert drive(create(hooks=False), {}) == (STRAIGHT, None)
    left = [step for step in CREATE if step in STRAIGHT]
    assert [step for step in STRAIGHT if step in CREATE] == left
    for index in range(1, len(STRAIGHT)):
        error = Failed("no")
        assert drive(create(hooks=False), {index: error}) == (
            [*STRAIGHT[: index + 1], *DESTROY],
            error,
        )


def test_start_in_full() -> None:
    assert drive(start(), {}) == (START, None)


def test_destroy_in_full() -> None:
    assert drive(destroy(), {}) == (DESTROY, None)


def test_state_is_saved_before_the_act_it_announces() -> None:
    """Whatever is killed when: what exists is known, so that delete finds it."""
    assert CREATE.index(SaveState("creating")) < CREATE.index(Launch())
    assert CREATE[CREATE.index(Launch()) + 1] == SaveState("creating")  # now with the pid
    assert DESTROY[0] == SaveState("deleting")
    assert DESTROY[-1] == RemoveState()


def test_the_engine_hears_of_a_container_only_when_it_is_there() -> None:
    assert CREATE.index(Expect("created")) < CREATE.index(HandOver())


def test_if_not_even_the_state_can_be_saved_nothing_was_done() -> None:
    """The id is given back; there is nothing to kill and no hook to run."""
    error = Failed("no space left")
    done, raised = drive(create(), {0: error})

    assert done == [SaveState("creating"), RemoveState()]
    assert raised is error

    done, raised = drive(create(), {0: error, 1: Failed("second")})
    assert done == [SaveState("creating"), RemoveState(), Warn("clean up: second")]
    assert raised is error


@pytest.mark.parametrize("index", range(1, len(CREATE)), ids=lambda i: f"{i}-{CREATE[i]!r}")
@pytest.mark.parametrize("kind", [Failed, KeyboardInterrupt], ids=["error", "interrupt"])
def test_every_later_step_of_create_undoes_all(index: int, kind: type[BaseException]) -> None:
    """Everything goes, poststop hooks run, and the original error comes out."""
    error = kind("the reason")
    done, raised = drive(create(), {index: error})

    assert done == CREATE[: index + 1] + DESTROY
    assert raised is error


@pytest.mark.parametrize("index", [0, 1, 2])
def test_before_poststart_a_failed_start_leaves_the_container(index: int) -> None:
    """The container is as it was: `delete` ends it, nothing is destroyed behind one's back."""
    error = Failed("exec /x: no such file or directory")
    done, raised = drive(start(), {index: error})

    assert done == START[: index + 1]
    assert raised is error


def test_a_failed_poststart_hook_ends_the_container() -> None:
    """runtime.md#lifecycle since 1.3: stop, destroy, poststop."""
    error = Failed("error running poststart hook #0: exit status 1")
    done, raised = drive(start(), {3: error})

    assert done == START + DESTROY
    assert raised is error


def test_destroy_goes_on_when_the_state_cannot_be_saved() -> None:
    """A full disk must not keep anybody from deleting."""
    done, raised = drive(destroy(), {0: Failed("no space left")})

    assert done == [DESTROY[0], Warn("no space left"), *DESTROY[1:]]
    assert raised is None


@pytest.mark.parametrize("index", range(1, len(DESTROY)), ids=lambda i: f"{i}-{DESTROY[i]!r}")
def test_what_cannot_be_removed_keeps_its_state(index: int) -> None:
    """The id stays taken while something is left, so that the next delete goes on."""
    error = Failed("the reason")
    done, raised = drive(destroy(), {index: error})

    assert done == DESTROY[: index + 1]
    assert raised is error


@pytest.mark.parametrize("index", range(1, len(DESTROY)), ids=lambda i: f"{i}-{DESTROY[i]!r}")
def test_a_failure_while_undoing_is_a_warning_and_the_first_error_comes_out(index: int) -> None:
    first, second = Failed("first"), Failed("second")
    at = CREATE.index(Expect("prepared"))
    done, raised = drive(create(), {at: first, at + 1 + index: second})

    assert done == [*CREATE[: at + 1], *DESTROY[: index + 1], Warn("clean up: second")]
    assert raised is first


def test_an_interrupt_while_undoing_is_not_swallowed() -> None:
    at = CREATE.index(Expect("prepared"))
    interrupt = KeyboardInterrupt()
    _, raised = drive(create(), {at: Failed("first"), at + 2: interrupt})

    assert raised is interrupt
    assert isinstance(interrupt.__context__, Failed)


def test_a_driver_that_goes_away_leaves_the_rest_to_the_next_delete() -> None:
    """Closing the generator asks for the undo steps; a driver that is gone cannot perform them."""
    protocol = destroy()
    next(protocol)
    protocol.close()  # nothing is yielded into the void

    with pytest.raises(StopIteration):
        next(protocol)


def test_steps_are_equal_by_content_and_hash_alike() -> None:
    assert SaveState("created") == SaveState("created")
    assert SaveState("created") != SaveState("creating")
    assert Kill() != RemoveCgroup()
    assert Kill() != "Kill"
    assert len({Tell("go"), Tell("go"), Tell("go", "creating"), Kill(), Kill()}) == 3
    assert repr(RunHooks("poststop", "stopped", keep_going=True)) == (
        "RunHooks(True, 'poststop', 'stopped')"
    )
