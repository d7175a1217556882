"""buildah with --isolation oci: it calls create, start, state and delete by itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.engines.engine import ENVIRONMENT, Place, call, need
from tests.support.runtimes import Result

pytestmark = [pytest.mark.root, pytest.mark.slow]

# Debian's limits of open files and processes are above what root of a container may set.
_CONFIGURATION = """\
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
"""


class Buildah:
    """buildah with one runtime and a storage of its own."""

    def __init__(self, place: Place) -> None:
        self.place = place
        configuration = place.directory / "containers.conf"
        configuration.write_text(_CONFIGURATION)
        registries = place.directory / "registries.conf"
        registries.write_text("unqualified-search-registries = []\n")
        self._environment = {
            **ENVIRONMENT,
            "CONTAINERS_CONF": str(configuration),
            "CONTAINERS_REGISTRIES_CONF": str(registries),
            "TMPDIR": str(place.directory),
        }

    def __call__(self, verb: str, *words: str, stdin: bytes | None = None) -> Result:
        """Call buildah."""
        argv = [
            "buildah",
            f"--root={self.place.directory}/storage",
            f"--runroot={self.place.run}/storage",
            "--storage-driver=vfs",
            verb,
        ]
        if verb in ("run", "bud"):
            argv += ["--isolation=oci", f"--runtime={self.place.program}", "--network=none"]
        return call([*argv, *words], stdin=stdin, env=self._environment, cwd=self.place.directory)

    def run(self, container: str, *command: str, options: Sequence[str] = ()) -> Result:
        """Run a command in a working container."""
        return self("run", *options, container, "--", *command)


@pytest.fixture(scope="module")
def buildah(place: Place) -> Iterator[Buildah]:
    """Give buildah with an image to start from."""
    need("buildah")
    place.allowed_in_run |= {"containers", "netns", "libpod", "runc", "crun", "creche", "lock"}
    made = Buildah(place)
    made("from", "--name=crt-base", "scratch").ok()
    made("add", "crt-base", str(place.image_tar), "/").ok()
    made("commit", "-q", "crt-base", "localhost/crt-base").ok()
    made.run("crt-base", "true").ok()  # makes the directory for states
    yield made
    made("rm", "-a")


def test_run(buildah: Buildah) -> None:
    done = buildah.run("crt-base", "sh", "-c", "echo out; echo err >&2; id -u")
    assert done.ok().stdout == "out\n0\n"
    assert "err\n" in done.stderr
    buildah.run("crt-base", "sh", "-c", "exit 7").failed(7)


def test_program_that_cannot_run(buildah: Buildah) -> None:
    assert "no such file" in buildah.run("crt-base", "/nope").failed().stderr
    assert "permission denied" in buildah.run("crt-base", "/noexec").failed().stderr


def test_options(buildah: Buildah, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("inside\n")
    tmp_path.chmod(0o755)
    options = [f"--volume={tmp_path}:/v:ro", "--user=1000:1000", "--workingdir=/tmp"]
    options += ["--hostname=crt-host", "--cap-drop=CAP_CHOWN", "--env=A=b c"]
    script = "cat /v/in; id -u; pwd; hostname; echo $A"
    done = buildah.run("crt-base", "sh", "-c", script, options=options).ok()
    assert done.stdout == "inside\n1000\n/tmp\ncrt-host\nb c\n"


def test_build(buildah: Buildah, tmp_path: Path) -> None:
    text = "FROM localhost/crt-base\nRUN echo one >/one\nRUN cat /one && echo two >/two\n"
    (tmp_path / "Containerfile").write_text(text)
    buildah("bud", "-q", "-t", "localhost/crt-built", str(tmp_path)).ok()
    buildah("from", "--name=crt-built", "localhost/crt-built").ok()
    assert buildah.run("crt-built", "cat", "/one", "/two").ok().stdout == "one\ntwo\n"


def test_build_that_fails(buildah: Buildah, tmp_path: Path) -> None:
    (tmp_path / "Containerfile").write_text("FROM localhost/crt-base\nRUN exit 9\n")
    done = buildah("bud", "-q", "-t", "localhost/crt-bad", str(tmp_path)).failed()
    assert "exit status 9" in done.stderr
