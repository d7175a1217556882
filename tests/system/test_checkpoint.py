"""checkpoint and restore with Debian 12's CRIU, on the kernel that it was made for."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.test_runtime_exec import console_socket
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


def test_a_terminal(
    creche: Runtime, bundle: Callable[..., Bundle], container_id: str, tmp_path: Path
) -> None:
    """The master of the terminal that CRIU made goes to who listens at --console-socket."""
    directory = bundle({"process": {"terminal": True}}, sh=f"stty -echo; echo ready; {ECHO}")
    images = tmp_path / "images"
    with console_socket(tmp_path) as (path, take):
        creche.run(["run", "-d", "--console-socket", path, "-b", directory, container_id]).ok()
        master, _name = take()
        read_until(master, b"ready")
        os.write(master, b"a\n")
        read_until(master, b"1 a")
        creche.run(["checkpoint", "--image-path", images, container_id]).ok()
        os.close(master)

        words = ["restore", "-d", "--console-socket", path, "--image-path", str(images)]
        creche.run([*words, "-b", directory, container_id]).ok()
        master, _name = take()
        os.write(master, b"b\n")
        read_until(master, b"2 b")
        os.close(master)


@contextmanager
def criu(*words: str | Path) -> Iterator[subprocess.Popen[bytes]]:
    """CRIU as a server, once it serves."""
    ready, status = os.pipe()
    command = ["criu", *words, "--status-fd", str(status)]
    with subprocess.Popen(command, pass_fds=(status,), stdin=subprocess.DEVNULL) as process:
        os.close(status)
        try:
            read_until(ready, b"\0")
            yield process
        finally:
            os.close(ready)
            process.kill()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_memory_to_a_page_server(
    creche: Runtime, bundle: Callable[..., Bundle], container_id: str, tmp_path: Path
) -> None:
    """It has the pages then, and the images nothing but the rest."""
    directory = bundle(sh=ECHO)
    first, second = Pipes(), Pipes()
    images, pages, port = tmp_path / "images", tmp_path / "pages", free_port()
    pages.mkdir()
    run = first.run(creche, "run", "-d", "-b", str(directory.path), container_id)
    assert run.wait(DEADLINE) == 0
    first.say("a", "1 a")
    with criu("page-server", "--images-dir", pages, "--port", str(port)) as server:
        creche.run(
            ["checkpoint", "--image-path", images, "--page-server", f"127.0.0.1:{port}",
             container_id]
        ).ok()  # fmt: skip
        assert server.wait(DEADLINE) == 0
    first.close()
    assert not list(images.glob("pages-*.img"))
    assert list(pages.glob("pages-*.img"))

    for image in pages.glob("*.img"):
        if not (images / image.name).exists():
            shutil.move(image, images)
    restore = second.run(
        creche, "restore", "-d", "--image-path", images, "-b", str(directory.path), container_id
    )
    assert restore.wait(DEADLINE) == 0
    second.say("b", "2 b")
    second.close()


def test_memory_when_it_is_used(
    creche: Runtime, bundle: Callable[..., Bundle], container_id: str, tmp_path: Path
) -> None:
    """The checkpoint serves the pages until the restored container, which runs, has them all."""
    directory = bundle(sh=ECHO)
    first, second = Pipes(), Pipes()
    images, port = tmp_path / "images", free_port()
    run = first.run(creche, "run", "-d", "-b", str(directory.path), container_id)
    assert run.wait(DEADLINE) == 0
    first.say("a", "1 a")
    ready, status = os.pipe()
    checkpoint = creche.popen(
        ["checkpoint", "--lazy-pages", "--page-server", f"127.0.0.1:{port}", "--status-fd",
         str(status), "--image-path", images, container_id],
        pass_fds=(status,),
    )  # fmt: skip
    os.close(status)
    read_until(ready, b"\0")
    os.close(ready)

    words: list[str | Path] = ["lazy-pages", "--images-dir", images, "--page-server"]
    words += ["--address", "127.0.0.1", "--port", str(port)]
    with criu(*words) as server:
        other = f"{container_id}-2"
        restore = second.run(
            creche, "restore", "-d", "--lazy-pages", "--image-path", images,
            "-b", str(directory.path), other,
        )  # fmt: skip
        assert restore.wait(DEADLINE) == 0
        second.say("b", "2 b")
        assert server.wait(DEADLINE) == 0
    out, err = checkpoint.communicate(timeout=DEADLINE)
    assert checkpoint.returncode == 0, (out, err)
    first.close()
    second.close()
    creche.run(["state", container_id]).failed(1)


def test_a_network_namespace_of_somebody_else(
    creche: Runtime, bundle: Callable[..., Bundle], container_id: str, tmp_path: Path
) -> None:
    """It is left as it is, and joined again."""
    ready, said = os.pipe()
    holder = subprocess.Popen(
        ["unshare", "-n", "sh", "-c", "echo here; exec sleep infinity"], stdout=said
    )
    os.close(said)
    try:
        read_until(ready, b"here")
        os.close(ready)
        network = f"/proc/{holder.pid}/ns/net"
        directory = bundle(sh=ECHO)
        for entry in directory.config["linux"]["namespaces"]:
            if entry["type"] == "network":
                entry["path"] = network
        directory.write()
        first, second = Pipes(), Pipes()
        images = tmp_path / "images"
        run = first.run(creche, "run", "-d", "-b", str(directory.path), container_id)
        assert run.wait(DEADLINE) == 0
        first.say("a", "1 a")
        creche.run(["checkpoint", "--image-path", images, container_id]).ok()
        first.close()
        restore = second.run(
            creche, "restore", "-d", "--image-path", images, "-b", str(directory.path), container_id
        )
        assert restore.wait(DEADLINE) == 0
        second.say("b", "2 b")
        joined = os.readlink(f"/proc/{creche.pid(container_id)}/ns/net")
        assert joined == os.readlink(network)
        second.close()
    finally:
        holder.kill()
        holder.wait()
