"""The runtime called by a user without root's rights: one id, or a range from /etc/subuid."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.bundle import MINIMAL, Bundle, make_bundle
from tests.support.inside import IDLE, answers, namespace, questions
from tests.support.isolation import mount
from tests.support.runtimes import CRECHE, PATH_VARIABLE
from tests.support.waiting import DEADLINE

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs Debian's util-linux"),
]

UID = 4321
MS_BIND = 0x1000
KINDS = ("mount", "pid", "uts", "ipc", "user")
ONE = [{"containerID": 0, "hostID": UID, "size": 1}]


class User:
    """An ordinary user with a directory of its own, who calls creche."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def run(self, *words: str, env: dict[str, str] | None = None) -> tuple[int, str, str]:
        """Status, stdout and stderr; the output goes to files, for detached containers."""
        command = ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups"]
        command += ["--inh-caps=-all", str(CRECHE), *words]
        variables = {"PATH": PATH_VARIABLE, "XDG_RUNTIME_DIR": str(self.directory)}
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=variables if env is None else env,
                cwd=self.directory,
                timeout=DEADLINE,
            )
            texts = []
            for file in (out, err):
                file.seek(0)
                texts.append(file.read().decode())
        return done.returncode, texts[0], texts[1]

    def bundle(self, linux: dict[str, Any], **options: Any) -> Bundle:
        made = make_bundle(self.directory / "b", base=MINIMAL, **options)
        made.patch({"linux": {"namespaces": [namespace(kind) for kind in KINDS], **linux}})
        for top, directories, files in os.walk(self.directory):
            for name in (".", *directories, *files):
                os.chown(os.path.join(top, name), UID, UID, follow_symlinks=False)
        return made


@pytest.fixture
def user() -> Iterator[User]:
    if not os.access(CRECHE, os.R_OK) or not _readable(CRECHE):
        pytest.skip("the checkout is for root alone")
    with tempfile.TemporaryDirectory(prefix="crt-", dir="/var/tmp") as name:
        os.chown(name, UID, UID)
        caller = User(Path(name))
        yield caller
        state = Path(name) / "creche"
        if state.exists():
            for entry in state.iterdir():
                caller.run("delete", "--force", entry.name)


def _readable(path: Path) -> bool:
    """Whether everybody may read a file: each directory above it is open."""
    return all(parent.stat().st_mode & 0o005 == 0o005 for parent in (path, *path.parents))


def test_with_one_id(user: User) -> None:
    """No root, no control groups, no subordinate ids: it works, and says what it leaves out."""
    script = questions(
        {
            "id": "id -u; id -g",
            "map": "cat /proc/self/uid_map",
            "pid": "echo $$",
            "groups": "cat /proc/self/setgroups",
            "write": "touch /made && stat -c %u /made",
        }
    )
    made = user.bundle({"uidMappings": ONE, "gidMappings": ONE}, sh=script)
    status, out, err = user.run("run", "-b", str(made), "crt-one")
    found = answers(out)

    assert status == 0, err
    assert found["id"] == "0\n0"
    assert found["map"].split() == ["0", str(UID), "1"]
    assert found["pid"] == "1"
    assert found["groups"] == "deny"
    assert found["write"] == "0"
    assert (made.rootfs / "made").stat().st_uid == UID
    assert "internal error" not in err


def test_its_whole_life(user: User) -> None:
    """State in $XDG_RUNTIME_DIR; create, start, exec, kill, delete."""
    made = user.bundle({"uidMappings": ONE, "gidMappings": ONE}, sh=IDLE)
    for words in (["create", "-b", str(made), "crt-life"], ["start", "crt-life"]):
        status, _, err = user.run(*words)
        assert status == 0, err
    assert (user.directory / "creche/crt-life/state.json").exists()
    status, out, err = user.run("exec", "crt-life", "id", "-u")
    assert (status, out) == (0, "0\n"), err
    status, out, err = user.run("state", "crt-life")
    assert '"status": "running"' in out, err
    for words in (["kill", "crt-life", "KILL"], ["delete", "--force", "crt-life"]):
        status, _, err = user.run(*words)
        assert status == 0, err
    assert not (user.directory / "creche/crt-life").exists()


def test_a_limit_that_it_may_not_set_is_an_error(user: User) -> None:
    """A container without the limit that was asked for would be worse than none."""
    resources = {"pids": {"limit": 10}}
    made = user.bundle(
        {"uidMappings": ONE, "gidMappings": ONE, "resources": resources}, sh="echo ran"
    )
    status, out, err = user.run("run", "-b", str(made), "crt-limit")

    assert status == 1
    assert out == ""
    assert "linux.resources" in err or "cgroup" in err


@pytest.fixture
def subordinate(tmp_path: Path) -> Iterator[None]:
    """A range of ids given to the user, in this session's own /etc."""
    if shutil.which("newuidmap") is None or shutil.which("newgidmap") is None:
        pytest.skip("needs Debian's uidmap")
    names = {"passwd": f"crt4321:x:{UID}:{UID}::/:/bin/sh\n", "group": f"crt4321:x:{UID}:\n"}
    for name in ("subuid", "subgid"):
        names[name] = f"{UID}:300000:65536\n"
    covered = []
    try:
        for name, line in names.items():
            target = Path("/etc") / name
            if not target.exists():
                pytest.skip(f"there is no {target} to cover")
            copy = tmp_path / name
            copy.write_text(target.read_text() + line)
            copy.chmod(0o644)
            mount(str(copy), str(target), "", MS_BIND)
            covered.append(target)
        yield
    finally:
        for target in reversed(covered):
            subprocess.run(["umount", target], check=True)


@pytest.mark.usefixtures("subordinate")
def test_with_a_range_of_ids(user: User) -> None:
    """newuidmap(1) and newgidmap(1) write the maps; every id of the range can be used."""
    mapping = [*ONE, {"containerID": 1, "hostID": 300000, "size": 65536}]
    script = questions(
        {
            "map": "cat /proc/self/uid_map /proc/self/gid_map",
            "chown": "touch /made && chown 1000:1000 /made && stat -c %u:%g /made",
            "groups": "cat /proc/self/setgroups",
        }
    )
    made = user.bundle({"uidMappings": mapping, "gidMappings": mapping}, sh=script)
    names = ["CAP_CHOWN"]
    sets = {"bounding": names, "effective": names, "permitted": names}
    made.patch({"process": {"capabilities": sets}})
    status, out, err = user.run("run", "-b", str(made), "crt-range")
    found = answers(out)

    assert status == 0, err
    assert found["map"].split() == ["0", str(UID), "1", "1", "300000", "65536"] * 2
    assert found["chown"] == "1000:1000"
    assert found["groups"] == "allow"
    assert (made.rootfs / "made").stat().st_uid == 300999


def test_a_range_that_it_was_not_given_is_refused(user: User) -> None:
    if shutil.which("newuidmap") is None:
        pytest.skip("needs Debian's uidmap")
    mapping = [*ONE, {"containerID": 1, "hostID": 5000000, "size": 10}]
    made = user.bundle({"uidMappings": mapping, "gidMappings": mapping}, sh="echo ran")
    status, out, err = user.run("run", "-b", str(made), "crt-refused")

    assert (status, out) == (1, "")
    assert "linux.uidMappings" in err
    assert "/etc/subuid" in err
    assert not (user.directory / "creche/crt-refused").exists()


def test_whether_missing_cgroups_are_an_error(user: User) -> None:
    """--rootless: false makes them one, true and auto (for a user) go without."""
    made = user.bundle({"uidMappings": ONE, "gidMappings": ONE}, sh="echo ran")
    for mode in ("true", "auto"):
        status, out, err = user.run("--rootless", mode, "run", "-b", str(made), "crt-mode")
        assert (status, out) == (0, "ran\n"), err
    status, out, err = user.run("--rootless", "false", "run", "-b", str(made), "crt-mode")
    assert (status, out) == (1, "")
    assert "make cgroup" in err
    assert "--rootless true goes without" in err
    assert not (user.directory / "creche/crt-mode").exists()
    status, _, err = user.run("--rootless", "maybe", "run", "-b", str(made), "crt-mode")
    assert status == 1
    assert "expected true, false or auto" in err
