"""checkpoint and restore: what is refused before CRIU is asked, and what CRIU itself refuses.

Whether a dump succeeds depends on CRIU and the kernel: tests/system shows the whole of it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.bundle import Bundle
from tests.support.runtimes import PATH_VARIABLE, Runtime

pytestmark = pytest.mark.root

Bundles = Callable[..., Bundle]


@pytest.fixture
def running(creche: Runtime, bundle: Bundles, container_id: str) -> str:
    creche.run(["run", "-d", "-b", bundle(sh="sleep 1000"), container_id]).ok()
    return container_id


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--parent-path", "/absolute"], "invalid --parent-path"),
        (["--parent-path", "missing"], "invalid --parent-path"),
        (["--manage-cgroups-mode", "hard"], "invalid manage-cgroups-mode value"),
        (["--empty-ns", "pid"], "invalid --empty-ns"),
        (["--page-server", "host"], "invalid --page-server"),
        (["--status-fd", "77"], "invalid --status-fd argument 77"),
    ],
)
def test_refused(
    creche: Runtime, running: str, tmp_path: Path, words: list[str], text: str
) -> None:
    """Nothing has been written by then, and the container runs on."""
    images = tmp_path / "images"
    result = creche.run(["checkpoint", "--image-path", images, *words, running]).failed(1)

    assert text in result.stderr
    assert not images.exists()
    assert creche.status(running) == "running"


def test_only_what_runs_has_something_to_save(
    creche: Runtime, bundle: Bundles, container_id: str
) -> None:
    creche.run(["create", "-b", bundle(), container_id]).ok()

    result = creche.run(["checkpoint", container_id]).failed(1)
    assert "Container cannot be checkpointed in created state" in result.stderr
    assert "does not exist" in creche.run(["checkpoint", "none"]).failed(1).stderr


def test_without_criu_the_error_says_what_is_missing(
    creche: Runtime, running: str, tmp_path: Path
) -> None:
    """A mount namespace of its own, in which the program cannot be executed."""
    program = shutil.which("criu", path=PATH_VARIABLE)
    command = creche.argv(["checkpoint", "--image-path", tmp_path / "images", running])
    script = f'mount --bind /dev/null {program} && exec "$@"' if program else 'exec "$@"'
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh", *command], capture_output=True, text=True
    )

    assert done.returncode == 1
    assert "criu is not installed" in done.stderr
    assert "apt-get install criu" in done.stderr
    assert creche.status(running) == "running"


def test_a_restore_of_nothing_leaves_nothing(
    creche: Runtime, bundle: Bundles, container_id: str, tmp_path: Path
) -> None:
    """No images, or none of a checkpoint."""
    if shutil.which("criu", path=PATH_VARIABLE) is None:
        pytest.skip("criu is not installed")
    os.mkdir(tmp_path / "empty")
    for images, text in ((tmp_path / "none", "--image-path"), (tmp_path / "empty", "descriptors")):
        result = creche.run(
            ["restore", "-d", "--image-path", images, "-b", bundle(), container_id]
        ).failed(1)
        assert text in result.stderr
        assert not creche.exists(container_id)
