"""A seccomp profile that asks an agent (config-linux.md#seccomp, listenerPath)."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import select
import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runtime.errors import ConfigError
from runtime.seccomp import compile_filter
from runtime.seccomp.libseccomp import version
from runtime.spec.names import SECCOMP_ARCHITECTURES
from tests.support.bundle import Bundle
from tests.support.inside import IDLE, launched, message
from tests.support.runtimes import Runtime
from tests.support.waiting import DEADLINE

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(version() is None, reason="needs libseccomp.so.2"),
]

Bundles = Callable[..., Bundle]

# include/uapi/linux/seccomp.h: struct seccomp_notif has 80 bytes, seccomp_notif_resp 24.
NOTIF_RECV, NOTIF_SEND = 0xC0502100, 0xC0182101


class Agent:
    """Listens as an agent does, and answers for the calls of a filter."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.bind(self.path)
        self._socket.listen(4)
        self._socket.settimeout(DEADLINE)
        self.fd = -1

    def take(self) -> Any:
        """The one document of the next connection; its descriptor becomes ours."""
        connection, _ = self._socket.accept()
        with connection:
            data, fds, _, _ = socket.recv_fds(connection, 1 << 16, 4)
            while more := connection.recv(1 << 16):
                data += more
        assert len(fds) == 1
        self.drop()
        (self.fd,) = fds
        return json.loads(data)

    def answer(self, number: int) -> int:
        """Let the next call that is notified of fail with an error; returns who made it."""
        poller = select.poll()
        poller.register(self.fd, select.POLLIN)
        # Not POLLHUP, which says that nobody is left under the filter: then the call would block.
        assert poller.poll(DEADLINE * 1000) == [(self.fd, select.POLLIN)]
        request = bytearray(80)
        fcntl.ioctl(self.fd, NOTIF_RECV, request)
        identity, pid = struct.unpack_from("=QI", request)
        fcntl.ioctl(self.fd, NOTIF_SEND, bytearray(struct.pack("=QqiI", identity, 0, -number, 0)))
        return int(pid)

    def drop(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def close(self) -> None:
        self.drop()
        self._socket.close()


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    made = Agent(tmp_path / "agent")
    yield made
    made.close()


def profile(path: str, **more: Any) -> dict[str, Any]:
    return {
        "defaultAction": "SCMP_ACT_ALLOW",
        "listenerPath": path,
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_NOTIFY"}],
        **more,
    }


@pytest.mark.parametrize("no_new_privileges", [True, False])
def test_the_agent_answers_for_the_program(
    creche: Runtime, bundle: Bundles, container_id: str, agent: Agent, no_new_privileges: bool
) -> None:
    """One connection, one document, one descriptor; then the agent decides."""
    seccomp = profile(agent.path, listenerMetadata="about this")
    made = bundle(
        {
            "linux": {"seccomp": seccomp},
            "process": {"noNewPrivileges": no_new_privileges},
            "annotations": {"a": "b"},
        },
        args=["/bin/mkdir", "/dev/shm/x"],
    )
    process = creche.popen(["run", "-b", made, container_id])
    try:
        document = agent.take()
        agent.answer(errno.EXDEV)
        _, err = process.communicate(timeout=DEADLINE)
    finally:
        process.kill()
        process.wait()

    assert b"Invalid cross-device link" in err
    assert process.returncode == 1
    assert document["fds"] == ["seccompFd"]
    assert document["metadata"] == "about this"
    assert document["ociVersion"]
    assert document["pid"] > 0
    state = document["state"]
    assert (state["id"], state["bundle"]) == (container_id, str(made))
    assert state["annotations"] == {"a": "b"}
    assert state["status"] == "running"


def test_exec_hands_over_a_listener_of_its_own(
    creche: Runtime, bundle: Bundles, container_id: str, agent: Agent
) -> None:
    made = bundle({"linux": {"seccomp": profile(agent.path)}}, sh=IDLE)
    launched(creche, container_id, made)
    first = agent.take()
    process = creche.popen(["exec", container_id, "mkdir", "/dev/shm/x"])
    try:
        second = agent.take()
        agent.answer(errno.EXDEV)
        _, err = process.communicate(timeout=DEADLINE)
    finally:
        process.kill()
        process.wait()

    assert b"Invalid cross-device link" in err
    assert first["state"]["id"] == second["state"]["id"] == container_id


def test_without_an_agent_nothing_starts(
    runtime: Runtime, bundle: Bundles, container_id: str, tmp_path: Path
) -> None:
    seccomp = profile(str(tmp_path / "nobody"))
    made = bundle({"linux": {"seccomp": seccomp}}, sh="echo started")
    result = runtime.run(["run", "-b", made, container_id]).failed(1)

    assert result.stdout == ""
    assert not runtime.exists(container_id)
    if runtime.name == "creche":
        assert "linux.seccomp.listenerPath" in message(result)
        assert "seccomp agent" in message(result)


def test_a_path_that_nothing_notifies_is_not_looked_at(
    runtime: Runtime, bundle: Bundles, container_id: str, tmp_path: Path
) -> None:
    seccomp = {"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": str(tmp_path / "nobody")}
    made = bundle({"linux": {"seccomp": seccomp}}, sh="echo started")

    assert runtime.run(["run", "-b", made, container_id]).ok().stdout == "started\n"


def test_write_cannot_be_notified_of(creche: Runtime, bundle: Bundles, container_id: str) -> None:
    """It is what the listener is handed over with."""
    seccomp = profile("/x", syscalls=[{"names": ["write"], "action": "SCMP_ACT_NOTIFY"}])
    result = creche.run(["run", "-b", bundle({"linux": {"seccomp": seccomp}}), container_id])

    assert "linux.seccomp.syscalls[0].names" in message(result.failed(1))


@pytest.mark.parametrize("architecture", SECCOMP_ARCHITECTURES)
def test_every_architecture(architecture: str) -> None:
    """Each can be named: it is in the filter, or refused for what libseccomp cannot do."""
    seccomp: Any = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "architectures": [architecture],
        "syscalls": [{"names": ["read", "execve"], "action": "SCMP_ACT_ALLOW"}],
    }
    try:
        compiled = compile_filter(seccomp)
    except ConfigError as error:
        assert error.path == "linux.seccomp.architectures[0]"
        assert "another byte order" in error.message or "libseccomp" in error.message
    else:
        assert len(compiled.program) % 8 == 0
        assert len(compiled.program) > 8
