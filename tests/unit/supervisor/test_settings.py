"""creched.toml: what can be said, and how mistakes are told."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from supervisor import settings
from supervisor.control.settings import Control, Http
from supervisor.groups import Group, Strategy
from supervisor.settings import Settings
from supervisor.supervision import Events, Supervisor
from supervisor.workload.errors import WorkloadError


def test_everything_that_can_be_said() -> None:
    """Each key arrives."""
    text = """
    [supervisor]
    reboot-command = ["/sbin/reboot", "-f"]
    [events]
    size = "64K"
    files = 2
    [control]
    read-only = "/run/creche.sock"
    group = "adm"
    [http]
    listen = "127.0.0.1:9180"
    [groups.web]
    strategy = "rest-for-one"
    limit = 3
    window = "1m"
    [groups.db]
    """
    assert settings.parse(text.encode(), "c") == Settings(
        Supervisor(("/sbin/reboot", "-f")),
        Events(64 << 10, 2),
        Control("/run/creche.sock", "adm"),
        Http("127.0.0.1:9180"),
        {"web": Group(Strategy.REST_FOR_ONE, 3, 60.0), "db": Group()},
    )
    assert settings.parse(b"", "c") == Settings()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[supervisr]\n", "c:1: supervisr: unknown key; did you mean 'supervisor'?"),
        ("[supervisor]\nreboot_command = []\n", "did you mean 'reboot-command'?"),
        ("[supervisor]\nreboot-command = ['reboot']\n", "c:2: supervisor.reboot-command: expected"),
        ("[events]\nsize = '65M'\n", "c:2: events.size: expected a size from"),
        ("[events]\nsize = 63\n", "c:2: events.size: expected"),
        ("[events]\nfiles = 1\n", "c:2: events.files: expected a whole number from 2 to 1000"),
        ("[groups.a]\nstrategy = 'all'\n", "c:2: groups.a.strategy: expected one of"),
        ("[groups.a]\n[groups.b]\nlimt = 3\n", "c:3: groups.b.limt: unknown key; did you mean"),
        ("groups = 3\n", "c:1: groups: expected a table, found 3"),
        ("groups.a = 3\n", "c:1: groups.a: expected a table, found 3"),
        ("x\n", "c:1: not TOML"),
    ],
)
def test_mistakes_are_named(text: str, said: str) -> None:
    """With file, line, key and what was probably meant."""
    with pytest.raises(WorkloadError) as caught:
        settings.parse(text.encode(), "c")

    assert said in str(caught.value)


def test_a_file_that_is_named_has_to_be_there(tmp_path: Path) -> None:
    """And nobody else may be able to write it."""
    file = tmp_path / "creched.toml"
    with pytest.raises(WorkloadError, match="does not exist"):
        settings.read_settings(str(file))
    file.write_text("[groups.a]\n")
    file.chmod(0o644)
    assert settings.read_settings(str(file)).groups == {"a": Group()}
    file.chmod(0o666)
    with pytest.raises(WorkloadError, match=str(file)):
        settings.read_settings(str(file))
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(WorkloadError, match=str(file)):
        settings.read_settings(str(file))
