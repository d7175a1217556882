"""What creched is told by a service manager, and what it tells: a real socket, no systemd."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
import trio.testing

from supervisor.systemd.descriptors import Descriptors
from supervisor.systemd.environment import Handed, take
from supervisor.systemd.notify import Notifier

Message = tuple[str, list[int]]


class Manager:
    """The other end of a notify socket."""

    def __init__(self, path: Path) -> None:
        self.address = str(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.address)
        self._socket.settimeout(20)

    def receive(self) -> Message:
        """The next message; its descriptors are closed by `close`."""
        data, fds, _, _ = socket.recv_fds(self._socket, 4096, 10)
        return data.decode(), list(fds)

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    made = Manager(tmp_path / "notify")
    yield made
    made.close()


def test_the_environment_is_read_once() -> None:
    """What is meant for this process, and nothing of it is left for its children."""
    environment = {
        "NOTIFY_SOCKET": "/run/n",
        "WATCHDOG_USEC": "3000000",
        "WATCHDOG_PID": "7",
        "LISTEN_PID": "7",
        "LISTEN_FDS": "2",
        "LISTEN_FDNAMES": "b:a",
        "HOME": "/",
    }
    handed = take(environment, 7)

    assert environment == {"HOME": "/"}
    assert (handed.notify, handed.watchdog) == ("/run/n", 3.0)
    assert handed.descriptors == (("b", 3), ("a", 4))
    assert dict(handed.lasting).keys() == {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"LISTEN_PID": "8", "LISTEN_FDS": "2", "LISTEN_FDNAMES": "a:b"},
        {"LISTEN_FDS": "2", "LISTEN_FDNAMES": "a:b"},
        {"LISTEN_PID": "7", "LISTEN_FDS": "-1"},
        {"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "8"},
        {"WATCHDOG_USEC": "x"},
    ],
)
def test_what_is_meant_for_others(given: dict[str, str]) -> None:
    """Or cannot be read, counts as not given."""
    handed = take(dict(given), 7)

    assert (handed.descriptors, handed.watchdog) == ((), 0.0)
    assert take({}, 7) == Handed()


def test_messages(manager: Manager) -> None:
    """As sd_notify(3) has them."""
    notifier = Notifier(manager.address)
    notifier.status("7/8 running\nREADY=1")
    notifier.reloading()
    notifier.ready()
    notifier.stopping(1.5)

    assert manager.receive()[0] == "STATUS=7/8 running READY=1"
    first, second = manager.receive()[0].split("\n")
    assert first == "RELOADING=1"
    assert second.startswith("MONOTONIC_USEC=")
    assert manager.receive()[0] == "READY=1"
    assert manager.receive()[0] == "STOPPING=1\nEXTEND_TIMEOUT_USEC=1500000"
    notifier.close()


def test_nobody_listens(tmp_path: Path) -> None:
    """Is nobody's fault."""
    for address in ("", str(tmp_path / "none")):
        notifier = Notifier(address)
        notifier.ready()
        assert bool(notifier) is bool(address)
        notifier.close()


async def test_what_does_not_get_through_at_once_is_sent_later(manager: Manager) -> None:
    """In order, with its descriptors, though they have been closed here by then."""
    notifier = Notifier(manager.address)
    count = 0
    while not notifier._waiting:
        notifier.status(str(count))
        count += 1
    reader, writer = os.pipe()
    notifier.tell("FDSTORE=1", fds=[writer])
    os.close(writer)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(notifier.run)
        for number in range(count):
            text, _ = await trio.to_thread.run_sync(manager.receive)
            assert text == f"STATUS={number}"
        text, [fd] = await trio.to_thread.run_sync(manager.receive)
        await notifier.sent()
        assert not notifier._waiting
        nursery.cancel_scope.cancel()
    assert text == "FDSTORE=1"
    os.write(fd, b"x")
    assert os.read(reader, 10) == b"x"
    os.close(fd)
    os.close(reader)
    notifier.close()


async def test_the_watchdog_is_fed_at_half_the_interval(
    manager: Manager, autojump_clock: trio.testing.MockClock
) -> None:
    """From the event loop."""
    notifier = Notifier(manager.address)
    with trio.move_on_after(10):
        await notifier.feed_watchdog(4)
    await notifier.feed_watchdog(0)
    notifier.watchdog(1.5)
    for _ in range(5):
        assert manager.receive()[0] == "WATCHDOG=1"
    assert manager.receive()[0] == "WATCHDOG_USEC=1500000\nWATCHDOG=1"
    notifier.close()


def test_descriptors_by_name(manager: Manager) -> None:
    """Kept, taken back by name alone, and let go of."""
    notifier = Notifier(manager.address)
    pipes = [os.pipe() for _ in range(3)]
    inherited = [("a", pipes[0][0]), ("b", pipes[1][0]), ("a", pipes[2][0])]
    descriptors = Descriptors(notifier, inherited)
    assert descriptors.take("c") == -1
    assert descriptors.take("a") == pipes[0][0]
    assert descriptors.sweep() == ["b"]
    assert manager.receive()[0] == "FDSTOREREMOVE=1\nFDNAME=b"
    descriptors.keep("d", pipes[1][1])
    text, fds = manager.receive()
    assert text == "FDSTORE=1\nFDNAME=d\nFDPOLL=0"
    assert os.path.sameopenfile(fds[0], pipes[1][1])
    assert descriptors.all() == {"a": pipes[0][0], "d": pipes[1][1]}
    descriptors.drop("a")
    descriptors.drop("a")
    assert manager.receive()[0] == "FDSTOREREMOVE=1\nFDNAME=a"
    assert descriptors.all() == {"d": pipes[1][1]}
    for fd in (*fds, pipes[0][0], *(writer for _, writer in pipes)):
        os.close(fd)
    for closed in (pipes[1][0], pipes[2][0]):
        with pytest.raises(OSError):
            os.fstat(closed)
    notifier.close()
