"""Fixtures for the engines.

Each engine is started once for each runtime, with directories, sockets and control groups of its
own. Everything runs in the session's private machine (tests/support/isolation.py): /run is an empty
tmpfs, the network has a loopback interface only, and orphans are reaped by the tests.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engines.engine import IMAGE, PAUSE_IMAGE, Place
from tests.engines.matrix import RUNTIMES
from tests.support.bundle import BUSYBOX, make_rootfs
from tests.support.isolation import Session
from tests.support.leaks import Snapshot
from tests.support.mountinfo import cgroup_mounts
from tests.support.runtimes import PATH_VARIABLE

_HERE = Path(__file__).parent
_HANGS = 300.0  # seconds; a call that hangs is given up after 60 (DEADLINE)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the engines out unless they are asked for by name: they take minutes."""
    wanted = any("engines" in str(argument) for argument in config.args)
    for item in items:
        if _HERE in item.path.parents:
            item.add_marker(pytest.mark.limit(_HANGS))
            if not wanted:
                item.add_marker(pytest.mark.skip(reason="engines are driven by ./dev engines"))


@pytest.fixture(scope="session")
def image_tar(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a tar of a busybox root file system, which every engine can import."""
    if not BUSYBOX.exists():
        pytest.skip("needs Debian's busybox-static")
    directory = tmp_path_factory.mktemp("image")
    rootfs = make_rootfs(directory / "rootfs")
    (rootfs / "data").mkdir()
    (rootfs / "data/seed").write_text("seed\n")
    (rootfs / "noexec").write_text("not a program\n")
    with tarfile.open(directory / "rootfs.tar", "w") as tar:
        tar.add(rootfs, arcname=".")
    shutil.rmtree(rootfs)
    return directory / "rootfs.tar"


@pytest.fixture(scope="session")
def archive(image_tar: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the same image as `docker save` writes one: what containerd and Docker load."""
    path = tmp_path_factory.mktemp("archive") / "image.tar"
    return _write_archive(path, image_tar, IMAGE, ["/bin/sh"])


@pytest.fixture(scope="session")
def pause_archive(image_tar: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give an image for the process that holds a pod's namespaces."""
    path = tmp_path_factory.mktemp("archive") / "pause.tar"
    return _write_archive(path, image_tar, PAUSE_IMAGE, ["/bin/sleep", "1000000"])


def _write_archive(path: Path, image_tar: Path, tag: str, command: list[str]) -> Path:
    layer = image_tar.read_bytes()
    digest = hashlib.sha256(layer).hexdigest()
    config = json.dumps(
        {
            "architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, ""),
            "os": "linux",
            "config": {"Env": [f"PATH={PATH_VARIABLE}"], "Cmd": command},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
        }
    ).encode()
    name = f"{hashlib.sha256(config).hexdigest()}.json"
    index = [{"Config": name, "RepoTags": [tag], "Layers": [f"{digest}/layer.tar"]}]
    with tarfile.open(path, "w") as tar:
        for member, data in (
            (f"{digest}/layer.tar", layer),
            (name, config),
            ("manifest.json", json.dumps(index).encode()),
        ):
            info = tarfile.TarInfo(member)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


@pytest.fixture(scope="module", params=RUNTIMES)
def place(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, image_tar: Path
) -> Iterator[Place]:
    """Give a runtime, and directories and a control group for an engine that is to use it.

    Whatever the engine has started, mounted or made has to be gone when it has been stopped.
    """
    session = _session(request.config)
    engine = request.module.__name__.rpartition("test_")[2]
    name = f"{session.name}-{engine}-{request.param}"
    before = Snapshot.take(session)
    run = Path("/run") / name
    run.mkdir()
    made = Place(request.param, tmp_path_factory.mktemp(name), run, name, image_tar)
    yield made
    made.end()
    shutil.rmtree(made.directory)
    shutil.rmtree(run)
    for entry in set(Path("/run").iterdir()) - {Path(path) for path in before.run}:
        if entry.name in made.allowed_in_run:
            shutil.rmtree(entry)
    for top in cgroup_mounts().values():
        for path, _, _ in os.walk(top / name, topdown=False):
            os.rmdir(path)
    leaks = before.leaked()
    assert not leaks, f"{engine} with {request.param} left behind:\n" + "\n".join(leaks)


def _session(config: pytest.Config) -> Session:
    for value in config.stash._storage.values():
        if isinstance(value, Session):
            return value
    pytest.skip("needs root")
