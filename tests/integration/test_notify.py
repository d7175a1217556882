"""sd_notify(3) out of a container, with a service manager played by the test."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.bundle import PATH_VARIABLE, Bundle
from tests.support.runtimes import Runtime
from tests.support.waiting import DEADLINE, wait_readable

pytestmark = pytest.mark.root

PYTHON = Path("/usr/bin/python3")

# Run inside. `say` sends a message as the service would; then commands given by the test.
PROGRAM = """
import os, socket, time
there = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
there.connect(os.environ["NOTIFY_SOCKET"])
def say(text, fds=()):
    socket.send_fds(there, [text.encode()], fds)
"""


class Manager:
    """A service manager: listens, and answers a barrier by closing what came with it."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self.env = {"PATH": os.environ["PATH"], "NOTIFY_SOCKET": address}

    def hear(self) -> str:
        """Return the next message; the descriptors with it are closed."""
        assert wait_readable(self._socket.fileno()), "nothing was said"
        data, fds, _flags, _address = socket.recv_fds(self._socket, 4096, 4)
        for fd in fds:
            os.close(fd)
        if data == b"BARRIER=1":
            assert len(fds) == 1
        return data.decode()

    def silent(self) -> bool:
        return not wait_readable(self._socket.fileno(), 0)

    def close(self) -> None:
        self._socket.close()


class Call:
    """A call that goes on while the test listens. Its stderr is a file: a container may keep it."""

    def __init__(self, runtime: Runtime, words: list[Any], manager: Manager) -> None:
        self._errors = tempfile.TemporaryFile()
        self.process = runtime.popen(
            words, env=manager.env, stdout=subprocess.DEVNULL, stderr=self._errors
        )
        self.pid = self.process.pid

    def ended(self) -> tuple[int, str]:
        """Wait for the end; the status, and what was said on stderr."""
        status = self.process.wait(timeout=DEADLINE)
        self._errors.seek(0)
        with self._errors as errors:
            return status, errors.read().decode()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    made = Manager(str(tmp_path / "manager.sock"))
    yield made
    made.close()


@pytest.fixture
def service(bundle: Callable[..., Bundle]) -> Callable[..., Bundle]:
    """Give a maker of containers in which Debian's Python runs what follows PROGRAM."""
    if not PYTHON.exists():
        pytest.skip("needs Debian's Python, to send messages from inside")

    def make(code: str, **options: Any) -> Bundle:
        made = bundle(args=[str(PYTHON), "-ISc", PROGRAM + code], **options)
        for directory in ("/usr", "/lib", "/lib64"):
            if Path(directory).exists():
                (made.rootfs / directory[1:]).mkdir()
                made.config["mounts"].append(
                    {
                        "destination": directory,
                        "source": directory,
                        "type": "bind",
                        "options": ["rbind", "ro"],
                    }
                )
        return made.write()

    return make


READY = 'say("STATUS=soon"); say("READY=1\\nMAINPID=1"); time.sleep(1000)'


def test_start_waits_for_ready_and_says_who_it_is(
    runtime: Runtime, service: Callable[..., Bundle], container_id: str, manager: Manager
) -> None:
    made = service('say("READY=1\\nMAINPID=1"); time.sleep(1000)')
    runtime.run(["create", "-b", made, container_id], env=manager.env).ok()
    assert manager.silent()
    pid = runtime.pid(container_id)

    starting = Call(runtime, ["start", container_id], manager)

    assert manager.hear() == "READY=1\n"
    assert manager.hear().strip() == f"MAINPID={pid}"
    if runtime.name == "creche":  # runc has it since 1.2
        assert manager.hear() == "BARRIER=1"
    assert starting.ended() == (0, "")
    assert manager.silent()
    assert runtime.status(container_id) == "running"


def test_run_detached(
    runtime: Runtime, service: Callable[..., Bundle], container_id: str, manager: Manager
) -> None:
    made = service('say("READY=1"); time.sleep(1000)')

    running = Call(runtime, ["run", "-d", "-b", made, container_id], manager)

    assert manager.hear() == "READY=1\n"
    said = manager.hear()
    if runtime.name == "creche":
        assert manager.hear() == "BARRIER=1"
    assert running.ended()[0] == 0
    assert said.strip() == f"MAINPID={runtime.pid(container_id)}"


def test_run_in_the_foreground_is_the_main_process_itself(
    creche: Runtime, service: Callable[..., Bundle], container_id: str, manager: Manager
) -> None:
    """It goes on listening, and its signals still reach the container."""
    made = service(
        "import signal\n"
        'signal.signal(signal.SIGTERM, lambda *_: (say("STOPPING=1"), os._exit(7)))\n' + READY
    )

    running = Call(creche, ["run", "-b", made, container_id], manager)

    assert manager.hear() == "STATUS=soon\n"
    assert manager.hear() == "READY=1\n"
    assert manager.hear() == f"MAINPID={running.pid}\n"
    running.process.send_signal(signal.SIGTERM)
    assert manager.hear() == "STOPPING=1\n"
    assert running.ended() == (7, "")


def test_with_a_terminal_as_well(
    creche: Runtime, service: Callable[..., Bundle], container_id: str, manager: Manager
) -> None:
    made = service('say("READY=1")')
    made.config["process"]["terminal"] = True
    made.write()

    running = Call(creche, ["run", "-b", made, container_id], manager)

    assert manager.hear() == "READY=1\n"
    assert manager.hear() == f"MAINPID={running.pid}\n"
    assert running.ended() == (0, "")


def test_nothing_else_gets_through(
    creche: Runtime, service: Callable[..., Bundle], container_id: str, manager: Manager
) -> None:
    made = service(
        'say("MAINPID=1\\nFDSTORE=1\\nFDNAME=x", [0])\n'
        'say("BARRIER=1", [1])\n'
        'say("STATUS=" + "x" * 5000)\n'
        'say("WATCHDOG=1\\nNOTIFYACCESS=all")\n'
        'say("READY=1"); time.sleep(1000)'
    )

    running = Call(creche, ["run", "-d", "-b", made, container_id], manager)

    assert manager.hear() == "WATCHDOG=1\n"
    assert manager.hear() == "READY=1\n"
    assert manager.hear().startswith("MAINPID=")
    assert manager.hear() == "BARRIER=1"
    assert "a message was dropped" in running.ended()[1]
    assert manager.silent()


def test_not_from_outside_the_container(
    creche: Runtime, service: Callable[..., Bundle], container_id: str, manager: Manager
) -> None:
    """Root of the host reaches the socket, too, and is not the service."""
    made = service(
        'say("STATUS=up")\nwhile not os.path.exists("/tmp/go"): time.sleep(0.01)\n' + READY
    )
    creche.run(["create", "-b", made, container_id], env=manager.env).ok()
    starting = Call(creche, ["start", container_id], manager)
    assert manager.hear() == "STATUS=up\n"

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.connect(str(creche.root / container_id / "notify/notify.sock"))
        other.send(b"READY=1")
    (made.rootfs / "tmp/go").touch()

    assert manager.hear() == "STATUS=soon\n"
    assert manager.hear() == "READY=1\n"
    manager.hear()
    assert manager.hear() == "BARRIER=1"
    assert "a message was dropped" in starting.ended()[1]


def test_a_program_that_ends_before_it_is_ready(
    runtime: Runtime, service: Callable[..., Bundle], container_id: str, manager: Manager
) -> None:
    runtime.run(["create", "-b", service("pass"), container_id], env=manager.env).ok()

    runtime.run(["start", container_id], env=manager.env).ok()

    assert manager.silent()
    assert runtime.status(container_id) == "stopped"


def test_an_abstract_address(
    creche: Runtime, service: Callable[..., Bundle], container_id: str
) -> None:
    manager = Manager(f"@{container_id}-{os.getpid()}")
    running = Call(creche, ["run", "-d", "-b", service(READY), container_id], manager)

    assert manager.hear() == "STATUS=soon\n"
    assert manager.hear() == "READY=1\n"
    manager.hear()
    assert manager.hear() == "BARRIER=1"
    assert running.ended()[0] == 0
    manager.close()


def test_a_manager_that_is_not_there(
    runtime: Runtime, service: Callable[..., Bundle], container_id: str, tmp_path: Path
) -> None:
    """Said before the program runs; runc says it when it does."""
    env = {"PATH": os.environ["PATH"], "NOTIFY_SOCKET": str(tmp_path / "none")}
    runtime.run(["create", "-b", service(READY), container_id], env=env).ok()

    result = runtime.run(["start", container_id], env=env).failed(1)

    assert "no such file or directory" in result.stderr
    if runtime.name == "creche":
        assert f"NOTIFY_SOCKET: connect to {tmp_path}/none" in result.stderr
        assert runtime.status(container_id) == "created"


def test_a_container_made_without_it_is_not_waited_for(
    creche: Runtime, bundle: Callable[..., Bundle], container_id: str, manager: Manager
) -> None:
    creche.run(["create", "-b", bundle(sh="sleep 1000"), container_id]).ok()

    creche.run(["start", container_id], env=manager.env).ok()

    assert manager.silent()


def test_an_id_that_makes_the_path_long(
    creche: Runtime, service: Callable[..., Bundle], manager: Manager
) -> None:
    """sun_path has 108 bytes."""
    container = "long-" + "x" * 200

    running = Call(creche, ["run", "-d", "-b", service(READY), container], manager)

    assert manager.hear() == "STATUS=soon\n"
    assert manager.hear() == "READY=1\n"
    manager.hear()
    assert manager.hear() == "BARRIER=1"
    assert running.ended()[0] == 0


def test_what_a_container_leaves_there_goes_with_it(
    creche: Runtime, bundle: Callable[..., Bundle], container_id: str, manager: Manager
) -> None:
    """One that may mount can make its side writable."""
    creche.run(["create", "-b", bundle(sh="sleep 1000"), container_id], env=manager.env).ok()
    shared = creche.root / container_id / "notify"
    (shared / "deep/er").mkdir(parents=True)
    (shared / "deep/file").write_text("x")
    (shared / "link").symlink_to("/")

    creche.run(["delete", container_id]).ok()

    assert not (creche.root / container_id).exists()
    assert Path("/bin").exists()


def test_the_state_is_not_shown_inside(
    creche: Runtime, service: Callable[..., Bundle], container_id: str, manager: Manager
) -> None:
    """Only the one directory, read-only."""
    made = service(
        'print(os.listdir("/run/notify"))\n'
        "try: open('/run/notify/x', 'w')\n"
        "except OSError as error: print(error.errno)\n"
    )

    shown = creche.run(["run", "-b", made, container_id], env=manager.env).ok().stdout

    assert shown.splitlines() == ["['notify.sock']", "30"]


def test_exec_does_not_speak_for_the_service(
    runtime: Runtime, service: Callable[..., Bundle], container_id: str, manager: Manager
) -> None:
    """Its environment is the configuration's, which names no socket."""
    runtime.run(["create", "-b", service(READY), container_id], env=manager.env).ok()

    shown = runtime.run(["exec", container_id, "env"], env=manager.env).ok().stdout

    assert PATH_VARIABLE in shown
    assert "NOTIFY_SOCKET" not in shown
