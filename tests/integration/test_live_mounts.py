"""`mounts add` and `mounts remove`: a running container gets mounts, and loses those alone."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_conformance_rootless import ONE, User, user
from tests.support.bundle import MINIMAL, Bundle
from tests.support.inside import IDLE, launched, message, namespace
from tests.support.mountinfo import Mount, mounts
from tests.support.runtimes import Result, Runtime
from tests.support.waiting import wait_path

__all__ = ["user"]

pytestmark = pytest.mark.root

Bundles = Callable[..., Bundle]
Entry = dict[str, Any]


def change(runtime: Runtime, action: str, container: str, *entries: Entry) -> Result:
    return runtime.run(["mounts", action, container, "-"], stdin=json.dumps(entries).encode())


def bind(destination: str, source: str | Path, *options: str) -> Entry:
    return {"destination": destination, "source": str(source), "options": ["bind", *options]}


def tmpfs(destination: str, *options: str) -> Entry:
    return {"destination": destination, "type": "tmpfs", "source": "t", "options": list(options)}


def table(runtime: Runtime, container: str) -> list[Mount]:
    return mounts(runtime.pid(container))


def targets(runtime: Runtime, container: str) -> list[str]:
    return [mount.target for mount in table(runtime, container)]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    directory = tmp_path / "source"
    directory.mkdir()
    (directory / "file").write_text("from outside\n")
    return directory


@pytest.fixture
def idle(creche: Runtime, bundle: Bundles, container_id: str) -> Bundle:
    """A container that runs."""
    made = bundle(base=MINIMAL, sh=IDLE)
    launched(creche, container_id, made)
    return made


def test_added_and_removed(creche: Runtime, idle: Bundle, container_id: str, source: Path) -> None:
    """Directories, files, filesystems, each with its options; from a file as crun reads it."""
    before = table(creche, container_id)
    state = (creche.root / container_id / "state.json").read_bytes()
    (idle.path / "relative").mkdir()
    entries = [
        bind("/new/data", source, "ro", "nosuid"),
        bind("/etc/file", source / "file"),
        bind("/rel", "relative"),
        tmpfs("/scratch", "size=64k", "noexec", "mode=711"),
        bind("/scratch/on top", source),
        tmpfs("/closed", "ro"),
    ]
    listing = idle.path / "mounts.json"
    listing.write_text(json.dumps(entries))

    creche.run(["mounts", "add", container_id, listing]).ok()
    found = {mount.target: mount for mount in table(creche, container_id)}
    assert {"ro", "nosuid"} <= found["/new/data"].options
    assert "noexec" in found["/scratch"].options
    assert "size=64k" in found["/scratch"].super_options
    assert "ro" in found["/closed"].options
    assert "/scratch/on top" in found
    shown = ["cat", "/new/data/file", "/etc/file", "/scratch/on top/file"]
    assert creche.run(["exec", container_id, *shown]).ok().stdout == 3 * "from outside\n"
    assert creche.run(["exec", container_id, "touch", "/rel/made"]).ok()
    assert (idle.path / "relative/made").exists()

    creche.run(["mounts", "remove", container_id, listing]).ok()
    assert table(creche, container_id) == before
    assert (creche.root / container_id / "state.json").read_bytes() == state
    text = message(creche.run(["mounts", "remove", container_id, listing]).failed(1))
    assert "mounts[0].destination: nothing that was added is mounted on /new/data" in text


def test_one_over_another(creche: Runtime, idle: Bundle, container_id: str) -> None:
    """The last one that was added goes first."""
    change(creche, "add", container_id, tmpfs("/m", "size=64k"), tmpfs("/m", "size=128k")).ok()
    change(creche, "remove", container_id, tmpfs("/m")).ok()
    left = [mount for mount in table(creche, container_id) if mount.target == "/m"]
    assert ["size=64k" in mount.super_options for mount in left] == [True]
    change(creche, "add", container_id, tmpfs("/m"), tmpfs("/m/below")).ok()
    change(creche, "remove", container_id, tmpfs("/m"), tmpfs("/m/below"), tmpfs("/m")).ok()
    assert "/m" not in targets(creche, container_id)


@pytest.mark.parametrize("status", ["created", "paused"])
def test_states(
    creche: Runtime, bundle: Bundles, container_id: str, source: Path, status: str
) -> None:
    """Also before it starts and while it is paused; when it has ended it has no mounts."""
    made = bundle(base=MINIMAL, sh=f"cat /data/file; {IDLE}")
    creche.run(["create", "-b", made, container_id]).ok()
    if status == "paused":
        change(creche, "add", container_id, bind("/data", source)).ok()
        creche.run(["start", container_id]).ok()
        creche.run(["pause", container_id]).ok()
        change(creche, "remove", container_id, bind("/data", source)).ok()
        assert "/data" not in targets(creche, container_id)
    change(creche, "add", container_id, bind("/data", source)).ok()
    assert creche.status(container_id) == status
    assert "/data" in targets(creche, container_id)

    creche.run(["kill", container_id, "KILL"])
    creche.run(["stop", container_id]).ok()
    for action in ("add", "remove"):
        text = message(change(creche, action, container_id, bind("/data", source)).failed(1))
        assert text == "container not running"


def test_a_hostile_image(
    creche: Runtime, idle: Bundle, container_id: str, source: Path, tmp_path: Path
) -> None:
    """Links and renames of the image lead neither outside nor to what others have mounted."""
    outside = tmp_path / "outside"
    outside.mkdir()
    os.symlink(outside, idle.rootfs / "link")
    os.symlink("../../../../../../.." + str(outside / "file"), idle.rootfs / "dangling")
    creche.run(["exec", container_id, "mkdir", "-p", str(outside)]).ok()
    change(
        creche, "add", container_id,
        bind("/link/f", source), tmpfs("/link/x"), bind("/dangling", source / "file"),
    ).ok()  # fmt: skip
    assert list(outside.iterdir()) == []
    assert {f"{outside}/f", f"{outside}/x", f"{outside}/file"} <= set(targets(creche, container_id))

    # What was mounted there lies elsewhere now, and /proc where it was.
    (idle.rootfs / "link").unlink()
    os.symlink("/", idle.rootfs / "link")
    inside = idle.rootfs / str(outside).lstrip("/")
    moved = inside.with_name("moved")
    inside.rename(moved)
    os.symlink("/proc", inside)
    change(creche, "add", container_id, tmpfs("/link/proc")).failed(1)
    wanted = [bind("/link/f", source), tmpfs("/link/x"), bind("/dangling", source)]
    change(creche, "remove", container_id, *wanted).ok()
    assert targets(creche, container_id) == ["/", "/proc"]


def test_all_or_nothing(creche: Runtime, idle: Bundle, container_id: str, source: Path) -> None:
    """The error names the entry, and what stands before it is gone again."""
    before = table(creche, container_id)
    good = [tmpfs("/one"), bind("/two", source), tmpfs("/two/three")]
    (source / "three").mkdir()
    for bad, text in (
        (bind("/x", source / "none"), f"mounts[3] /x: source {source}/none: no such file"),
        (tmpfs("/bin/busybox"), "mounts[3] /bin/busybox: mount /bin/busybox: not a directory"),
        (tmpfs("/x", "size=what"), "mounts[3] /x: mount tmpfs on /x: invalid argument"),
        (tmpfs("/proc/self"), "mounts[3].destination: "),
        (tmpfs("/"), "mounts[3].destination: cannot mount on the container's root"),
        (
            {"destination": "/x", "type": "ext4", "source": "/dev/sda"},
            "mounts[3].type: ext4 cannot",
        ),
        ({"destination": "/x", "type": "proc"}, "mounts[3].type: proc cannot be added"),
        (tmpfs("/one", "remount", "ro"), "mounts[3].options: only new mounts"),
        ({"type": "tmpfs"}, "mounts[3]"),
    ):
        answer = message(change(creche, "add", container_id, *good, bad).failed(1))
        assert text in answer
        assert table(creche, container_id) == before
    change(creche, "remove", container_id, good[0]).failed(1)
    change(creche, "add", container_id, good[0]).ok()
    change(creche, "remove", container_id, good[0], good[1]).failed(1)
    assert "/one" in targets(creche, container_id)


def test_killed_half_way(creche: Runtime, idle: Bundle, container_id: str, tmp_path: Path) -> None:
    """What there is by then is noted, and `remove`, which waits for the helper's end, finds it."""
    before = table(creche, container_id)
    listing, notes = tmp_path / "mounts.json", creche.root / container_id / "mounts.json"
    listing.write_text(json.dumps([tmpfs(f"/m/{number}") for number in range(200)]))
    with creche.popen(["mounts", "add", container_id, listing]) as process:
        wait_path(notes)
        process.kill()
    # Not read by us before it is complete: the lock of the one that was killed is the helper's too.
    change(creche, "add", container_id).ok()
    noted = json.loads(notes.read_text())
    assert noted  # all of them, if it was quicker than we
    assert len(table(creche, container_id)) - len(before) in (len(noted), len(noted) - 1)
    wanted = [tmpfs(destination) for destination, _ in noted]
    change(creche, "remove", container_id, *wanted).ok()
    assert table(creche, container_id) == before


def test_what_is_no_list_of_mounts(creche: Runtime, idle: Bundle, container_id: str) -> None:
    for text, expected in (
        ("{}", "mounts: expected an array"),
        ("", "not valid JSON"),
        ('[{"destination": 7}]', "mounts[0].destination"),
    ):
        result = creche.run(["mounts", "add", container_id, "-"], stdin=text.encode()).failed(1)
        assert expected in message(result)
    text = message(creche.run(["mounts", "swap", container_id, "/dev/null"]).failed(1))
    assert text == "mounts: expected add or remove, found 'swap'"
    assert "exactly 3 argument(s)" in creche.run(["mounts", "add", container_id]).failed(1).stderr
    creche.run(["mounts", "add", "nobody", "/dev/null"]).failed(1)


def test_in_a_user_namespace(
    creche: Runtime, bundle: Bundles, container_id: str, source: Path
) -> None:
    """Sources that its root could not reach; what is made belongs to it."""
    mapping = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    made = bundle(base=MINIMAL, sh=IDLE)
    made.config["linux"]["namespaces"].append(namespace("user"))
    made.config["linux"] |= {"uidMappings": mapping, "gidMappings": mapping}
    for top, _, files in os.walk(made.rootfs):
        for name in (".", *files):
            os.chown(os.path.join(top, name), 100000, 100000, follow_symlinks=False)
    launched(creche, container_id, made.write())
    before = table(creche, container_id)
    source.parent.chmod(0o700)
    source.chmod(0o755)
    entries = [bind("/data", source), bind("/mapped", source, "idmap"), tmpfs("/scratch")]
    change(creche, "add", container_id, *entries).ok()
    assert (made.rootfs / "scratch").stat().st_uid == 100000
    words = ["stat", "-c", "%u", "/data/file", "/mapped/file", "/scratch"]
    assert creche.run(["exec", container_id, *words]).ok().stdout.split() == ["65534", "0", "0"]
    change(creche, "remove", container_id, *entries).ok()
    assert table(creche, container_id) == before


def test_without_root(user: User) -> None:
    """An ordinary user's containers get them too."""
    made = user.bundle({"uidMappings": ONE, "gidMappings": ONE}, sh=IDLE)
    data = user.directory / "data"
    data.mkdir()
    (data / "file").write_text("mine\n")
    entries = [bind("/data", data), tmpfs("/scratch")]
    listing = user.directory / "mounts.json"
    listing.write_text(json.dumps(entries))
    listing.chmod(0o644)
    status, _, err = user.run("run", "-d", "-b", str(made), "crt-live")
    assert status == 0, err
    status, _, err = user.run("mounts", "add", "crt-live", str(listing))
    assert status == 0, err
    status, out, err = user.run("exec", "crt-live", "cat", "/data/file")
    assert (status, out) == (0, "mine\n"), err
    status, _, err = user.run("mounts", "remove", "crt-live", str(listing))
    assert status == 0, err
    status, out, _ = user.run("exec", "crt-live", "ls", "/data")
    assert (status, out) == (0, "")


def test_without_a_mount_namespace(creche: Runtime, bundle: Bundles, container_id: str) -> None:
    """They would be the host's."""
    made = bundle(base=MINIMAL, sh=IDLE)
    made.config["mounts"] = []
    made.config["linux"]["namespaces"] = [namespace("pid")]
    launched(creche, container_id, made.write())
    text = message(change(creche, "add", container_id, tmpfs("/m")).failed(1))
    assert text == "the container has no mount namespace"


def test_notes_are_for_the_owner_alone(creche: Runtime, idle: Bundle, container_id: str) -> None:
    change(creche, "add", container_id, tmpfs("/m")).ok()
    for name in ("mounts.json", "mounts.lock"):
        mode = (creche.root / container_id / name).stat().st_mode
        assert stat.S_IMODE(mode) == 0o600
    creche.run(["delete", "--force", container_id]).ok()
    assert not (creche.root / container_id).exists()
