"""supervisor/output/files.py and sink.py: rotation, links, a full disk."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from supervisor.output.files import LogFile, last_lines, log_files
from supervisor.output.sink import Sink
from supervisor.workload.sections.logs import Logs


def names(directory: Path) -> list[str]:
    """Files there."""
    return sorted(path.name for path in directory.iterdir())


def test_rotation(tmp_path: Path) -> None:
    """By size; so many files are kept; each record is in one of them, whole."""
    file = LogFile(str(tmp_path / "log"), 100, 3)
    for number in range(20):
        file.write(f"record number {number:02} and more\n".encode())
    file.close()

    assert names(tmp_path / "log") == ["output", "output.1", "output.2"]
    assert all(path.stat().st_size <= 100 for path in (tmp_path / "log").iterdir())
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in (tmp_path / "log").iterdir())
    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o700
    assert last_lines(str(tmp_path / "log"), 5) == [
        f"record number {number} and more" for number in range(15, 20)
    ]
    assert len(last_lines(str(tmp_path / "log"), 100)) == len(
        b"".join(Path(path).read_bytes() for path in log_files(str(tmp_path / "log"))).splitlines()
    )


def test_one_file_only(tmp_path: Path) -> None:
    """It begins anew."""
    file = LogFile(str(tmp_path), 10, 1)
    file.write(b"12345678\n")
    file.write(b"abcdefgh\n")
    file.close()

    assert names(tmp_path) == ["output"]
    assert last_lines(str(tmp_path), 9) == ["abcdefgh"]


def test_it_goes_on_in_the_file_that_is_there(tmp_path: Path) -> None:
    """And counts what is in it."""
    for text in (b"one\n", b"two\n"):
        file = LogFile(str(tmp_path), 7, 2)
        file.write(text)
        file.close()

    assert names(tmp_path) == ["output", "output.1"]


@pytest.mark.parametrize("kind", ["link", "fifo", "directory-link"])
def test_something_else_in_its_place(tmp_path: Path, kind: str) -> None:
    """Nothing is followed, nothing blocks."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    log = tmp_path / "log"
    if kind == "directory-link":
        (tmp_path / "elsewhere").mkdir()
        log.symlink_to(tmp_path / "elsewhere")
    else:
        log.mkdir()
        if kind == "link":
            (log / "output").symlink_to(victim)
        else:
            os.mkfifo(log / "output")
    file = LogFile(str(log), 1000, 2)

    with pytest.raises(OSError):
        file.write(b"x\n")
    file.close()
    assert victim.read_text() == "precious"
    assert not (tmp_path / "elsewhere" / "output").exists()


def test_no_logs_yet(tmp_path: Path) -> None:
    """There is nothing, and that is said."""
    assert last_lines(str(tmp_path / "none"), 10) == []


def test_a_large_file_from_its_end(tmp_path: Path) -> None:
    """Only as much as is needed, and no more than is allowed."""
    file = LogFile(str(tmp_path), 1 << 30, 2)
    file.write(b"".join(b"line %d\n" % number for number in range(50_000)))
    file.close()

    assert last_lines(str(tmp_path), 2) == ["line 49998", "line 49999"]
    assert len(last_lines(str(tmp_path), 50_000)) == 50_000
    assert 0 < len(last_lines(str(tmp_path), 50_000, most=65536)) < 10_000


class Broken(LogFile):
    """A file on a disk that is full while `full`."""

    full = False

    def write(self, records: bytes) -> None:
        """As told."""
        if self.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        super().write(records)


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines are dropped and counted, the first time is told, and then it comes back."""
    clock = [0.0]
    monkeypatch.setattr("supervisor.output.sink.time.monotonic", lambda: clock[0])
    shown: list[str] = []
    warned: list[str] = []
    file = Broken(str(tmp_path), 10_000, 2)
    sink = Sink(Logs(), file, shown.append, warned.append)
    sink.take(0, b"before\n")
    file.full = True
    sink.take(0, b"one\ntwo\n")
    sink.take(1, b"three\n")
    file.full = False
    clock[0] = 2.0
    sink.take(0, b"after\n")
    sink.end()
    sink.close()

    texts = [line.split(" ", 1)[1] for line in last_lines(str(tmp_path), 10)]
    assert texts == ["stdout before", "creched dropped 3 lines", "stdout after"]
    assert [line.split(" ", 1)[1] for line in shown] == texts
    assert len(warned) == 1
    assert "No space left" in warned[0]


def test_a_flood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is more than the rate is counted; the last lines are known all the same."""
    monkeypatch.setattr("supervisor.output.sink.time.monotonic", lambda: 0.0)
    file = LogFile(str(tmp_path), 1 << 20, 2)
    sink = Sink(Logs(rate=4096, lines=2), file, lambda line: None, lambda text: None)
    for number in range(1000):
        sink.take(0, b"%060d\n" % number * 10)
    sink.end()
    sink.close()

    lines = last_lines(str(tmp_path), 100_000)
    kept = sum(" stdout " in line for line in lines)
    assert lines[-1].endswith(f" creched dropped {10_000 - kept} lines")
    assert 0 < kept < 400
    assert sink.last() == [f"{999:060}"] * 2


def test_the_last_lines(tmp_path: Path) -> None:
    """Of both streams, printable, a line that was begun on its own."""
    sink = Sink(Logs(lines=3), None, lambda line: None, lambda text: None)
    sink.take(0, b"zero\none\n")
    sink.take(0, b"begun")
    sink.take(1, b"\x1b[2J\n")
    sink.take(0, b" more\n")

    assert sink.last() == ["begun", "\\x1b[2J", " more"]
