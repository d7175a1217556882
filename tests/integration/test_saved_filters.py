"""Filters that were compiled before (runtime/seccomp/saved.py): when they are used and when not."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runtime.seccomp import Filter, compile_filter, saved
from runtime.seccomp.libseccomp import path as library
from tests.support.bundle import Bundle
from tests.support.runtimes import Runtime

pytestmark = pytest.mark.root


def profile(*names: str) -> dict[str, Any]:
    rule = {"names": list(names), "action": "SCMP_ACT_ERRNO"}
    return {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}


class Compiled(AssertionError):
    """libseccomp was asked, though the filter had been saved."""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "above").mkdir(mode=0o755)
    return tmp_path / "above/filters"


def get(place: Path, wanted: dict[str, Any]) -> Filter:
    return saved.saved_filter(wanted, str(place))


def from_file(monkeypatch: pytest.MonkeyPatch, place: Path, wanted: dict[str, Any]) -> bool:
    """Whether libseccomp is not asked any more; the outcome is the same in either case."""
    expected = compile_filter(wanted).to_dict()
    asked = []

    def compiled(seccomp: dict[str, Any]) -> Filter:
        asked.append(seccomp)
        return compile_filter(seccomp)

    with monkeypatch.context() as patch:
        patch.setattr(saved, "compile_filter", compiled)
        assert get(place, wanted).to_dict() == expected
    return not asked


def only(place: Path) -> Path:
    (file,) = place.iterdir()
    return file


def test_a_profile_is_compiled_once(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    assert not from_file(monkeypatch, place, profile("mkdir"))
    assert from_file(monkeypatch, place, profile("mkdir"))
    assert not from_file(monkeypatch, place, profile("rmdir"))
    assert len(list(place.iterdir())) == 2
    assert place.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in place.iterdir()} == {0o600}


@pytest.mark.parametrize("damage", ["cut", "changed", "empty", "link", "readable", "fifo"])
def test_a_damaged_file_is_replaced(
    monkeypatch: pytest.MonkeyPatch, place: Path, tmp_path: Path, damage: str
) -> None:
    get(place, profile("mkdir"))
    file = only(place)
    data = file.read_bytes()
    if damage == "cut":
        file.write_bytes(data[:-8])
    elif damage == "changed":
        file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    elif damage == "empty":
        file.write_bytes(b"")
    elif damage == "readable":
        file.chmod(0o604)
    else:
        file.rename(tmp_path / "elsewhere")
        os.mkfifo(file) if damage == "fifo" else file.symlink_to(tmp_path / "elsewhere")

    assert not from_file(monkeypatch, place, profile("mkdir"))
    assert from_file(monkeypatch, place, profile("mkdir"))


def test_one_profile_never_stands_for_another(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    """Names are short, so what counts is the whole profile in the file."""
    get(place, profile("mkdir"))
    mkdir = only(place)
    get(place, profile("rmdir"))
    (rmdir,) = set(place.iterdir()) - {mkdir}
    mkdir.rename(rmdir)

    assert not from_file(monkeypatch, place, profile("rmdir"))


def test_another_library_compiles_anew(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    get(place, profile("mkdir"))
    file = only(place)
    now = str(os.stat(library()).st_mtime_ns).encode()
    assert file.read_bytes().count(now) == 1
    file.write_bytes(file.read_bytes().replace(now, str(int(now) + 1).encode()))

    assert not from_file(monkeypatch, place, profile("mkdir"))


@pytest.mark.parametrize("hostile", ["owner", "mode", "link", "file", "above"])
def test_what_others_can_change_is_not_used(
    monkeypatch: pytest.MonkeyPatch, place: Path, tmp_path: Path, hostile: str
) -> None:
    get(place, profile("mkdir"))
    content = set(place.iterdir())
    if hostile == "owner":
        os.chown(place, 1000, 1000)
    elif hostile == "mode":
        place.chmod(0o701)
    elif hostile == "above":
        place.parent.chmod(0o777)
    else:
        place.rename(tmp_path / "elsewhere")
        place.write_text("") if hostile == "file" else place.symlink_to(tmp_path / "elsewhere")
        content = set()

    assert not from_file(monkeypatch, place, profile("mkdir"))
    assert not from_file(monkeypatch, place, profile("rmdir"))
    if place.is_dir() and not place.is_symlink():
        assert set(place.iterdir()) == content


def test_there_are_never_many(place: Path) -> None:
    for number in range(70):
        get(place, profile("mkdir", f"no_such_call_{number}"))

    assert len(list(place.iterdir())) < 65


def test_containers_are_filtered_by_what_was_saved(
    creche: Runtime, bundle: Callable[..., Bundle], container_id: str
) -> None:
    made = bundle({"linux": {"seccomp": profile("mkdirat", "mkdir")}}, sh="mkdir /tmp/x; echo $?")
    for _ in range(2):
        said = creche.run(["run", "-b", made, container_id]).ok()
        assert said.stdout == "1\n"
        assert "Operation not permitted" in said.stderr
