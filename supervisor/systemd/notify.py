"""What creched tells the service manager (sd_notify(3)): a datagram each, never waited for."""

from __future__ import annotations

import array
import os
import socket
import time
from collections import deque
from collections.abc import Sequence

import trio

_AGAIN = 0.05
"""Seconds until it is tried again to send what systemd was too busy for."""


class Notifier:
    """Tells whoever listens at `address`, a path or `@NAME`; with "" nobody is told anything.

    What does not get through at once, since systemd is busy, is sent later, in order, by `run`.
    """

    def __init__(self, address: str) -> None:
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket: socket.socket | None = None
        self._waiting: deque[tuple[bytes, list[int]]] = deque()
        self._news = trio.Event()
        self._sent = trio.Event()
        if address:
            kind = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
            self._socket = socket.socket(socket.AF_UNIX, kind)

    def __bool__(self) -> bool:
        return self._socket is not None

    def tell(self, *lines: str, fds: Sequence[int] = ()) -> None:
        """Send `VARIABLE=value` lines as one message, with descriptors. Raises nothing."""
        if self._socket is None:
            return
        data = "\n".join(lines).encode("utf-8", "replace")
        if self._waiting or not self._send(data, fds):
            self._waiting.append((data, [os.dup(fd) for fd in fds]))
            self._news.set()

    def ready(self) -> None:
        """creched is up, or has done what RELOADING announced."""
        self.tell("READY=1")

    def reloading(self) -> None:
        """It reads its directories again, or executes itself anew."""
        # systemd 253 waits for the READY=1 that is younger than the reload it has asked for.
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self.tell("RELOADING=1", f"MONOTONIC_USEC={now}")

    def stopping(self, seconds: float) -> None:
        """It stops, and may take so long."""
        self.tell("STOPPING=1", f"EXTEND_TIMEOUT_USEC={int(seconds * 1e6)}")

    def watchdog(self, interval: float) -> None:
        """From now on a sign of life is to come within so many seconds; this is one."""
        self.tell(f"WATCHDOG_USEC={int(interval * 1e6)}", "WATCHDOG=1")

    def status(self, text: str) -> None:
        """A line for people: `systemctl status` shows it."""
        self.tell("STATUS=" + text.replace("\n", " "))

    async def run(self) -> None:
        """Send what had to wait. Until cancelled."""
        if self._socket is None:
            return
        while True:
            await self._news.wait()
            self._news = trio.Event()
            while self._waiting:
                await trio.lowlevel.wait_writable(self._socket.fileno())
                data, fds = self._waiting[0]
                if not self._send(data, fds):
                    # A datagram socket that is not connected is always writable (unix(7)).
                    await trio.sleep(_AGAIN)
                    continue
                self._waiting.popleft()
                for fd in fds:
                    os.close(fd)
            self._sent.set()
            self._sent = trio.Event()

    async def sent(self) -> None:
        """Until nothing waits any more; `run` sends it."""
        while self._waiting:
            await self._sent.wait()

    async def feed_watchdog(self, interval: float) -> None:
        """A sign of life twice in each interval (seconds); 0: never. Until cancelled.

        Sent from the event loop, so that it shows that the loop turns.
        """
        while interval > 0:
            self.tell("WATCHDOG=1")
            await trio.sleep(interval / 2)

    def close(self) -> None:
        """Nothing more to tell."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        for _, fds in self._waiting:
            for fd in fds:
                os.close(fd)
        self._waiting.clear()

    def _send(self, data: bytes, fds: Sequence[int]) -> bool:
        """False: it has to be sent again. What can never be sent is dropped."""
        assert self._socket is not None
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        try:
            self._socket.sendmsg([data], ancillary, socket.MSG_NOSIGNAL, self._address)
        except BlockingIOError:
            return False
        except OSError:
            pass  # nobody is there: systemd itself is being executed anew, or it never was
        return True
