"""What real containers write: to files, bounded and escaped, across restarts of creched."""

from __future__ import annotations

import os
import re
import signal
import socket
from pathlib import Path

import pytest

from tests.integration.supervised import Creched
from tests.support.waiting import wait_for, wait_path

pytestmark = pytest.mark.root

FILE = '[restart]\npolicy = "never"\n[stop]\ntimeout = "100ms"\n[logs]\nto = "file"\n'
RECORD = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z (stdout|stderr|creched) (.*)")


def sh(script: str) -> str:
    """A [container] table that runs a script of busybox's shell."""
    return f"[container]\nargs = ['busybox', 'sh', '-c', '''{script}''']\n"


def records(creched: Creched, name: str) -> list[tuple[str, str]]:
    """Stream and text of each record, the oldest file first."""
    directory = creched.state / "logs" / name
    files = sorted(directory.glob("output*"), key=lambda path: (len(path.name), path.name))
    text = "".join(path.read_text() for path in [*files[:0:-1], *files[:1]])
    matches = [RECORD.fullmatch(line) for line in text.splitlines()]
    assert all(matches), text
    return [(match[1], match[2]) for match in matches if match]


def test_both_streams(creched: Creched) -> None:
    """Whole lines with a time and their stream; the last ones are told with the end."""
    creched.add("a", FILE + sh("echo one; echo two >&2; printf three; exit 4"))
    creched.start("--once")
    creched.finish()

    assert sorted(records(creched, "a")) == [
        ("stderr", "two"), ("stdout", "one"), ("stdout", "three"),
    ]  # fmt: skip
    assert sorted(creched.find("exited", "a")[0]["output"]) == ["one", "three", "two"]
    directory = creched.state / "logs" / "a"
    assert directory.stat().st_mode & 0o777 == 0o700
    assert (directory / "output").stat().st_mode & 0o777 == 0o600


def test_hostile_output(creched: Creched) -> None:
    """Escape sequences, NULs, forged records, a line without end: one printable record each."""
    forged = "2026-01-01T00:00:00.000000Z creched all is well"
    creched.add(
        "a",
        FILE
        + sh(
            rf'printf "\033[2J\000\r{forged}\n"; head -c 9000000 /dev/zero | tr "\000" x; echo; '
            'echo {"timestamp":1}; echo 2026-01-01T00:00:00.0Z stdout F x'
        ),
    )
    creched.start("--once")
    creched.finish()

    found = records(creched, "a")
    assert found[0] == ("stdout", f"\\x1b[2J\\x00\\r{forged}")
    assert re.fullmatch(r"x{16384} \[\d+ bytes more\]", found[1][1])
    assert found[2:] == [
        ("stdout", "{timestamp:1}"), ("stdout", "2026-01-01T00:00:00.0Z stdout F x"),
    ]  # fmt: skip


def test_a_flood_is_limited_and_blocks_nobody(creched: Creched) -> None:
    """It comes to its end, the files stay small, and what is missing is counted."""
    creched.add(
        "a",
        FILE
        + 'size = "64K"\nfiles = 3\nrate = "64K"\n'
        + sh("i=0; while [ $i -lt 20 ]; do yes | head -c 1000000; i=$((i+1)); done; exit 5"),
    )
    creched.start("--once")
    creched.finish()

    assert creched.find("exited", "a")[0]["code"] == 5
    files = list((creched.state / "logs" / "a").iterdir())
    assert len(files) <= 3
    assert sum(path.stat().st_size for path in files) < 64 * 1024 * 60
    [last] = [text for stream, text in records(creched, "a") if stream == "creched"][-1:]
    assert re.fullmatch(r"dropped \d+ lines", last)
    assert creched.find("exited", "a")[0]["output"][-1] == "y"


def test_a_program_that_is_held_up(creched: Creched) -> None:
    """With `block` nothing is lost: the program waits."""
    creched.add(
        "a",
        FILE + 'rate = "100K"\non-full = "block"\n' + sh("seq 100000; exit 5"),
    )
    creched.start("--once")
    creched.finish()

    assert [text for _, text in records(creched, "a")] == [str(n) for n in range(1, 100001)]


def test_links_in_place_of_the_log(creched: Creched, tmp_path: Path) -> None:
    """Are not followed; the container runs, and that there is no log is told."""
    victim = tmp_path / "victim"
    victim.write_text("precious\n")
    directory = creched.state / "logs" / "a"
    creched.state.mkdir(mode=0o700)
    directory.mkdir(parents=True, mode=0o700)
    (directory / "output").symlink_to(victim)
    creched.add("a", FILE + sh("echo x; exit 5"))
    creched.start("--once")
    creched.finish()

    assert victim.read_text() == "precious\n"
    assert creched.find("exited", "a")[0]["code"] == 5
    assert "cannot be written" in creched.find("container-warning", "a")[0]["message"]


def test_nothing_is_lost_when_creched_is_killed(creched: Creched) -> None:
    """The container notices nothing; what it writes meanwhile is there afterwards, once."""
    creched.add(
        "a",
        FILE
        + sh("trap exit TERM; i=0; while :; do i=$((i+1)); echo $i; busybox usleep 2000; done"),
    )
    creched.start()
    creched.wait_for("started", "a")
    pid = creched.find("created", "a")[0]["pid"]
    log = creched.state / "logs" / "a"
    wait_path(log.parent)
    wait_path(log)
    for round_ in range(1, 4):
        seen = len(_lines(creched))
        wait_for(lambda seen=seen: len(_lines(creched)) > seen + 50, log)  # type: ignore[misc]
        creched.signal(signal.SIGKILL)
        creched.finish()
        os.kill(pid, 0)
        creched.start()
        creched.wait_for("adopted", "a", round_)
    creched.stop()

    numbers = [int(text) for _, text in records(creched, "a")]
    assert numbers == list(range(1, len(numbers) + 1))


def _lines(creched: Creched) -> list[str]:
    path = creched.state / "logs" / "a" / "output"
    return path.read_text().splitlines() if path.exists() else []


def test_the_journal_gets_the_descriptor(tmp_path: Path) -> None:
    """Its protocol, with a journal that we play: the container itself holds the connection."""
    from supervisor.output import journal

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        path = str(tmp_path / "stdout")
        listener.bind(path)
        listener.listen()
        stream = journal.open_stream("web", 6, path)
        connection = listener.accept()[0]
        os.write(stream, b"<3>bad\n")
        os.close(stream)
        with connection, connection.makefile("rb") as file:
            assert file.read() == b"creche-web\n\n6\n1\n0\n0\n0\n<3>bad\n"
