"""Reading a command line: the rules of Go's flag package, runc's words for errors."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.cli.options import (
    Command,
    Flag,
    HelpRequested,
    UsageError,
    check_arity,
    parse,
    parse_duration,
    parse_int,
    quoted,
)

FLAGS = (
    Flag("bundle, b", "", "string"),
    Flag("detach, d", ""),
    Flag("env, e", "", "list"),
    Flag("preserve-fds", "", "int"),
    Flag("interval", "", "duration", 5.0),
    Flag("time, t", "", "seconds", 10.0),
)


@pytest.mark.parametrize(
    "words",
    [
        ["--bundle", "B", "x"],
        ["--bundle=B", "x"],
        ["-bundle=B", "x"],
        ["-bundle", "B", "x"],
        ["-b", "B", "x"],
        ["-b=B", "x"],
        ["x", "--bundle=B"],
        ["x", "-b", "B"],
        ["-b", "other", "x", "-b", "B"],
    ],
)
def test_every_way_to_write_a_value_is_understood(words: list[str]) -> None:
    values, rest = parse(FLAGS, words, flags_first=False)

    assert (values.text("bundle"), rest) == ("B", ["x"])


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], False),
        (["-d"], True),
        (["--detach"], True),
        (["--detach=false"], False),
        (["-d=1"], True),
        (["-d=T"], True),
        (["-d", "-d=0"], False),
    ],
)
def test_a_boolean_takes_a_value_only_with_an_equals_sign(words: list[str], expected: Any) -> None:
    values, rest = parse(FLAGS, words, flags_first=False)

    assert (values.on("detach"), rest) == (expected, [])


def test_a_boolean_leaves_the_next_word_alone() -> None:
    values, rest = parse(FLAGS, ["-d", "true"], flags_first=False)

    assert (values.on("detach"), rest) == (True, ["true"])


def test_a_repeated_flag_keeps_every_value_in_order() -> None:
    values, _ = parse(FLAGS, ["-e", "A=1", "--env=B=2", "x", "-e", "A=3"], flags_first=False)

    assert values.many("env") == ["A=1", "B=2", "A=3"]


def test_defaults_are_not_shared_between_calls() -> None:
    first, _ = parse(FLAGS, ["-e", "A=1"], flags_first=False)
    second, _ = parse(FLAGS, [], flags_first=False)

    assert first.many("env") == ["A=1"]
    assert second.many("env") == []


def test_after_the_first_argument_nothing_is_a_flag_when_flags_come_first() -> None:
    values, rest = parse(FLAGS, ["-d", "x", "ls", "-l", "--bundle"], flags_first=True)

    assert (values.on("detach"), rest) == (True, ["x", "ls", "-l", "--bundle"])


def test_two_dashes_end_the_flags() -> None:
    values, rest = parse(FLAGS, ["x", "--", "-d", "--"], flags_first=False)

    assert (values.on("detach"), rest) == (False, ["x", "-d", "--"])


def test_one_dash_is_an_argument() -> None:
    assert parse(FLAGS, ["-"], flags_first=False)[1] == ["-"]


def test_a_value_may_look_like_a_flag() -> None:
    values, rest = parse(FLAGS, ["--bundle", "-d", "x"], flags_first=False)

    assert (values.text("bundle"), values.on("detach"), rest) == ("-d", False, ["x"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--bogus"], "flag provided but not defined: -bogus"),
        (["x", "--bogus=1"], "flag provided but not defined: -bogus"),
        (["-"], None),
        (["---x"], "bad flag syntax: ---x"),
        (["--=x"], "bad flag syntax: --=x"),
        (["--bundle"], "flag needs an argument: -bundle"),
        (["-b"], "flag needs an argument: -b"),
        (["--detach=x"], 'invalid boolean value "x" for -detach: parse error'),
        (["--detach="], 'invalid boolean value "" for -detach: parse error'),
        (["--preserve-fds", "x"], 'invalid value "x" for flag -preserve-fds: parse error'),
        (["--preserve-fds", "1_0"], 'invalid value "1_0" for flag -preserve-fds: parse error'),
        (["--interval", "5"], 'invalid value "5" for flag -interval: parse error'),
    ],
)
def test_errors_have_the_words_of_the_flag_package(words: list[str], message: str | None) -> None:
    if message is None:
        parse(FLAGS, words, flags_first=False)
        return
    with pytest.raises(UsageError) as error:
        parse(FLAGS, words, flags_first=False)

    assert str(error.value) == message


@pytest.mark.parametrize("word", ["-h", "--help", "-help", "--h"])
def test_help_is_a_flag_of_every_command(word: str) -> None:
    with pytest.raises(HelpRequested):
        parse(FLAGS, ["x", word], flags_first=False)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("100ms", 0.1),
        ("1s", 1.0),
        ("1m30s", 90.0),
        ("1.5h", 5400.0),
        ("0", 0.0),
        ("-2s", -2.0),
        ("2us", 2e-6),
        ("2µs", 2e-6),
        ("3ns", 3e-9),
        (".5s", 0.5),
        ("", None),
        ("1", None),
        ("s", None),
        (".s", None),
        ("1 s", None),
        ("1x", None),
        ("1s2", None),
        ("1..5s", None),
        ("\u0661s", None),
        ("1e3s", None),
    ],
)
def test_durations_are_gos(text: str, seconds: float | None) -> None:
    assert parse_duration(text) == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(("text", "seconds"), [("7", 7.0), ("1m", 60.0), ("0", 0.0)])
def test_seconds_may_be_plain(text: str, seconds: float | None) -> None:
    values, _ = parse(FLAGS, ["--time", text], flags_first=False)

    assert values.seconds("time") == seconds


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0),
        ("-1", -1),
        ("+7", 7),
        ("9223372036854775807", (1 << 63) - 1),
        ("9223372036854775808", None),
        ("9" * 5000, None),
        ("", None),
        ("-", None),
        (" 1", None),
        ("1_0", None),
        ("\u0663", None),
        ("0x10", None),
    ],
)
def test_integers_are_read_strictly(text: str, number: int | None) -> None:
    assert parse_int(text) == number


@pytest.mark.parametrize(
    ("arity", "count", "message"),
    [
        ((1, 1), 0, 'runc: "x" requires exactly 1 argument(s)'),
        ((1, 1), 2, 'runc: "x" requires exactly 1 argument(s)'),
        ((0, 0), 1, 'runc: "x" requires exactly 0 argument(s)'),
        ((1, 2), 0, 'runc: "x" requires a minimum of 1 argument(s)'),
        ((1, 2), 3, 'runc: "x" requires a maximum of 2 argument(s)'),
        ((1, None), 0, 'runc: "x" requires a minimum of 1 argument(s)'),
    ],
)
def test_the_wrong_number_of_arguments_is_told_in_runcs_words(
    arity: tuple[int, int | None], count: Any, message: str | None
) -> None:
    with pytest.raises(UsageError) as error:
        check_arity("runc", Command("x", "", arity=arity), count)

    assert str(error.value) == message


@pytest.mark.parametrize(("arity", "count"), [((1, 1), 1), ((1, 2), 2), ((1, None), 40)])
def test_the_right_number_of_arguments_passes(arity: tuple[int, int | None], count: Any) -> None:
    check_arity("runc", Command("x", "", arity=arity), count)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", '"plain"'),
        ('a "b"\n', '"a \\"b\\"\\n"'),
        ("\x1b[31m\x00\x7f", '"\\x1b[31m\\x00\\x7f"'),
        ("é→", '"é→"'),
        ("\u202e", '"\\u202e"'),
        ("\U000e0001", '"\\U000e0001"'),
        (b"\xff".decode("utf-8", "surrogateescape"), '"\\xff"'),
    ],
)
def test_quoting_lets_no_control_character_through(text: str, expected: Any) -> None:
    assert quoted(text) == expected
