"""Workload directories on a real file system: what is taken, and what is not even opened."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

import pytest

from supervisor import crechectl
from supervisor.workload import directory, rootfs
from supervisor.workload.errors import WorkloadError

GOOD = '[container]\nargs = ["true"]\n'


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A directory of workloads with one that is in order."""
    add(tmp_path, "good")
    return tmp_path


def add(base: Path, name: str, text: str = GOOD) -> Path:
    """A workload directory that nobody else can write, whatever the umask."""
    path = base / name
    path.mkdir()
    path.chmod(0o755)
    (path / "workload.toml").write_text(text)
    (path / "workload.toml").chmod(0o644)
    return path


def refusal(base: Path) -> str:
    """Read `base`: the good one is there whatever the others are; the one message about them."""
    good, bad = directory.read_all(str(base), "/scratch")

    assert [workload.name for workload in good] == ["good"]
    [(_, error)] = bad
    return str(error).replace(str(base), "BASE")


def test_reads_workloads_by_name(base: Path) -> None:
    """Hidden names and plain files are no workloads."""
    add(base, ".hidden", "[nonsense]")
    (base / "README").write_text("x")
    add(base, "another")
    good, bad = directory.read_all(str(base), "/scratch")

    assert [workload.name for workload in good] == ["another", "good"]
    assert not bad
    assert good[0].embedded_root
    assert good[0].config["root"] == {"path": "/scratch/another", "readonly": True}


def test_no_directory_at_all(tmp_path: Path) -> None:
    """Said plainly."""
    with pytest.raises(WorkloadError, match="does not exist"):
        directory.read_all(str(tmp_path / "none"), "/scratch")
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkloadError, match="is a file; expected a directory"):
        directory.read_all(str(tmp_path / "file"), "/scratch")


def test_a_fifo_never_blocks(base: Path) -> None:
    """Opening a FIFO for reading would wait for a writer for ever."""
    path = base / "bad"
    path.mkdir(0o755)
    os.mkfifo(path / "workload.toml", 0o600)

    assert refusal(base) == "BASE/bad/workload.toml: is a FIFO; expected a regular file"


def test_a_fifo_in_place_of_config_json_never_blocks(base: Path) -> None:
    """The same for the other file."""
    path = add(base, "bad", "")
    os.mkfifo(path / "config.json", 0o600)

    assert refusal(base) == "BASE/bad/config.json: is a FIFO; expected a regular file"


def test_a_fifo_in_place_of_a_directory(base: Path) -> None:
    """And for the directory."""
    os.mkfifo(base / "bad")

    assert refusal(base) == "BASE/bad: is a FIFO; expected a directory"


def test_a_socket(base: Path) -> None:
    """A socket cannot be opened at all."""
    path = base / "bad"
    path.mkdir(0o755)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path / "workload.toml"))

    assert "cannot be opened" in refusal(base)


def test_symlinks_are_not_followed(base: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Neither a directory nor a file may lie elsewhere."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    target = add(elsewhere, "target")
    (base / "bad").symlink_to(target)

    assert refusal(base) == "BASE/bad: is a symbolic link; expected a directory"

    (base / "bad").unlink()
    path = base / "bad"
    path.mkdir(0o755)
    (path / "workload.toml").symlink_to(target / "workload.toml")

    assert refusal(base) == ("BASE/bad/workload.toml: is a symbolic link; put the file itself here")


@pytest.mark.parametrize("mode", [0o775, 0o757, 0o777, 0o1777])
def test_directories_others_may_write_are_refused(base: Path, mode: int) -> None:
    """Whoever can write it could run programs as root."""
    add(base, "bad").chmod(mode)

    assert refusal(base) == (
        f"BASE/bad: may be written by others than its owner (mode {mode:04o}); chmod go-w it"
    )


@pytest.mark.parametrize("mode", [0o664, 0o646])
def test_files_others_may_write_are_refused(base: Path, mode: int) -> None:
    """The same for the file."""
    (add(base, "bad") / "workload.toml").chmod(mode)

    assert refusal(base).startswith("BASE/bad/workload.toml: may be written by others")


def test_the_top_directory_is_held_to_the_same(base: Path) -> None:
    """A workload could be put into it."""
    base.chmod(0o777)
    with pytest.raises(WorkloadError, match="may be written by others"):
        directory.read_all(str(base), "/scratch")


@pytest.mark.root
def test_files_of_other_owners_are_refused(base: Path) -> None:
    """Only root, and whoever runs creched, may own them."""
    path = add(base, "bad")
    os.chown(path / "workload.toml", 12345, 0)

    assert refusal(base) == "BASE/bad/workload.toml: is owned by uid 12345; expected root"


def test_what_is_missing_is_named(base: Path) -> None:
    """File and table."""
    (base / "bad").mkdir(0o755)
    assert refusal(base) == "BASE/bad/workload.toml: does not exist"

    (base / "bad" / "workload.toml").write_text("")
    (base / "bad" / "workload.toml").chmod(0o644)
    assert refusal(base) == (
        "BASE/bad/workload.toml: container: expected this table, or a config.json beside the file"
    )


def test_not_both(base: Path) -> None:
    """One description of the container is enough."""
    path = add(base, "bad")
    (path / "config.json").write_text("{}")
    (path / "config.json").chmod(0o644)

    assert refusal(base) == (
        "BASE/bad/workload.toml: container: expected either this table or config.json, found both"
    )


def test_a_bad_config_json_is_refused_with_its_path(base: Path) -> None:
    """With the runtime's own words."""
    path = add(base, "bad", "")
    (path / "config.json").write_text('{"ociVersion": 1}')
    (path / "config.json").chmod(0o644)

    assert refusal(base).startswith("BASE/bad/config.json: ociVersion: expected")


def test_a_terminal_is_refused(base: Path) -> None:
    """There is nobody to give it to."""
    path = add(base, "bad", "")
    (path / "config.json").write_text(
        '{"ociVersion": "1.2.0", "root": {"path": "rootfs"},'
        ' "process": {"terminal": true, "cwd": "/", "args": ["sh"]}}'
    )
    (path / "config.json").chmod(0o644)

    assert refusal(base) == (
        "BASE/bad/config.json: process.terminal: expected false: creched has no terminal to give"
    )


def test_names_are_checked(base: Path) -> None:
    """They become container ids and cgroup names."""
    add(base, "-bad name")

    assert refusal(base).startswith("BASE/-bad name: a workload's name begins with")


@pytest.mark.parametrize("path", ["/etc", "../good", "a/../../good"])
def test_a_rootfs_stays_inside(base: Path, path: str) -> None:
    """Not by name, and not by symlink either."""
    add(base, "bad", GOOD + f'rootfs = "{path}"\n')

    assert refusal(base) == (
        'BASE/bad/workload.toml: container.rootfs: expected "host-usr" or a path inside the '
        f'workload directory, found "{path}"'
    )


def test_a_rootfs_is_no_symlink(base: Path) -> None:
    """A symlink is a way out."""
    path = add(base, "bad", GOOD + 'rootfs = "root"\n')
    (path / "root").symlink_to("/")

    assert refusal(base) == "BASE/bad/root: is a symbolic link; expected a directory"


def test_a_rootfs_must_be_there(base: Path) -> None:
    """Otherwise it is named."""
    add(base, "bad", GOOD + 'rootfs = "root"\n')

    assert refusal(base) == (
        "BASE/bad/workload.toml: container.rootfs: BASE/bad/root does not exist"
    )


def test_hooks_in_the_directory_are_checked(base: Path) -> None:
    """A hook runs as root: what may be said of the file holds for it too."""
    path = add(base, "bad", GOOD + '[[hooks.prestart]]\npath = "hook"\n')
    assert refusal(base) == (
        "BASE/bad/workload.toml: hooks.prestart[0].path: BASE/bad/hook does not exist"
    )

    (path / "hook").write_text("#!/bin/sh\n")
    (path / "hook").chmod(0o777)
    assert refusal(base).startswith("BASE/bad/hook: may be written by others")

    (path / "hook").chmod(0o755)
    good, bad = directory.read_all(str(base), "/scratch")
    assert not bad
    assert good[0].config["hooks"] == {
        "prestart": [{"path": f"{path}/hook", "args": ["hook"], "timeout": 30}]
    }


def test_a_huge_file_is_not_read(base: Path) -> None:
    """A sparse file of a terabyte costs nothing to make."""
    path = add(base, "bad", "")
    os.truncate(path / "workload.toml", 1 << 40)

    assert refusal(base) == "BASE/bad/workload.toml: is larger than 1048576 bytes"


def test_no_descriptor_is_left_open(base: Path) -> None:
    """Whatever went wrong."""
    add(base, "bad", "[nonsense]")
    add(base, "bad2", GOOD + 'rootfs = "root"\n').chmod(0o777)
    before = sorted(os.listdir("/proc/self/fd"))
    directory.read_all(str(base), "/scratch")

    assert sorted(os.listdir("/proc/self/fd")) == before


def test_embedded_root_has_what_programs_look_for(tmp_path: Path) -> None:
    """Made of the host's layout, and removed again."""
    path = str(tmp_path / "root")
    rootfs.make(path)

    assert os.path.isdir(f"{path}/usr")
    for name in ("bin", "lib"):
        if os.path.islink(f"/{name}"):
            assert os.readlink(f"{path}/{name}") == os.readlink(f"/{name}")
    assert any(mount["destination"] == "/usr" for mount in rootfs.mounts())
    rootfs.remove(path)
    assert not os.path.exists(path)


def test_an_embedded_root_is_for_every_user_of_the_container(tmp_path: Path) -> None:
    """Whatever creched's own umask: creched.service sets a narrow one."""
    root = tmp_path / "root"
    mask = os.umask(0o077)
    try:
        rootfs.make(str(root))
        assert os.umask(0o077) == 0o077
    finally:
        os.umask(mask)

    for path in (root, *(path for path in root.rglob("*") if not path.is_symlink())):
        assert path.stat().st_mode & 0o777 == (0o755 if path.is_dir() else 0o644), path


@pytest.mark.root
def test_an_embedded_root_with_something_mounted_in_it_is_let_alone(tmp_path: Path) -> None:
    """It could be the host's own /usr."""
    precious, root = tmp_path / "precious", tmp_path / "a root"
    precious.mkdir()
    (precious / "file").write_text("x")
    rootfs.make(str(root))
    subprocess.run(["mount", "--bind", precious, root / "usr"], check=True)
    try:
        rootfs.remove(str(root))
        assert (precious / "file").exists()
    finally:
        subprocess.run(["umount", root / "usr"], check=True)
    rootfs.remove(str(root))

    assert not root.exists()


def test_crechectl_check(base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Says what is right and what is wrong, and by its status whether anything is."""
    assert crechectl.main(["check", str(base)]) == 0
    assert capsys.readouterr().out == "good: ok\n"

    add(base, "bad", "[restart]\nlimit = 'x'\n")
    assert crechectl.main(["check", str(base)]) == 1
    assert capsys.readouterr().out == (
        f"good: ok\n{base}/bad/workload.toml:2: restart.limit: "
        'expected a whole number from 0 to 1000000, found "x"\n'
    )

    assert crechectl.main(["check", str(base / "none")]) == 2


def test_crechectl_check_knows_what_waits_for_what(
    base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A cycle is refused, as creched does; a name that is not there may still come."""
    run = '[container]\nargs = ["/bin/true"]\n'
    add(base, "a", f'{run}[workload]\nafter = ["b"]\n')
    add(base, "b", f'{run}[workload]\nrequires = ["a:started"]\n')
    add(base, "c", f'{run}[workload]\nrequires = ["ghost", "good", "b"]\n')
    assert crechectl.main(["check", str(base)]) == 1

    assert capsys.readouterr().out.splitlines() == [
        "c: ok",
        "c: warning: there is no workload ghost, which it waits for",
        "good: ok",
        f"{base}/a/workload.toml: workload: waits for itself: a -> b -> a",
        f"{base}/b/workload.toml: workload: waits for itself: b -> a -> b",
    ]


def test_crechectl_check_knows_the_groups(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Those of creched's settings; one that is not there is a warning, with what was meant."""
    add(base, "a", f'{GOOD}[workload]\ngroup = "fronntend"\n')
    add(base, "b", f'{GOOD}[workload]\ngroup = "backend"\n')
    config = tmp_path / "etc"
    config.mkdir(0o755)
    config.chmod(0o755)
    file = config / "creched.toml"
    file.write_text("[groups.frontend]\n[groups.backend]\n")
    file.chmod(0o644)
    assert crechectl.main(["check", str(base), "--config", str(file)]) == 1
    assert capsys.readouterr().out.splitlines()[:3] == [
        "a: ok",
        "a: warning: workload.group: creched.toml has no [groups.fronntend], so that a restart of "
        "a member concerns no other; did you mean 'frontend'?",
        "b: ok",
    ]
    file.write_text("[groups.frontend]\nlimt = 3\n")
    assert crechectl.main(["check", str(base), "--config", str(file)]) == 1
    assert f"{file}:2: groups.frontend.limt: unknown key" in capsys.readouterr().out


def test_the_samples_are_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    """What is installed as an example has to be one (but for the umask of a checkout)."""
    samples = Path(__file__).parents[3] / "etc" / "workloads"
    crechectl.main(["check", str(samples)])

    wrong = [line for line in capsys.readouterr().out.splitlines() if not line.endswith(": ok")]
    assert [line for line in wrong if "may be written by others" not in line] == []


@pytest.mark.parametrize(
    ("settings", "annotation", "expected", "warned"),
    [
        ("", "SIGQUIT", 3, False),
        ("", "3", 3, False),
        ("", "3x", 15, True),
        ('[stop]\nsignal = "SIGUSR1"\n', "SIGQUIT", 10, False),
        ('[stop]\ntimeout = "1s"\n', "SIGQUIT", 3, False),
    ],
)
def test_an_image_may_name_its_stop_signal(
    base: Path, settings: str, annotation: str, expected: int, warned: bool
) -> None:
    """The file has precedence; what is no signal is said and passed over."""
    path = add(base, "image", settings)
    (path / "config.json").write_text(
        '{"ociVersion": "1.2.0", "root": {"path": "rootfs"},'
        ' "annotations": {"org.opencontainers.image.stopSignal": "' + annotation + '"},'
        ' "process": {"cwd": "/", "args": ["sh"]}}'
    )
    (path / "config.json").chmod(0o644)

    good, refused = directory.read_all(str(base), "/scratch")

    assert refused == []
    (workload,) = (workload for workload in good if workload.name == "image")
    assert workload.settings.stop.signal == expected
    assert bool(workload.warnings) is warned
