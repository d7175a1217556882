"""Listeners that outlive creched: which one is taken, which is not, what is left of neither."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from supervisor.control.kept import KeptListeners, forget, path_of, unix_name
from supervisor.control.request import Access
from supervisor.systemd.descriptors import Descriptors
from supervisor.systemd.notify import Notifier


def next_one(before: Descriptors) -> Descriptors:
    """What a creched has that comes after one which was killed: copies, by name."""
    return Descriptors(Notifier(""), [(name, os.dup(fd)) for name, fd in before.all().items()])


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Of a socket."""
    return str(tmp_path / "socket: one")


def test_who_connects_meanwhile_is_served(path: str) -> None:
    """The same listener, with the mode and group that it is to have now."""
    first = Descriptors(Notifier(""))
    old = KeptListeners(first).unix(path, Access.READ, os.getegid())
    second = next_one(first)
    old.socket.close()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.connect(path)
        taken = KeptListeners(second).unix(path, Access.ADMIN)
        with taken.socket as listening, listening.accept()[0] as served:
            client.send(b"x")
            assert served.recv(1) == b"x"
            assert not listening.getblocking()
    assert os.stat(path).st_mode & 0o777 == 0o600
    assert second.sweep() == []


def test_another_socket_in_its_place_is_not_ours(path: str) -> None:
    """Then there is a new one; what was kept is let go, and takes no file with it."""
    first = Descriptors(Notifier(""))
    old = KeptListeners(first).unix(path, Access.ADMIN)
    second = next_one(first)
    old.socket.close()
    os.unlink(path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as other:
        other.bind(path)
    made = KeptListeners(second).unix(path, Access.ADMIN)
    assert second.sweep() == []
    [unwanted] = first.all()
    forget(unwanted)
    with made.socket, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.connect(path)
    assert second.all().keys() == {unix_name(path)}


def test_one_whose_file_was_touched(path: str) -> None:
    """It is not known again, and must not count as somebody else who listens there."""
    first = Descriptors(Notifier(""))
    old = KeptListeners(first).unix(path, Access.ADMIN)
    second = next_one(first)
    old.socket.close()
    os.utime(path, (1, 1))
    made = KeptListeners(second).unix(path, Access.ADMIN)
    with made.socket, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.connect(path)
        made.socket.accept()[0].close()
    assert second.sweep() == []
    assert second.all().keys() == {unix_name(path)}


def test_a_path_of_any_bytes(tmp_path: Path) -> None:
    """It need not be text."""
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff-\xfe")
    descriptors = Descriptors(Notifier(""))
    with KeptListeners(descriptors).unix(path, Access.ADMIN).socket:
        [name] = descriptors.all()
        assert name.isascii()
        assert path_of(name) == path
    forget(name)
    assert not os.path.lexists(path)


def test_of_another_path_nothing_is_left(path: str, tmp_path: Path) -> None:
    """The settings have a new one."""
    first = Descriptors(Notifier(""))
    old = KeptListeners(first).unix(path, Access.READ)
    second = next_one(first)
    old.socket.close()
    listeners = KeptListeners(second)
    made = listeners.unix(str(tmp_path / "new"), Access.READ)
    for name in second.sweep():
        forget(name)
    made.socket.close()
    listeners.drop()

    assert os.listdir(tmp_path) == ["new"]
    assert second.all() == {}


@pytest.mark.parametrize("name", ["", "pid-1234", "control", "control-1-2-3", "control-x"])
def test_names_of_others(name: str) -> None:
    """Mean nothing here."""
    forget(name)


def test_a_path_that_is_too_long_for_a_name(tmp_path: Path) -> None:
    """It is not kept, and listens all the same."""
    directory = tmp_path
    for _ in range(3):
        directory = directory / ("x" * 100)
        directory.mkdir()
    descriptors = Descriptors(Notifier(""))
    KeptListeners(descriptors).unix(str(directory / "s"), Access.ADMIN).discard()

    assert descriptors.all() == {}


@pytest.mark.parametrize("address", ["127.0.0.1:0", "[::1]:0"])
def test_the_page(address: str) -> None:
    """The same port, also one that the kernel has chosen."""
    first = Descriptors(Notifier(""))
    old = KeptListeners(first).page(address)
    port = old.socket.getsockname()[1]
    second = next_one(first)
    old.socket.close()
    taken = KeptListeners(second).page(address)
    assert taken.socket.getsockname()[1] == port
    assert not any(":" in name for name in second.all())
    taken.socket.close()


def test_the_page_by_another_name() -> None:
    """The same address in other words: what was kept is not in its way."""
    first = Descriptors(Notifier(""))
    old = KeptListeners(first).page("[::1]:0")
    port = old.socket.getsockname()[1]
    second = Descriptors(Notifier(""), [(f"http-[__1]_{port}", os.dup(old.socket.fileno()))])
    old.socket.close()
    made = KeptListeners(second).page(f"[0::1]:{port}")
    assert made.socket.getsockname()[1] == port
    made.socket.close()
    assert second.sweep() == []
