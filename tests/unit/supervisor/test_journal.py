"""The journal: numbered without gaps, bounded, read from any number on, whole after a crash."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from supervisor.store.journal import Cursor, Journal

Damage = tuple[str, str, str]


def line(number: int, size: int = 40) -> bytes:
    text = json.dumps({"seq": number, "event": "x" * size})
    return text.encode() + b"\n"


def fill(journal: Journal, count: int, size: int = 40) -> None:
    for _ in range(count):
        journal.append(journal.last + 1, line(journal.last + 1, size))


def numbers(lines: object) -> list[int]:
    return [json.loads(text)["seq"] for text in lines]  # type: ignore[attr-defined]


def open_journal(path: Path, **options: int) -> tuple[Journal, list[Damage]]:
    damage: list[Damage] = []
    return Journal(str(path), lambda *told: damage.append(told), **options), damage


def test_empty(tmp_path: Path) -> None:
    """Nothing has happened yet."""
    journal, damage = open_journal(tmp_path)

    assert (journal.first, journal.last) == (1, 0)
    assert list(journal.read(1)) == []
    assert damage == []


def test_read_from_any_number(tmp_path: Path) -> None:
    """Over the borders of files."""
    journal, _ = open_journal(tmp_path, size=300, files=100)
    fill(journal, 50)

    assert len(os.listdir(tmp_path)) > 5
    for number in range(1, 51):
        assert numbers(journal.read(number)) == list(range(number, 51))
    assert list(journal.read(51)) == []
    journal.close()


def test_bounded(tmp_path: Path) -> None:
    """The oldest goes; a reader who is overtaken is told how much he has missed."""
    journal, _ = open_journal(tmp_path, size=300, files=3)
    fill(journal, 5)
    slow = Cursor(journal, 1)
    assert numbers(slow.read()) == [1, 2, 3, 4, 5]
    fill(journal, 500)

    assert len(os.listdir(tmp_path)) == 3
    assert journal.last == 505
    assert numbers(journal.read(1)) == list(range(journal.first, 506))
    assert numbers(slow.read())[0] == journal.first
    assert slow.missed == journal.first - 6
    journal.close()


@given(st.integers(1, 30), st.integers(0, 60), st.integers(100, 2000))
def test_goes_on_after_a_crash(count: int, cut: int, size: int) -> None:
    """Whatever is missing of the last line: it was never handed on, and its number is used anew."""
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        path = Path(name)
        journal, _ = open_journal(path, size=size, files=100)
        fill(journal, count)
        journal.close()
        newest = sorted(path.iterdir())[-1]
        data = newest.read_bytes()
        last = data[: -min(cut, len(line(count)))] if cut else data
        newest.write_bytes(last)
        journal, damage = open_journal(path, size=size, files=100)

        assert journal.last == (count - 1 if cut else count)
        fill(journal, 5)
        assert numbers(journal.read(1)) == list(range(1, journal.last + 1))
        assert damage == []
        journal.close()


def test_damage_is_set_aside(tmp_path: Path) -> None:
    """What is damaged is reported, and no number is given twice."""
    journal, _ = open_journal(tmp_path, size=300, files=100)
    fill(journal, 50)
    journal.close()
    newest = sorted(tmp_path.iterdir())[-1]
    newest.write_bytes(b"\0" * 100 + b"\n")
    journal, damage = open_journal(tmp_path, size=300, files=100)

    assert [(path, Path(kept).exists()) for path, kept, _ in damage] == [(str(newest), True)]
    last = journal.last
    assert last >= int(newest.name.partition(".")[0])
    assert list(journal.read(1)) == []
    fill(journal, 3)
    assert numbers(journal.read(1)) == [last + 1, last + 2, last + 3]
    journal.close()


def test_a_file_that_is_missing_in_between(tmp_path: Path) -> None:
    """What comes after it is still there."""
    journal, _ = open_journal(tmp_path, size=300, files=100)
    fill(journal, 50)
    journal.close()
    files = sorted(tmp_path.iterdir())
    files[-2].unlink()
    journal, damage = open_journal(tmp_path, size=300, files=100)

    assert journal.last == 50
    assert journal.first == int(files[-1].name.partition(".")[0])
    assert numbers(journal.read(1)) == list(range(journal.first, 51))
    assert len(damage) == 1
    journal.close()


def test_a_number_that_does_not_follow(tmp_path: Path) -> None:
    """Begins anew: lines are found by counting."""
    journal, _ = open_journal(tmp_path)
    fill(journal, 5)
    journal.append(10, line(10))
    journal.append(11, line(11))

    assert numbers(journal.read(1)) == [10, 11]
    journal.close()


def test_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Old events make room; if that does not help, the journal goes on when there is some."""
    journal, _ = open_journal(tmp_path)
    fill(journal, 5)
    real, room = os.write, 0

    def write(fd: int, data: bytes) -> int:
        if room <= 0:
            raise OSError(28, "no space")
        return real(fd, data)

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", write)
        fill(journal, 2)
    assert list(journal.read(1)) == []
    fill(journal, 2)

    assert numbers(journal.read(1)) == [8, 9]
    journal.close()


async def test_waiting_for_more(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    """A reader is woken by the event that he waits for."""
    journal, _ = open_journal(tmp_path)
    seen: list[int] = []

    async def follow() -> None:
        cursor = Cursor(journal, 1)
        while len(seen) < 3:
            await journal.beyond(cursor.number - 1)
            seen.extend(numbers(cursor.read()))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(follow)
        for _ in range(3):
            await trio.testing.wait_all_tasks_blocked()
            fill(journal, 1)
    assert seen == [1, 2, 3]
    journal.close()
