"""creched-install: files of etc/ where they belong, with the paths that programs have here."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from supervisor.systemd.install import HOOKS, PROGRAMS, TARGETS, main
from tests.support.repository import REPOSITORY


def install(root: Path, monkeypatch: pytest.MonkeyPatch, *words: str) -> dict[str, str]:
    """What is below `root` then, by path."""
    monkeypatch.setattr(sys, "argv", ["/opt/creche/bin/creched-install"])
    assert main(["--root", str(root), *words]) == 0
    files = [path for path in root.rglob("*") if path.is_file()]
    assert all(path.stat().st_mode & 0o777 == 0o644 for path in files)
    return {str(path.relative_to(root)): path.read_text() for path in files}


def shipped(targets: dict[str, str]) -> set[str]:
    """Where the files of etc/ belong."""
    etc = REPOSITORY / "etc"
    return {f"{to}/{name}" for kind, to in targets.items() for name in os.listdir(etc / kind)}


def test_units_name_programs_as_they_are_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = install(tmp_path, monkeypatch)
    assert set(found) == shipped(TARGETS)
    for text in found.values():
        assert not any(f"/usr/bin/{name}" in text for name in PROGRAMS)
    assert "/opt/creche/bin/creched " in found["etc/systemd/system/creched.service"]


def test_the_hook_comes_when_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its annotation gives ports of the host away: on CRI-O to whoever may make a pod."""
    found = install(tmp_path, monkeypatch, "--hooks")
    assert set(found) == shipped(TARGETS | HOOKS)
    hook = json.loads(found["etc/containers/oci/hooks.d/creche-network.json"])
    assert hook["hook"]["path"] == "/opt/creche/bin/creche-network"
    assert hook["hook"]["args"] == ["creche-network", "hook"]
