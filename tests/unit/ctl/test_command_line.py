"""The command line: quick to start, completed by shells, refused in words."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from supervisor.ctl import completion
from supervisor.ctl.commands import BY_NAME, COMMANDS, STATUSES
from supervisor.ctl.main import main
from supervisor.ctl.table import made, plain
from tests.support.repository import REPOSITORY

DEAR = {
    "asyncio", "dataclasses", "h11", "prometheus_client", "pyinotify", "pyroute2", "rich",
    "structlog", "subprocess", "tempfile", "trio",
}  # fmt: skip


@pytest.mark.parametrize("command", [command.module for command in COMMANDS])
def test_starts_light(command: str) -> None:
    """No command loads what only creched, or a table on a terminal, needs."""
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); import supervisor.crechectl; "
        "import supervisor.ctl.client, supervisor.ctl.parser; "
        f"import supervisor.ctl.{command}; print(' '.join(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", program, str(REPOSITORY)],
        check=True,
        capture_output=True,
        text=True,
    )
    loaded = set(done.stdout.split())
    # The table of events is one of dataclasses, which import inspect.
    dear = DEAR - ({"dataclasses"} if command in ("events", "explain") else set())

    assert f"supervisor.ctl.{command}" in loaded
    assert loaded & dear == set()


@pytest.mark.parametrize("name", completion.FILES)
def test_completions_are_current(name: str) -> None:
    """`python -m supervisor.ctl.completion` writes them."""
    assert (completion.DIRECTORY / name).read_text() == completion.FILES[name]()


def complete(tmp_path: Path, words: list[str]) -> list[str]:
    """What bash offers; `crechectl status --json` is a stub that knows two workloads."""
    stub = tmp_path / "crechectl"
    stub.write_text('#!/bin/sh\nprintf \'[\\n  {\\n    "name": "web",\\n    "name": "wal"\\n\'')
    stub.chmod(0o755)
    script = (
        f". '{completion.DIRECTORY}/crechectl.bash'; COMP_WORDS=(crechectl \"$@\"); "
        "COMP_CWORD=$#; _crechectl; printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    done = subprocess.run(
        ["bash", "-c", script, "bash", *words],
        check=True,
        capture_output=True,
        text=True,
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
    )
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["re"], {"restart", "reset", "reload", "reexec"}),
        (["--so"], {"--socket"}),
        (["--root", "/tmp/x", "wa"], {"wait"}),
        (["stop", "w"], {"web", "wal"}),
        (["stop", "web", "wa"], {"wal"}),
        (["wait", "--for", "r"], {"ready"}),
        (["kill", "-s", "SIGUS"], {"SIGUSR1", "SIGUSR2"}),
        (["logs", "--f"], {"--follow"}),
        (["plan", ""], set()),
    ],
)
def test_bash(tmp_path: Path, words: list[str], offered: set[str]) -> None:
    """Commands, options, workloads, targets, signals."""
    assert set(complete(tmp_path, words)) == offered


def test_zsh() -> None:
    """It can be read, and completes commands."""
    path = completion.DIRECTORY / "_crechectl"
    subprocess.run(["zsh", "-f", "-n", str(path)], check=True)


def test_fish() -> None:
    """It offers commands and options."""
    script = f"source '{completion.DIRECTORY}/crechectl.fish'; complete -C 'crechectl re'"
    done = subprocess.run(
        ["fish", "--no-config", "-c", script], check=True, capture_output=True, text=True
    )
    offered = {line.split("\t")[0] for line in done.stdout.splitlines()}

    assert offered == {"restart", "reset", "reload", "reexec"}


def test_nobody_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Status 3, and where it was looked for."""
    assert main(["--root", str(tmp_path), "status"]) == 3
    assert f"no creched listens at {tmp_path}/.creched/control.sock" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [["wait"], ["wait", "web", "--for", "ever"], ["events", "--since", "-1"], ["stat"], ["stop"]],
)
def test_bad_command_lines(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Status 2, before anybody is asked."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


def test_help_tells_the_statuses(capsys: pytest.CaptureFixture[str]) -> None:
    """Scripts depend on them."""
    with pytest.raises(SystemExit):
        main(["--help"])
    told = " ".join(capsys.readouterr().out.split())
    assert all(name in told for name in BY_NAME)
    assert all(f"{status}: " in told for status in STATUSES)


def test_tables() -> None:
    """Plain columns into a pipe; on a terminal the texts are no markup."""
    rows = [["web", "running", "12"], ["[bold]db", "failed", "3"]]

    assert plain(("name", "status", "pid"), rows, (2,)) == [
        "NAME      STATUS   PID",
        "web       running   12",
        "[bold]db  failed     3",
    ]
    from io import StringIO

    from rich.console import Console

    out = StringIO()
    Console(file=out, force_terminal=True, width=80).print(made(("name", "status"), rows, ()))
    assert "[bold]db" in out.getvalue()
    assert "\x1b[32m" in out.getvalue()
