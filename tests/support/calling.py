"""Servers and callers in network namespaces: who gets an answer, and whom the server has seen."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

_SERVER = """
import socket, sys, threading
port, greeting = int(sys.argv[1]), sys.argv[2]
def words(peer):
    return f"{greeting} {peer[0].removeprefix('::ffff:')}".encode()
datagrams = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
datagrams.bind(("::", port))
def answer():
    while True:
        _, peer = datagrams.recvfrom(100)
        datagrams.sendto(words(peer), peer)
threading.Thread(target=answer, daemon=True).start()
server = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
print("here", flush=True)
while True:
    made, peer = server.accept()
    with made:
        made.sendall(words(peer))
"""
_CALLER = """
import socket, sys
kind, address, port, patience = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
family = socket.AF_INET6 if ":" in address else socket.AF_INET
made = socket.socket(family, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
made.settimeout(patience)
try:
    made.connect((address, port))
    if kind == "udp":
        made.send(b"?")
    print(made.recv(100).decode())
except OSError as error:
    print(type(error).__name__)
"""
PATIENCE = 60.0
"""Seconds until an answer that is expected is given up."""
IMPATIENCE = 1.5
"""Seconds until it is believed that there is none: a late answer would be missed, not invented."""


def within(netns: str | None) -> list[str]:
    """The beginning of a command that runs in a namespace, by its path; None: this one."""
    return [] if netns is None else ["nsenter", f"--net={netns}"]


@contextmanager
def server(netns: str | None, port: int, greeting: str = "hello") -> Iterator[None]:
    """Answer by TCP and UDP, IPv4 and IPv6, with `greeting` and the caller's address."""
    argv = [*within(netns), sys.executable, "-c", _SERVER, str(port), greeting]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"here\n"
            yield
        finally:
            process.kill()


def call(
    netns: str | None, address: str, port: int, kind: str = "tcp", patience: float = PATIENCE
) -> str:
    """What the server says, or the name of the error."""
    argv: Sequence[str] = [
        *within(netns), sys.executable, "-c", _CALLER, kind, address, str(port), str(patience),
    ]  # fmt: skip
    done = subprocess.run(argv, check=True, capture_output=True, text=True)
    return done.stdout.strip()
