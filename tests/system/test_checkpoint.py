"""checkpoint and restore with Debian 12's CRIU, on the kernel that it was made for."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.bundle import Bundle
from tests.support.runtimes import Runtime
from tests.support.waiting import DEADLINE, read_until

pytestmark = pytest.mark.skipif(
    "CRECHE_TEST_MACHINE" not in os.environ,
    reason="needs the virtual machine that ./dev system boots",
)

ECHO = "n=0; while read word; do n=$((n+1)); echo $n $word; done; echo end"


class Pipes:
    """The other ends of a container's standard streams."""

    def __init__(self) -> None:
        self.theirs_in, self.input = os.pipe()
        self.output, self.theirs_out = os.pipe()

    def run(self, runtime: Runtime, *words: str | Path) -> subprocess.Popen[bytes]:
        process = runtime.popen(
            words, stdin=self.theirs_in, stdout=self.theirs_out, stderr=self.theirs_out
        )
        os.close(self.theirs_in)
        os.close(self.theirs_out)
        return process

    def say(self, word: str, answer: str) -> None:
        os.write(self.input, word.encode() + b"\n")
        read_until(self.output, answer.encode())

    def close(self) -> None:
        os.close(self.input)
        os.close(self.output)


def test_to_disk_and_back(
    creche: Runtime, bundle: Callable[..., Bundle], container_id: str, tmp_path: Path
) -> None:
    """The program goes on where it was: with what it counted, in its cgroup, on new pipes."""
    directory = bundle(sh=ECHO)
    first, second, third = Pipes(), Pipes(), Pipes()
    images = tmp_path / "images"
    assert (
        first.run(creche, "run", "-d", "-b", str(directory.path), container_id).wait(DEADLINE) == 0
    )
    first.say("a", "1 a")

    creche.run(["checkpoint", "--pre-dump", "--image-path", tmp_path / "pre", container_id]).ok()
    assert creche.status(container_id) == "running"
    creche.run(["checkpoint", "--image-path", images, "--parent-path", "../pre", container_id]).ok()
    creche.run(["state", container_id]).failed(1)
    first.close()

    pid_file = tmp_path / "pid"
    command = ("restore", "-d", "--image-path", images, "--pid-file", pid_file,
               "-b", str(directory.path), container_id)  # fmt: skip
    assert second.run(creche, *command).wait(DEADLINE) == 0
    second.say("b", "2 b")
    assert creche.status(container_id) == "running"
    assert pid_file.read_text() == str(creche.pid(container_id))
    assert (
        Path(f"/proc/{creche.pid(container_id)}/cgroup").read_text().strip().endswith(container_id)
    )
    assert creche.run(["exec", container_id, "echo", "there"]).ok().stdout == "there\n"
    creche.run(["delete", "--force", container_id]).ok()
    second.close()

    process = third.run(
        creche, "restore", "--image-path", images, "-b", str(directory.path), container_id
    )
    third.say("c", "2 c")
    os.close(third.input)
    read_until(third.output, b"end")
    assert process.wait(DEADLINE) == 0
    os.close(third.output)
    assert not creche.exists(container_id)
