"""The root and its mounts, seen from inside: attributes, propagation, sources and destinations."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.bundle import MINIMAL, Bundle
from tests.support.inside import IDLE, ask, ask_running, launched, message, namespace
from tests.support.isolation import mount as mount_syscall
from tests.support.mountinfo import Mount, mounts, parse_mountinfo
from tests.support.runtimes import Runtime

pytestmark = pytest.mark.root

Bundles = Callable[..., Bundle]
Entry = dict[str, Any]

MOUNTINFO = "cat /proc/self/mountinfo"


def entry(destination: str, kind: str, source: str, *options: str) -> Entry:
    return {
        "destination": destination,
        "type": kind,
        "source": source,
        "options": list(options),
    }


def bind(destination: str, source: str | Path, *options: str) -> Entry:
    return entry(destination, "none", str(source), "bind", *options)


def tmpfs(destination: str, *options: str) -> Entry:
    return entry(destination, "tmpfs", "tmpfs", *options)


def with_mounts(bundle: Bundles, *entries: Entry, **options: Any) -> Bundle:
    options.setdefault("base", MINIMAL)
    made = bundle(**options)
    made.config["mounts"] += entries
    return made.write()


def table(text: str) -> dict[str, Mount]:
    """Target -> the mount on top."""
    return {found.target: found for found in parse_mountinfo(text)}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A directory to bind: a file, a directory, a link."""
    directory = tmp_path / "source"
    (directory / "inner").mkdir(parents=True)
    (directory / "file").write_text("from outside\n")
    return directory


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Path]:
    """A mount with another one below it."""
    top = tmp_path / "tree"
    top.mkdir()
    mount_syscall("tree", str(top), "tmpfs", 0)
    (top / "below").mkdir()
    mount_syscall("below", str(top / "below"), "tmpfs", 0)
    yield top
    subprocess.run(["umount", top / "below", top], check=True)


# Attributes ---------------------------------------------------------------------------------------

# options -> the mount's own options in mountinfo; relatime is what the kernel does by default.
FRESH: list[tuple[list[str], set[str]]] = [
    ([], {"rw", "relatime"}),
    (["ro"], {"ro", "relatime"}),
    (["ro", "rw"], {"rw", "relatime"}),
    (["nosuid", "nodev", "noexec"], {"rw", "nosuid", "nodev", "noexec", "relatime"}),
    (["nosuid", "suid", "nodev", "dev", "noexec", "exec"], {"rw", "relatime"}),
    (["noatime"], {"rw", "noatime"}),
    (["noatime", "atime"], {"rw", "relatime"}),
    (["noatime", "nostrictatime", "norelatime"], {"rw", "noatime"}),
    (["strictatime"], {"rw"}),
    (["strictatime", "nostrictatime"], {"rw", "relatime"}),
    (["relatime"], {"rw", "relatime"}),
    (["nodiratime"], {"rw", "nodiratime", "relatime"}),
    (["noatime", "nodiratime"], {"rw", "noatime", "nodiratime"}),
    (["nodiratime", "diratime"], {"rw", "relatime"}),
    (["silent", "loud", "defaults"], {"rw", "relatime"}),
    (["async", "iversion", "noiversion"], {"rw", "relatime"}),
]
SUPER: list[tuple[str, str]] = [("sync", "sync"), ("dirsync", "dirsync"), ("size=64k", "size=64k")]


def test_every_plain_option(runtime: Runtime, bundle: Bundles, container_id: str) -> None:
    """On a filesystem of its own; runc 1.1 answers the same."""
    entries = [tmpfs(f"/m/{i}", *options) for i, (options, _) in enumerate(FRESH)]
    if runtime.name == "runc":
        # It passes these on as data, or does not know them.
        unknown = {"silent", "loud", "defaults", "async", "iversion", "noiversion"}
        entries = [{**e, "options": [o for o in e["options"] if o not in unknown]} for e in entries]
    entries += [tmpfs(f"/s/{i}", option) for i, (option, _) in enumerate(SUPER)]
    found = table(ask(runtime, with_mounts(bundle, *entries), container_id, m=MOUNTINFO)["m"])

    for i, (options, expected) in enumerate(FRESH):
        assert found[f"/m/{i}"].options == expected, options
    for i, (option, shown) in enumerate(SUPER):
        assert shown in found[f"/s/{i}"].super_options, option


BOUND: list[tuple[list[str], set[str]]] = [
    ([], {"rw", "relatime"}),
    (["ro"], {"ro", "relatime"}),
    (["ro", "nosuid", "nodev", "noexec"], {"ro", "nosuid", "nodev", "noexec", "relatime"}),
    (["noatime"], {"rw", "noatime"}),
    (["strictatime"], {"rw"}),
    (["nodiratime", "ro"], {"ro", "nodiratime", "relatime"}),
    (["nosuid", "suid", "ro", "rw"], {"rw", "relatime"}),
]


def test_bind_mounts_have_their_own_attributes(
    runtime: Runtime, bundle: Bundles, container_id: str, source: Path
) -> None:
    """And the source's mount keeps its own."""
    before = mounts()
    entries = [bind(f"/m/{i}", source, *options) for i, (options, _) in enumerate(BOUND)]
    inside = ask(
        runtime,
        with_mounts(bundle, *entries),
        container_id,
        m=MOUNTINFO,
        read="cat /m/1/file",
        write="echo x >/m/1/new || echo refused; echo made >/m/0/new",
    )
    found = table(inside["m"])

    for i, (options, expected) in enumerate(BOUND):
        assert found[f"/m/{i}"].options == expected, options
    assert inside["read"] == "from outside"
    assert "refused" in inside["write"]
    assert (source / "new").read_text() == "made\n"
    assert mounts() == before


def test_nosymfollow(runtime: Runtime, bundle: Bundles, container_id: str, source: Path) -> None:
    (source / "link").symlink_to("file")
    made = with_mounts(bundle, bind("/m", source, "nosymfollow"), bind("/n", source))
    inside = ask(runtime, made, container_id, m="cat /m/link || echo refused", n="cat /n/link")

    assert inside["m"].endswith("refused")
    assert inside["n"] == "from outside"


def test_recursion_and_recursive_attributes(
    creche: Runtime, bundle: Bundles, container_id: str, tree: Path
) -> None:
    made = with_mounts(
        bundle,
        bind("/flat", tree),
        entry("/deep", "none", str(tree), "rbind", "ro"),
        entry("/rro", "none", str(tree), "rbind", "rro", "rnosuid", "rnoatime"),
        entry("/mixed", "none", str(tree), "rbind", "rro", "rw"),
    )
    found = table(ask(creche, made, container_id, m=MOUNTINFO)["m"])

    assert "/flat/below" not in found
    assert found["/deep"].options == {"ro", "relatime"}
    assert found["/deep/below"].options == {"rw", "relatime"}
    recursive = {"ro", "nosuid", "noatime"}
    assert found["/rro"].options == found["/rro/below"].options == recursive
    assert "rw" in found["/mixed"].options
    assert "ro" in found["/mixed/below"].options


def test_a_recursive_bind_in_runcs_words(
    runtime: Runtime, bundle: Bundles, container_id: str, tree: Path
) -> None:
    made = with_mounts(bundle, entry("/deep", "none", str(tree), "rbind", "ro"))
    found = table(ask(runtime, made, container_id, m=MOUNTINFO)["m"])

    assert "ro" in found["/deep"].options
    assert "rw" in found["/deep/below"].options


# What mountinfo says of a bind of a mount that is shared on the host; the default of the root is
# rslave. "peer" stands for the number of a group.
PROPAGATION: list[tuple[list[str], set[str]]] = [
    ([], {"master"}),
    (["private"], set()),
    (["rprivate"], set()),
    (["slave"], {"master"}),
    (["rslave"], {"master"}),
    (["shared"], {"shared", "master"}),
    (["rshared"], {"shared", "master"}),
    (["private", "shared"], {"shared"}),
    (["unbindable"], {"unbindable"}),
    (["runbindable"], {"unbindable"}),
]


def test_every_propagation_option(
    runtime: Runtime, bundle: Bundles, container_id: str, tree: Path
) -> None:
    entries = [bind(f"/m/{i}", tree, *options) for i, (options, _) in enumerate(PROPAGATION)]
    made = with_mounts(bundle, *entries)
    found = table(ask(runtime, made, container_id, m=MOUNTINFO)["m"])

    got = {i: set(found[f"/m/{i}"].propagation) - {"propagate_from"} for i in range(len(entries))}
    assert got == {i: expected for i, (_, expected) in enumerate(PROPAGATION)}


def test_mounts_of_the_host_arrive_and_those_of_the_container_do_not_leave(
    runtime: Runtime, bundle: Bundles, container_id: str, tree: Path
) -> None:
    made = with_mounts(bundle, entry("/m", "none", str(tree), "rbind", "rslave"), sh=IDLE)
    made.patch({"process": {"capabilities": capabilities("CAP_SYS_ADMIN")}})
    launched(runtime, container_id, made)
    (tree / "late").mkdir()
    (tree / "mine").mkdir()
    mount_syscall("late", str(tree / "late"), "tmpfs", 0)
    try:
        inside = ask_running(
            runtime, container_id, mine="mount -t tmpfs mine /m/mine && echo ok", m=MOUNTINFO
        )
        assert inside["mine"] == "ok"
        assert {"/m/late", "/m/mine"} <= set(table(inside["m"]))
        assert str(tree / "mine") not in {found.target for found in mounts()}
    finally:
        subprocess.run(["umount", tree / "late"], check=True)


def capabilities(*names: str) -> dict[str, list[str]]:
    return {key: list(names) for key in ("bounding", "effective", "permitted")}


@pytest.mark.parametrize(
    ("propagation", "expected"),
    [
        (None, {"master"}),
        # Of the host's root mount only; whether the bundle lies on that depends on the host.
        ("slave", None),
        ("rslave", {"master"}),
        ("private", set()),
        ("rprivate", set()),
        # runc 1.1 forgets these two after pivot_root(2), and cannot do the last two at all.
        ("shared", {"shared"}),
        ("rshared", {"shared"}),
        ("unbindable", {"unbindable"}),
        ("runbindable", {"unbindable"}),
    ],
)
def test_propagation_of_the_root(
    creche: Runtime,
    runc: Runtime,
    bundle: Bundles,
    container_id: str,
    propagation: str | None,
    expected: set[str] | None,
) -> None:
    """Also: nothing that is mounted inside appears on the host, and there nothing changes."""
    before = mounts()
    found = []
    for runtime in (creche, runc):
        made = bundle({"linux": {"rootfsPropagation": propagation}}, base=MINIMAL)
        if runtime is runc and propagation in ("shared", "rshared", "unbindable", "runbindable"):
            continue
        table_ = table(ask(runtime, made, container_id, m=MOUNTINFO)["m"])
        found.append(set(table_["/"].propagation) - {"propagate_from"})
        if propagation == "rshared":
            assert "shared" in table_["/proc"].propagation

    assert mounts() == before
    assert found == [found[0] if expected is None else expected] * len(found)


# Sources and destinations -------------------------------------------------------------------------


def test_missing_targets_and_parents_are_made(
    runtime: Runtime, bundle: Bundles, container_id: str, source: Path
) -> None:
    made = with_mounts(
        bundle,
        bind("/new/deep/file", source / "file", "ro"),
        bind("/new/deep/directory", source),
        bind("/etc/passwd", source / "file"),
        tmpfs("/new/tmpfs"),
    )
    old = os.umask(0o077)
    try:
        inside = ask(
            runtime,
            made,
            container_id,
            file="cat /new/deep/file /new/deep/directory/file /etc/passwd",
            kinds="stat -c '%F' /new/deep/file /new/deep/directory",
        )
    finally:
        os.umask(old)

    assert inside["file"] == "from outside\n" * 2 + "from outside"
    assert inside["kinds"] == "regular file\ndirectory"
    if runtime.name == "creche":
        # Whatever the caller's umask is.
        for name, mode in (("new", 0o755), ("new/deep", 0o755), ("new/deep/file", 0o644)):
            assert stat.S_IMODE((made.rootfs / name).stat().st_mode) == mode, name


def test_destinations_are_resolved_inside_the_root(
    runtime: Runtime, bundle: Bundles, container_id: str, source: Path, tmp_path: Path
) -> None:
    """Absolute, relative, climbing, chained and dangling links: none leads out (CVE-2021-30465)."""
    victim = tmp_path / "victim"
    victim.mkdir()
    made = with_mounts(
        bundle,
        bind("/absolute", source),
        bind("/climbing/sub", source),
        bind("/chain", source),
        bind("/dangling", source),
        bind("/dangling-file", source / "file"),
        bind("/outside", source),
    )
    root = made.rootfs
    (root / "inside").mkdir()
    (root / "other").mkdir()
    (root / "absolute").symlink_to("/inside")
    (root / "climbing").symlink_to("../../../../../../inside2")
    (root / "inside2").mkdir()
    (root / "chain").symlink_to("chain2")
    (root / "chain2").symlink_to("/other")
    (root / "dangling").symlink_to("made/by/mount")
    (root / "dangling-file").symlink_to("/made-file")
    (root / "outside").symlink_to(str(victim))
    inside = ask(
        runtime,
        made,
        container_id,
        m=MOUNTINFO,
        read="cat /inside/file /inside2/sub/file /other/file /made/by/mount/file /made-file",
    )

    assert inside["read"] == "\n".join(["from outside"] * 5)
    assert {"/inside", "/inside2/sub", "/other", "/made/by/mount", "/made-file"} <= set(
        table(inside["m"])
    )
    assert list(victim.iterdir()) == []
    assert str(victim) in table(inside["m"])  # inside the root


def test_links_of_a_source_are_followed_and_need_not_be(
    creche: Runtime, bundle: Bundles, container_id: str, source: Path
) -> None:
    (source / "link").symlink_to("file")
    made = with_mounts(
        bundle,
        bind("/followed", source / "link"),
        bind("/itself", source / "link", "src-nofollow"),
    )
    result = creche.run(["run", "-b", made, container_id])
    if result.rc:
        # The kernel may not attach a symbolic link over a file; then it is at least never followed.
        assert "/itself" in message(result)
        made.config["mounts"].pop()
    assert ask(creche, made, container_id, f="cat /followed")["f"] == "from outside"


def test_a_link_is_made_again_or_mounted_over(
    creche: Runtime, bundle: Bundles, container_id: str, source: Path
) -> None:
    """crun's copy-symlink and dest-nofollow."""
    (source / "link").symlink_to("/somewhere/else")
    made = with_mounts(
        bundle,
        bind("/opt/copied", source / "link", "copy-symlink"),
        bind("/kept", source / "file", "copy-symlink"),
        bind("/etc/linked", source / "file", "dest-nofollow"),
    )
    (made.rootfs / "etc").mkdir(exist_ok=True)
    (made.rootfs / "etc/target").write_text("untouched")
    (made.rootfs / "etc/linked").symlink_to("target")
    found = ask(
        creche, made, container_id,
        copied="readlink /opt/copied", kept="cat /kept", over="cat /etc/linked",
        target="cat /etc/target",
    )  # fmt: skip
    assert found == {
        "copied": "/somewhere/else",
        "kept": "from outside",
        "over": "from outside",
        "target": "untouched",
    }
    assert (made.rootfs / "opt/copied").is_symlink()

    (made.rootfs / "opt/copied").unlink()
    (made.rootfs / "opt/copied").write_text("in the way")
    refused = creche.run(["run", "-b", made, container_id]).failed(1)
    assert "make the symbolic link" in message(refused)
    assert (made.rootfs / "opt/copied").read_text() == "in the way"


def test_a_source_is_relative_to_the_bundle(
    runtime: Runtime, bundle: Bundles, container_id: str, tmp_path: Path
) -> None:
    made = with_mounts(bundle, bind("/mnt", "shared"))
    (made.path / "shared").mkdir()
    (made.path / "shared/file").write_text("here\n")
    made.config["process"]["args"] = ["/bin/cat", "/mnt/file"]
    made.write()
    result = runtime.run(["run", "-b", made, container_id], cwd=tmp_path).ok()

    assert result.stdout == "here\n"


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([bind("/m", "/no/such/source")], ["mounts[1] /m", "/no does not exist"]),
        ([bind("/m", "/etc/passwd/x")], ["mounts[1] /m", "/etc/passwd is not a directory"]),
        ([bind("/etc/passwd/x", "/etc")], ["mounts[1]", "/etc/passwd/x", "not a directory"]),
        ([bind("/etc", "/etc/passwd")], ["mounts[1]", "both be directories or both be files"]),
        ([bind("/etc/passwd", "/etc")], ["mounts[1]", "both be directories or both be files"]),
        ([tmpfs("/m", "size=nonsense")], ["mounts[1] /m", "size"]),
        ([tmpfs("/m", "nosuchoption")], ["mounts[1] /m", "nosuchoption"]),
        ([entry("/m", "nosuchfs", "x")], ["mounts[1] /m", "nosuchfs"]),
        ([bind("/loop/x", "/etc")], ["mounts[1]", "/loop/x", "too many levels"]),
    ],
)
def test_what_cannot_be_mounted_is_named(
    creche: Runtime, bundle: Bundles, container_id: str, entries: list[Entry], words: list[str]
) -> None:
    made = with_mounts(bundle, *entries)
    (made.rootfs / "loop").symlink_to("loop")
    result = creche.run(["run", "-b", made, container_id]).failed(1)

    for word in words:
        assert word in message(result)
    assert not creche.exists(container_id)


@pytest.mark.parametrize("where", ["proc", "sys"])
def test_proc_and_sys_are_mounted_on_ordinary_directories(
    runtime: Runtime, bundle: Bundles, container_id: str, where: str
) -> None:
    """A link would let the image choose what its masks apply to (CVE-2019-19921)."""
    made = bundle()
    (made.rootfs / where).rmdir()
    (made.rootfs / where).symlink_to("tmp")
    result = runtime.run(["run", "-b", made, container_id]).failed(1)

    assert "must be mounted on ordinary directory" in message(result)
    assert not runtime.exists(container_id)


def test_a_bind_over_proc_must_be_a_procfs(
    runtime: Runtime, bundle: Bundles, container_id: str, source: Path
) -> None:
    made = bundle(base=MINIMAL)
    made.config["mounts"] = [bind("/proc", source)]
    made.write()
    result = runtime.run(["run", "-b", made, container_id]).failed(1)
    assert '/proc" cannot be mounted because it is not of type proc' in message(result)

    made.config["mounts"] = [entry("/proc", "none", "/proc", "rbind")]
    assert ask(runtime, made, container_id, m="test -d /proc/self && echo yes")["m"] == "yes"


def test_later_mounts_lie_on_earlier_ones_and_remount_changes_one(
    runtime: Runtime, bundle: Bundles, container_id: str, source: Path
) -> None:
    made = with_mounts(
        bundle,
        tmpfs("/m"),
        tmpfs("/m/a"),
        bind("/m/a/b", source),
        tmpfs("/over"),
        bind("/over", source),
        {"destination": "/m", "options": ["remount", "ro", "noexec"]},
    )
    inside = ask(runtime, made, container_id, m=MOUNTINFO, over="cat /over/file /m/a/b/file")
    found = table(inside["m"])

    assert inside["over"] == "from outside\nfrom outside"
    assert found["/m"].options == {"ro", "noexec", "relatime"}
    assert "rw" in found["/m/a"].options


def test_idmapped_mounts(creche: Runtime, bundle: Bundles, container_id: str, source: Path) -> None:
    """Owners shift through the mount only; runc can do so since 1.2."""
    os.chown(source / "file", 1000, 1000)
    entry_ = bind("/m", source)
    mapping = [{"containerID": 1000, "hostID": 2000, "size": 1}]
    made = with_mounts(
        bundle, {**entry_, "uidMappings": mapping, "gidMappings": mapping}, bind("/n", source)
    )
    inside = ask(creche, made, container_id, o="stat -c %u:%g /m/file /n/file /m/inner")

    assert inside["o"].split() == ["2000:2000", "1000:1000", "65534:65534"]


# tmpfs --------------------------------------------------------------------------------------------


def test_modes_of_a_tmpfs(runtime: Runtime, bundle: Bundles, container_id: str) -> None:
    """mode= wins; else what lies below shines through; else a directory for all."""
    made = with_mounts(bundle, tmpfs("/given", "mode=711"), tmpfs("/kept"), tmpfs("/new"))
    for name, mode in (("given", 0o700), ("kept", 0o710)):
        (made.rootfs / name).mkdir()
        (made.rootfs / name).chmod(mode)
    modes = ask(runtime, made, container_id, m="stat -c %a /given /kept /new")["m"].split()

    assert modes[1] == "710"
    if runtime.name == "creche":  # runc 1.1 prefers what lies below to what it is told
        assert modes == ["711", "710", "1777"]


def test_copy_up(runtime: Runtime, bundle: Bundles, container_id: str) -> None:
    """A tmpfs with what it covers: kinds, owners, modes, links; the image stays as it is."""
    made = with_mounts(bundle, tmpfs("/data", "tmpcopyup"))
    data = made.rootfs / "data"
    (data / "sub").mkdir(parents=True)
    (data / "sub/file").write_text("content\n")
    (data / "sub/file").chmod(0o644)
    os.chown(data / "sub/file", 1000, 5)
    (data / "link").symlink_to("/etc/shadow")
    inside = ask(
        runtime,
        made,
        container_id,
        file="cat /data/sub/file; stat -c '%a %u:%g' /data/sub/file; readlink /data/link",
        write="rm /data/link; touch /data/sub/../new; ls /data",
        kind="stat -f -c %T /data",
    )

    assert inside["file"] == "content\n644 1000:5\n/etc/shadow"
    assert inside["kind"] == "tmpfs"
    assert inside["write"].split() == ["new", "sub"]
    assert sorted(os.listdir(data)) == ["link", "sub"]


def test_a_read_only_dev_is_filled_first(
    runtime: Runtime, bundle: Bundles, container_id: str
) -> None:
    made = bundle()
    (dev,) = [m for m in made.config["mounts"] if m["destination"] == "/dev"]
    dev["options"].append("ro")
    inside = ask(
        runtime,
        made,
        container_id,
        m=MOUNTINFO,
        null="echo x >/dev/null && stat -c %t:%T /dev/null",
        write="touch /dev/x || echo refused",
    )

    assert "ro" in table(inside["m"])["/dev"].options
    assert inside["null"] == "1:3"
    assert inside["write"].endswith("refused")


# The usual filesystems ----------------------------------------------------------------------------


def test_what_runc_spec_mounts(creche: Runtime, runc: Runtime, bundle: Bundles) -> None:
    """devpts, mqueue, shm, sysfs, cgroup: the whole table of mounts is runc's."""
    found = []
    for runtime in (creche, runc):
        made = bundle({"linux": {"maskedPaths": []}})  # in the masks creche is stricter
        inside = ask(runtime, made, f"crt-mounts-{runtime}", m=MOUNTINFO)
        found.append(
            {
                (m.target, m.fstype, m.options)
                for m in parse_mountinfo(inside["m"])
                # runc 1.1 leaves out the unified tree, and the tmpfs it mounts for all writable.
                if m.target not in ("/", "/sys/fs/cgroup", "/sys/fs/cgroup/unified")
            }
        )
    ours, theirs = found

    assert ours == theirs


def test_cgroups_are_shown_read_only_and_only_the_containers_own(
    runtime: Runtime, bundle: Bundles, container_id: str
) -> None:
    """On a hybrid machine every hierarchy, below a tmpfs."""
    made = bundle({"linux": {"resources": {"pids": {"limit": 77}}}})
    inside = ask(
        runtime,
        made,
        container_id,
        m=MOUNTINFO,
        limit="cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null",
        own="cd /sys/fs/cgroup; cat pids/cgroup.procs cgroup.procs 2>/dev/null | head -1",
        write="cd /sys/fs/cgroup; echo 5 >pids/pids.max || echo 5 >pids.max || echo refused",
    )

    assert inside["limit"] == "77"
    assert inside["own"] == "1"
    assert inside["write"].endswith("refused")
    for target, found in table(inside["m"]).items():
        if target.startswith("/sys/fs/cgroup" + ("/" if runtime.name == "runc" else "")):
            assert {"ro", "nosuid", "nodev", "noexec"} <= found.options, target


# The root -----------------------------------------------------------------------------------------


def test_root_read_only_or_not(runtime: Runtime, bundle: Bundles, container_id: str) -> None:
    for readonly in (True, False):
        made = bundle({"root": {"readonly": readonly}})
        inside = ask(
            runtime,
            made,
            container_id,
            m=MOUNTINFO,
            write="touch /file && echo written",
            tmp="touch /dev/shm/x && echo written",
        )
        assert ("ro" in table(inside["m"])["/"].options) is readonly
        assert (inside["write"] == "written") is not readonly
        assert inside["tmp"] == "written"


@pytest.mark.parametrize("options", [[], ["--no-pivot"]])
def test_nothing_of_the_host_is_seen(
    runtime: Runtime, bundle: Bundles, container_id: str, options: list[str]
) -> None:
    """With pivot_root(2) and without: the old root is gone from the table, or at least covered."""
    made = bundle(sh="ls /; cat /proc/self/mountinfo | grep -c ' / / '; cd ..; pwd; ls -d /../bin")
    result = runtime.run(["run", *options, "-b", made, container_id]).ok()

    assert "rootfs" not in result.stdout
    assert "tmp" in result.stdout.split()


def test_without_pivot_no_fresh_procfs_can_be_had(
    runtime: Runtime, bundle: Bundles, container_id: str
) -> None:
    """The old root's unmasked /proc must not be a precedent for a new one (runc's own test)."""
    made = bundle(sh="unshare -Urm sh -c 'mount -t proc none /tmp && echo mounted' 2>&1")
    made.patch({"root": {"readonly": False}, "process": {"noNewPrivileges": False}})
    made.patch({"linux": {"maskedPaths": ["/proc/uptime"]}})
    result = runtime.run(["run", "--no-pivot", "-b", made, container_id])

    assert "mounted" not in result.stdout


def test_a_root_that_is_a_link_is_refused(
    runtime: Runtime, bundle: Bundles, container_id: str
) -> None:
    made = bundle(base=MINIMAL)
    made.rootfs.rename(made.path / "real")
    made.rootfs.symlink_to("real")
    result = runtime.run(["run", "-b", made, container_id]).failed(1)

    assert not runtime.exists(container_id)
    if runtime.name == "creche":
        assert "root.path" in message(result)
        assert "symbolic link" in message(result)


def test_a_root_that_is_missing_is_named(
    runtime: Runtime, bundle: Bundles, container_id: str
) -> None:
    made = bundle({"root": {"path": "nowhere"}}, base=MINIMAL)
    result = runtime.run(["run", "-b", made, container_id]).failed(1)

    assert "nowhere" in message(result)
    assert not runtime.exists(container_id)


# Masked and read-only -----------------------------------------------------------------------------


def test_masked_and_readonly_paths(runtime: Runtime, bundle: Bundles, container_id: str) -> None:
    made = bundle()
    (made.rootfs / "secret").mkdir()
    (made.rootfs / "secret/file").write_text("secret\n")
    (made.rootfs / "plain").write_text("secret\n")
    (made.rootfs / "shut/below").mkdir(parents=True)
    made.patch(
        {
            "root": {"readonly": False},
            "linux": {
                "maskedPaths": [
                    "/secret",
                    "/proc/version",
                    "/plain",
                    "/nowhere",
                    "/proc/acpi/none",
                ],
                "readonlyPaths": ["/proc/sys", "/shut", "/nowhere", "/proc/sysrq-trigger"],
            },
        }
    )
    inside = ask(
        runtime,
        made,
        container_id,
        secret="ls -A /secret; stat -f -c %T /secret; touch /secret/x || echo no",
        plain="cat /plain; stat -c '%F' /plain; wc -c </proc/version",
        shut="touch /shut/x || echo no; touch /shut/below/x || echo no",
        sys="echo 1 >/proc/sys/kernel/randomize_va_space || echo no",
        open="touch /etc/x && echo yes",
    )

    assert inside["secret"].splitlines()[-1] == "no"
    assert inside["secret"].splitlines()[0] == "tmpfs"  # and no names before it
    assert inside["plain"] == "character special file\n0"
    assert inside["shut"].split().count("no") == 2
    assert inside["sys"].endswith("no")
    assert inside["open"] == "yes"


def test_many_masks_share_one_filesystem(
    creche: Runtime, bundle: Bundles, container_id: str
) -> None:
    names = [f"/masked/{i}" for i in range(30)]
    made = bundle({"linux": {"maskedPaths": names * 2}})
    for name in names:
        (made.rootfs / name.lstrip("/")).mkdir(parents=True)
    found = ask(creche, made, container_id, m=MOUNTINFO)["m"].splitlines()
    masks = [line.split()[2] for line in found if " /masked/" in line]

    assert len(masks) == len(names)  # duplicates once
    assert len(set(masks)) == 1  # one superblock


def test_the_images_own_null_is_never_the_mask(
    creche: Runtime, bundle: Bundles, container_id: str
) -> None:
    """CVE-2025-31133: /dev/null of the image is a link to what the attacker wants bound."""
    made = bundle(base=MINIMAL)
    (made.rootfs / "dev/null").symlink_to("/etc/passwd")
    (made.rootfs / "masked").write_text("secret\n")
    made.patch({"linux": {"maskedPaths": ["/masked"]}})
    result = creche.run(["run", "-b", made, container_id])
    # Another kind of file where a device is to be: the specification makes that an error.
    assert "/dev/null" in message(result.failed(1))

    made.config["mounts"].append(tmpfs("/dev"))
    assert ask(creche, made, container_id, m="stat -c '%F %t:%T' /masked")["m"] == (
        "character special file 1:3"
    )


def test_namespaces_needed_by_mounts_are_asked_for(
    creche: Runtime, bundle: Bundles, container_id: str
) -> None:
    made = bundle({"linux": {"namespaces": [namespace("pid")]}}, base=MINIMAL)

    assert "mount namespace" in message(creche.run(["run", "-b", made, container_id]).failed(1))
