"""Documents on disk: whole, or set aside."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from supervisor.record import Intent, Record
from supervisor.store.files import Documents
from supervisor.store.records import StoredRecords


class Told:
    """What was reported as damaged."""

    def __init__(self) -> None:
        self.all: list[tuple[str, str, str]] = []

    def __call__(self, path: str, kept: str, reason: str) -> None:
        self.all.append((path, kept, reason))


@pytest.fixture
def told() -> Told:
    return Told()


def test_saved_and_loaded(tmp_path: Path, told: Told) -> None:
    """Each name has its document; a second one takes the place of the first."""
    documents = Documents(str(tmp_path), True, told)
    documents.save("a", {"n": 1})
    documents.save("b", {"path": "\udcff"})
    documents.save("a", {"n": 2})

    assert list(documents.names()) == ["a", "b"]
    assert documents.load("a") == {"n": 2}
    assert documents.load("b") == {"path": "\udcff"}
    assert documents.load("c") is None
    documents.remove("a")
    documents.remove("a")
    assert list(documents.names()) == ["b"]
    assert told.all == []
    assert (tmp_path / "b.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "content",
    [b"", b"\0" * 4096, b'{"n": 1', b'{"n": 1}', b"[]\n", b"\xff\xfe\n", b'{"n": 1, "n": 2}\n'],
)
def test_what_cannot_be_used_is_set_aside(tmp_path: Path, told: Told, content: bytes) -> None:
    """Truncated, filled with zeros, of another kind: reported once, then out of the way."""
    documents = Documents(str(tmp_path), False, told)
    documents.save("good", {"n": 1})
    (tmp_path / "bad.json").write_bytes(content)

    assert documents.load("bad") is None
    assert documents.load("good") == {"n": 1}
    [(path, kept, reason)] = told.all
    assert path == f"{tmp_path}/bad.json"
    assert Path(kept).read_bytes() == content
    assert reason
    assert list(documents.names()) == ["good"]
    assert documents.load("bad") is None
    assert len(told.all) == 1


def test_what_is_no_file(tmp_path: Path, told: Told) -> None:
    """A FIFO is not waited for, a link not followed, a directory not read."""
    documents = Documents(str(tmp_path), False, told)
    os.mkfifo(tmp_path / "fifo.json")
    (tmp_path / "link.json").symlink_to("/etc/hostname")
    (tmp_path / "directory.json").mkdir()

    assert [documents.load(name) for name in documents.names()] == [None, None, None]
    assert len(told.all) == 3


def test_leftovers_of_a_write_cut_short(tmp_path: Path, told: Told) -> None:
    """Are removed; the document is the one before."""
    documents = Documents(str(tmp_path), False, told)
    documents.save("a", {"n": 1})
    (tmp_path / "a.json.new").write_text('{"n"')

    assert list(documents.names()) == ["a"]
    assert documents.load("a") == {"n": 1}
    assert os.listdir(tmp_path) == ["a.json"]


def test_a_failed_write_changes_nothing(tmp_path: Path, told: Told) -> None:
    """The old document stays, nothing new lies about."""
    documents = Documents(str(tmp_path), False, told)
    documents.save("a", {"n": 1})
    (tmp_path / "a.json.new").mkdir()
    with pytest.raises(OSError):
        documents.save("a", {"n": 2})

    assert documents.load("a") == {"n": 1}


def test_a_full_disk_is_told_with_the_file(
    tmp_path: Path, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    """write(2) does not know its name; whoever reads the report needs it."""
    documents = Documents(str(tmp_path), False, told)

    def full(fd: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match=f"No space left on device: '{tmp_path}/a.json'") as caught:
        documents.save("a", {"n": 1})
    assert caught.value.filename == f"{tmp_path}/a.json"
    assert os.listdir(tmp_path) == []


def test_what_was_stopped_by_hand_is_kept_though_records_cannot_be(
    tmp_path: Path, told: Told
) -> None:
    """They are on another file system; the next creched does not start it."""
    said: list[tuple[str, str]] = []
    where = str(tmp_path / "records"), str(tmp_path / "intent")
    records = StoredRecords(*where, told, lambda name, text: said.append((name, text)))
    (tmp_path / "records/a.json.new").mkdir()
    records.save(Record("a", intent=Intent.DOWN))

    assert said == [("a", f"save how it stands: Is a directory: {where[0]}/a.json")]
    found = StoredRecords(where[0] + "2", where[1], told, lambda name, text: None).load("boot")
    assert found["a"].intent is Intent.DOWN


def test_a_directory_that_is_not_there(tmp_path: Path, told: Told) -> None:
    """Holds nothing."""
    assert list(Documents(f"{tmp_path}/none", False, told).names()) == []
