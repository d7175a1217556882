"""The control sockets in the file system: who may connect, and what is never replaced."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.errors import CrecheError
from supervisor.control import sockets
from supervisor.control.request import Access
from supervisor.control.server import unix_listener


@pytest.mark.parametrize(("access", "mode"), [(Access.ADMIN, 0o600), (Access.READ, 0o660)])
def test_nobody_else_may_connect(tmp_path: Path, access: Access, mode: int) -> None:
    """Whatever the umask; and it is in the file system, so that the mode counts."""
    path = tmp_path / "sock"
    before = os.umask(0)
    try:
        listener = unix_listener(str(path), access)
    finally:
        os.umask(before)
    with listener.socket as listening:
        assert path.stat().st_mode & 0o777 == mode
        assert listening.getsockname().startswith("/")
        assert [entry.name for entry in tmp_path.iterdir()] == ["sock"]


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o775])
def test_a_directory_of_others_is_refused(tmp_path: Path, mode: int) -> None:
    """They could put a socket of their own in its place."""
    directory = tmp_path / "open"
    directory.mkdir()
    directory.chmod(mode)
    with pytest.raises(CrecheError, match="can be written by others than root"):
        sockets.listen(str(directory / "sock"), 0o600)

    assert list(directory.iterdir()) == []


@pytest.mark.parametrize("kind", ["file", "link", "directory", "fifo"])
def test_what_is_there_already_stays(tmp_path: Path, kind: str) -> None:
    """Only a socket is replaced; a link is not followed, not even to one."""
    path, victim = tmp_path / "sock", tmp_path / "victim"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as old:
        old.bind(str(victim))
    makers: dict[str, Callable[[], object]] = {
        "file": lambda: path.write_text("precious\n"),
        "link": lambda: path.symlink_to(victim),
        "directory": path.mkdir,
        "fifo": lambda: os.mkfifo(path),
    }
    makers[kind]()
    before = sockets.identity(str(path)), sockets.identity(str(victim))
    with pytest.raises(CrecheError, match="no socket"):
        sockets.listen(str(path), 0o600)

    assert (sockets.identity(str(path)), sockets.identity(str(victim))) == before
    assert len(list(tmp_path.iterdir())) == 2


def test_a_socket_is_replaced_when_nobody_listens(tmp_path: Path) -> None:
    """What a creched that was killed has left; never one that somebody uses."""
    path = str(tmp_path / "sock")
    first = sockets.listen(path, 0o600)
    with pytest.raises(CrecheError, match="somebody listens there already"):
        sockets.listen(path, 0o600)
    first.close()
    with sockets.listen(path, 0o600):
        sockets.remove(path, (0, 0))  # somebody else's by now
        assert os.path.exists(path)
        sockets.remove(path, sockets.identity(path))
    assert not os.path.exists(path)
