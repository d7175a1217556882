"""What commands make of their arguments: signals, users, capabilities, tables."""

from __future__ import annotations

import signal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.cli.format import table
from runtime.cli.launching import check_terminal, listen_fds
from runtime.cli.options import Flag, parse
from runtime.cli.process import (
    LAST_ID,
    from_flags,
    known_capabilities,
    parse_user,
    with_capabilities,
)
from runtime.cli.signals import parse_signal
from runtime.commands.exec import COMMAND as EXEC
from runtime.commands.ps import chosen
from runtime.errors import CrecheError
from runtime.spec.types import Process


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("9", 9),
        ("0", 0),
        ("64", 64),
        ("KILL", signal.SIGKILL),
        ("SIGKILL", signal.SIGKILL),
        ("sigterm", signal.SIGTERM),
        ("Hup", signal.SIGHUP),
        ("RTMIN", signal.SIGRTMIN),
        ("SIGRTMIN+3", signal.SIGRTMIN + 3),
        ("rtmax-1", signal.SIGRTMAX - 1),
        ("CHLD", signal.SIGCHLD),
    ],
)
def test_signals_by_name_and_number(text: str, number: int | None) -> None:
    assert parse_signal(text) == number


@pytest.mark.parametrize(
    "text",
    [
        "",
        "65",
        "-1",
        "999",
        "FOO",
        "SIG",
        "_BLOCK",
        "SIG_DFL",
        "TERM+1",
        "RTMIN+99",
        "RTMIN-1",
        "RTMIN+",
        "9 ",
        "\u0669",
        "NAL",
        "signal",
        "KILL\n",
    ],
)
def test_what_is_no_signal_is_refused(text: str) -> None:
    with pytest.raises(CrecheError, match="unknown signal"):
        parse_signal(text)


@pytest.mark.parametrize(
    ("text", "user"),
    [
        ("0", (0, None)),
        ("1000", (1000, None)),
        ("1:2", (1, 2)),
        ("01", (1, None)),
        ("4294967294:4294967294", (LAST_ID, LAST_ID)),
    ],
)
def test_users_are_numbers(text: str, user: tuple[int, int | None]) -> None:
    assert parse_user(text) == user


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "1:",
        ":1",
        "root",
        "1 ",
        " 1",
        "+1",
        "-1",
        "1:x",
        "1:2:3",
        "1_0",
        "0x1",
        "1e3",
        "4294967295",
        "4294967296",
        "99999999999999999999",
        "\u0661",
        "²",
        "1\n",
        "1\0",
    ],
)
def test_what_is_no_user_is_refused(text: str) -> None:
    with pytest.raises(CrecheError, match=r"invalid (user|group) id"):
        parse_user(text)


@given(st.text(max_size=12))
def test_no_text_becomes_root_by_accident(text: str) -> None:
    try:
        uid, gid = parse_user(text)
    except CrecheError:
        return
    first, _, second = text.partition(":")

    assert str(uid) == first.lstrip("0") or (set(first) == {"0"} and uid == 0)
    assert gid is None or str(gid) == second.lstrip("0") or set(second) == {"0"}


def exec_process(base: Process, *words: str) -> Process:
    values, args = parse(EXEC.flags, words, flags_first=True)
    return from_flags(base, args, values, pytest.fail)


BASE: Process = {
    "args": ["sh"],
    "cwd": "/",
    "env": ["PATH=/bin", "HOME=/root"],
    "terminal": True,
    "user": {"uid": 0, "gid": 5, "umask": 0o22, "additionalGids": [7]},
    "capabilities": {"bounding": ["CAP_KILL"], "permitted": ["CAP_KILL"]},
    "noNewPrivileges": True,
}


def test_exec_takes_the_configurations_process() -> None:
    assert exec_process(BASE, "ls", "-l") == {**BASE, "args": ["ls", "-l"], "terminal": False}


def test_exec_flags_replace_parts_of_it() -> None:
    process = exec_process(
        BASE,
        "-t",
        "--cwd=/tmp",
        "-e",
        "A=1",
        "-u",
        "10:20",
        "-g",
        "30",
        "--no-new-privs=false",
        "x",
    )

    assert process["terminal"] is True
    assert process["cwd"] == "/tmp"
    assert process["user"] == {"uid": 10, "gid": 20, "umask": 0o22, "additionalGids": [30]}
    assert process["env"] == ["PATH=/bin", "A=1"]
    assert process["noNewPrivileges"] is False


def test_a_user_alone_keeps_the_configurations_group_and_drops_its_others() -> None:
    assert exec_process(BASE, "-u", "9", "x")["user"] == {"uid": 9, "gid": 5, "umask": 0o22}


def test_the_configuration_is_not_changed() -> None:
    before = repr(BASE)
    exec_process(BASE, "-u", "1", "-g", "2", "-c", "CAP_CHOWN", "-e", "X=1", "x")

    assert repr(BASE) == before


def test_added_capabilities_are_never_inheritable() -> None:
    found = with_capabilities({"bounding": ["CAP_KILL"]}, ["CAP_KILL", "CAP_NET_ADMIN"])

    assert found == {
        "bounding": ["CAP_KILL", "CAP_NET_ADMIN"],
        "effective": ["CAP_KILL", "CAP_NET_ADMIN"],
        "permitted": ["CAP_KILL", "CAP_NET_ADMIN"],
    }


def test_added_capabilities_are_ambient_only_if_inheritable_already() -> None:
    found = with_capabilities({"inheritable": ["CAP_KILL"]}, ["CAP_KILL", "CAP_CHOWN"])

    assert found["ambient"] == ["CAP_KILL"]
    assert found["inheritable"] == ["CAP_KILL"]


def test_tables_are_set_like_tabwriter() -> None:
    assert table([("ID", "PID", "OWNER"), ("a" * 20, "1", "root")]) == (
        "ID                     PID         OWNER\n" + "a" * 20 + "   1           root\n"
    )


@pytest.mark.parametrize(
    ("terminal", "detach", "socket", "message"),
    [
        (True, True, "", "cannot allocate tty if runc will detach without setting console socket"),
        (False, True, "s", "cannot use console socket if runc will not detach or allocate tty"),
        (True, False, "s", "cannot use console socket if runc will not detach or allocate tty"),
        (True, True, "s", None),
        (True, False, "", None),
        (False, True, "", None),
    ],
)
def test_a_terminal_needs_somebody_to_hold_it(
    terminal: bool, detach: bool, socket: str, message: str | None
) -> None:
    if message is None:
        check_terminal("runc", terminal=terminal, detach=detach, socket=socket)
        return
    with pytest.raises(CrecheError) as error:
        check_terminal("runc", terminal=terminal, detach=detach, socket=socket)

    assert str(error.value) == message


PS = "UID        PID  PPID CMD\nroot        10     1 sh -c x\nroot       101     1 sleep\n"


def test_ps_keeps_the_header_and_the_containers_lines() -> None:
    assert chosen(PS, frozenset({101})) == (
        "UID        PID  PPID CMD\nroot       101     1 sleep\n"
    )


def test_ps_needs_a_pid_column() -> None:
    with pytest.raises(CrecheError, match="couldn't find PID field"):
        chosen("USER CMD\n", frozenset())


@pytest.mark.parametrize(
    ("count", "owner", "expected"),
    [
        ("3", None, 3),
        ("3", "own", 3),
        ("3", "1", 0),
        ("x", None, 0),
        ("-1", None, 0),
        (None, None, 0),
    ],
)
def test_socket_activation_counts_only_if_it_is_ours(
    monkeypatch: pytest.MonkeyPatch, count: Any, owner: str | None, expected: Any
) -> None:
    import os

    for name, value in (("LISTEN_FDS", count), ("LISTEN_PID", owner)):
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, str(os.getpid()) if value == "own" else value)

    assert listen_fds() == expected


def test_every_flag_of_every_command_can_be_read() -> None:
    """Each table makes a parser, and each string flag takes a value in both forms."""
    from runtime.cli.main import COMMANDS, GLOBAL_FLAGS, command_of

    tables = [GLOBAL_FLAGS, *(command_of(name).flags for name in COMMANDS)]
    for flags in tables:
        names = [name for flag in flags for name in flag.names]
        assert len(names) == len(set(names))
        for flag in flags:
            assert isinstance(flag, Flag)
            value = {"bool": "true", "int": "3", "duration": "3s"}.get(flag.kind, "3")
            values, rest = parse(flags, [f"--{flag.names[0]}={value}"], flags_first=True)
            assert values.given(flag.names[0])
            assert rest == []


def test_capabilities_are_taken_in_either_spelling() -> None:
    warnings: list[str] = []
    words = ["net_admin", "CAP_KILL", "cap_chown", "none-such"]

    assert known_capabilities(words, warnings.append) == ["CAP_NET_ADMIN", "CAP_KILL", "CAP_CHOWN"]
    assert warnings == ['--cap: unknown capabilities ignored: "none-such"']
