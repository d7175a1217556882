"""The words for a failed hook: callers match how they begin."""

import pytest

from hooks.errors import HookError, strerror
from hooks.result import HookResult


def test_text_is_runcs_and_names_the_path() -> None:
    error = HookError("prestart", 0, "/bin/false", "exit status 1", HookResult(1))

    assert str(error) == (
        "error running prestart hook #0: exit status 1, stdout: , stderr: , path: /bin/false"
    )


def test_output_is_shown() -> None:
    error = HookError("poststop", 3, "/x", "exit status 2", HookResult(2, stdout=b"o\n"))

    assert "exit status 2, stdout: o, stderr: , path: /x" in str(error)
    assert error.tail == "o"


def test_tail_prefers_stderr() -> None:
    result = HookResult(2, stdout=b"progress", stderr=b"no space left\n")

    assert HookError("poststop", 3, "/x", "exit status 2", result).tail == "no space left"


def test_a_path_in_the_reason_is_not_repeated() -> None:
    reason = "fork/exec /nope: no such file or directory"

    assert str(HookError("poststart", 1, "/nope", reason)) == (
        f"error running poststart hook #1: {reason}, stdout: , stderr: "
    )


def test_attributes_say_the_same() -> None:
    result = HookResult(7)
    error = HookError("startContainer", 4, "/x", "exit status 7", result)

    assert (error.stage, error.index, error.path) == ("startContainer", 4, "/x")
    assert error.reason == "exit status 7"
    assert error.result is result


def test_hostile_output_and_path_stay_one_line() -> None:
    result = HookResult(1, stdout=b"\x1b]0;x\x07\nlevel=error", stderr=b"\r\x00\xff!")
    error = HookError("prestart", 0, "/a\nb", "exit status 1", result)

    assert str(error).isprintable()
    assert str(error).endswith("path: /a\\nb")


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (HookResult(1), "exit status 1"),
        (HookResult(255), "exit status 255"),
        (HookResult(signal=9), "signal: killed"),
        (HookResult(signal=15), "signal: terminated"),
        (HookResult(signal=31, core=True), "signal: bad system call (core dumped)"),
        (HookResult(signal=40), "signal: signal 40"),
        (HookResult(), "exit status unknown"),
    ],
)
def test_how_it_ended(result: HookResult, words: str) -> None:
    assert result.describe() == words


def test_errno_begins_in_lower_case() -> None:
    assert strerror(2) == "no such file or directory"
