"""The descriptor store of a service manager (sd_notify(3)), for a creched without one."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

# Puts descriptors where sd_listen_fds(3) looks for them, and becomes another program.
_HAND_OVER = """
import fcntl, os, sys
names, numbers, *program = sys.argv[1:]
given = [fcntl.fcntl(int(number), fcntl.F_DUPFD, 1000) for number in numbers.split()]
os.closerange(3, 1000)
for place, fd in enumerate(given, 3):
    os.dup2(fd, place)
    os.close(fd)
os.environ |= {"LISTEN_FDS": str(len(given)), "LISTEN_FDNAMES": names}
os.environ["LISTEN_PID"] = str(os.getpid())
os.execvp(program[0], program)
"""


class DescriptorStore:
    """Listens at `path`, the NOTIFY_SOCKET of the process that it is for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.bind(str(path))
        self.kept: dict[str, int] = {}

    def take_in(self) -> None:
        """Whatever has been sent by now."""
        while True:
            try:
                data, fds, _, _ = socket.recv_fds(self._socket, 4096, 8)
            except BlockingIOError:
                return
            lines = dict(line.partition("=")[::2] for line in data.decode().splitlines())
            if "FDSTORE" in lines:
                self._forget(lines["FDNAME"])
                self.kept[lines["FDNAME"]] = fds.pop()
            elif "FDSTOREREMOVE" in lines:
                self._forget(lines["FDNAME"])
            for fd in fds:
                os.close(fd)

    def prefix(self) -> list[str]:
        """A command that hands what is `kept`, and is to be passed, to the program behind it."""
        self.take_in()
        numbers = " ".join(map(str, self.kept.values()))
        return [sys.executable, "-c", _HAND_OVER, ":".join(self.kept), numbers]

    def close(self) -> None:
        """Keep nothing."""
        self.take_in()
        for name in [*self.kept]:
            self._forget(name)
        self._socket.close()

    def _forget(self, name: str) -> None:
        fd = self.kept.pop(name, -1)
        if fd >= 0:
            os.close(fd)
