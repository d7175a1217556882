"""Our end of the launcher (runtime/launcher.py): starts it, sends it orders, restarts it.

creched has more than one thread now and then, so it never forks; the launcher clones containers,
as children of creched. It is put into a session of its own: Ctrl-C on a terminal is for creched.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import resource
import signal
import sys
from typing import Any

import trio

import runtime.launcher
from runtime.channel import Channel, close_all, pair
from runtime.errors import CrecheError, KernelError
from runtime.jsonio import dumps
from runtime.launcher_plans import KEPT
from runtime.linux.pidfd import await_end, signal_quietly
from runtime.state import process_start_time
from supervisor.exits import close_pidfd, process_exit
from supervisor.shared import share
from supervisor.store.files import read, replace

_SEALS = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
ANSWER_TIMEOUT = 60.0
"""Seconds an order may take; a launch takes milliseconds, a kernel out of memory takes longer."""
END_TIMEOUT = 5.0


class Plan:
    """A compiled plan as it is handed over, and the digest the launcher knows it by.

    Its text is made when it is needed: kept, it would be the largest part of a container here.
    """

    __slots__ = ("digest", "plan")

    def __init__(self, plan: Any) -> None:
        self.plan = share(plan)
        self.digest = hashlib.sha256(self._text()).hexdigest()

    def _text(self) -> bytes:
        return dumps(self.plan).encode("utf-8", "surrogateescape")

    def memfd(self) -> int:
        """A descriptor of a sealed copy: what is read from it cannot change any more."""
        fd = os.memfd_create("creche-plan", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        rest = memoryview(self._text())
        while rest:
            rest = rest[os.write(fd, rest) :]
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
        return fd


class LauncherClient:
    """One launcher process, started at the first order and again after it has died.

    note: a file that says who it is, as long as it runs.
    """

    def __init__(self, note: str) -> None:
        self._note = note
        self._channel: Channel | None = None
        self._pidfd = -1
        self._turn = trio.Lock()
        self._sent: set[str] = set()

    async def order(
        self, message: dict[str, object], fds: list[int], plan: Plan | None = None
    ) -> dict[str, Any]:
        """Send one order, wait for its answer. Raises CrecheError with what the launcher says.

        plan: what the order is about; it goes along if the launcher may not know it.
        """
        if plan is None:
            answer, made = await self.ask(message, fds)
        else:
            answer, made = await self._ask_about(plan, message, fds)
        close_all(made)
        return answer

    async def _ask_about(
        self, plan: Plan, message: dict[str, object], fds: list[int]
    ) -> tuple[dict[str, Any], list[int]]:
        message = {**message, "digest": plan.digest, "with_plan": False}
        if plan.digest in self._sent:
            answer, made = await self.ask(message, fds)
            if answer["type"] != "unknown":
                return answer, made
            close_all(made)
        memfd = plan.memfd()
        try:
            found = await self.ask({**message, "with_plan": True}, [*fds, memfd])
        finally:
            os.close(memfd)
        if len(self._sent) >= KEPT:
            self._sent.clear()  # of most of them it knows nothing any more
        self._sent.add(plan.digest)
        return found

    async def ask(
        self, message: dict[str, object], fds: list[int]
    ) -> tuple[dict[str, Any], list[int]]:
        """As order(); its answer comes with descriptors, which are the caller's then.

        Not to be cancelled half-way: the answer names a process that has to be looked after.
        """
        async with self._turn:
            with trio.CancelScope(shield=True):
                if self._channel is None:
                    self._start()
                assert self._channel is not None
                received: tuple[dict[str, object], list[int]] | None = None
                try:
                    self._channel.send(message, fds)
                    with trio.move_on_after(ANSWER_TIMEOUT):
                        await trio.lowlevel.wait_readable(self._channel.fileno())
                        received = self._channel.receive()
                except (BrokenPipeError, ConnectionResetError):
                    pass
                if received is None:
                    await self._end(kill=True)
        if received is None:
            raise CrecheError("the launcher died; it is started again at the next attempt")
        answer: dict[str, Any]
        answer, made = received
        if answer["type"] == "error":
            close_all(made)
            raise CrecheError(str(answer["text"]))
        return answer, made

    async def close(self) -> None:
        """Hang up, and wait for its end."""
        with trio.CancelScope(shield=True):
            await self._end(kill=False)

    def _start(self) -> None:
        ours, theirs = pair()
        try:
            # isolated, no site, no bytecode: it seals itself and executes itself once more.
            script = os.path.realpath(runtime.launcher.__file__)
            argv = [sys.executable, "-I", "-S", "-B", "-X", "utf8", script]
            pid = os.posix_spawn(
                sys.executable,
                argv,
                {"PATH": os.defpath},
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, theirs.fileno(), runtime.launcher.SOCKET_FD),
                    (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                    # Standard output is for events: whoever reads it is to see our end as its end.
                    (os.POSIX_SPAWN_DUP2, 2, 1),
                ],
                setsid=True,
                setsigmask=[],
                setsigdef=[signal.SIGPIPE, signal.SIGINT, signal.SIGTERM],
            )
        except OSError as error:
            ours.close()
            raise KernelError("start launcher", sys.executable, error.errno or 0) from None
        finally:
            theirs.close()
        self._pidfd = os.pidfd_open(pid)
        replace(self._note, f"{pid} {process_start_time(pid)}\n".encode(), durable=False)
        # Containers inherit the launcher's limits, and are not to see what we raised for ourselves.
        resource.prlimit(pid, resource.RLIMIT_NOFILE, _LIMIT)
        self._channel = ours
        self._sent.clear()

    async def _end(self, kill: bool) -> None:
        if self._channel is None:
            return
        trio.lowlevel.notify_closing(self._channel.fileno())
        self._channel.close()
        self._channel = None
        if kill:
            self._kill()
        with trio.move_on_after(END_TIMEOUT) as limit:
            await process_exit(self._pidfd)
        if limit.cancelled_caught:
            self._kill()
            await process_exit(self._pidfd)
        close_pidfd(self._pidfd)
        self._pidfd = -1
        _forget(self._note)

    def _kill(self) -> None:
        try:
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        except ProcessLookupError:
            pass


def end_former(note: str) -> None:
    """Kill the launcher of a creched that was killed, if it is there still, and wait for its end.

    It may be in the middle of a launch, and what it makes then would be in the way of whoever makes
    the same container anew. Its half-made child ends by itself: nobody holds the other end.
    """
    try:
        pid, start_time = map(int, read(note).split())
        pidfd = os.pidfd_open(pid)
    except (OSError, ValueError):
        _forget(note)  # there was none, or it has ended
        return
    try:
        if process_start_time(pid) == start_time:
            signal_quietly(pidfd, signal.SIGKILL)
            await_end(pidfd)
    finally:
        os.close(pidfd)
    _forget(note)


def _forget(note: str) -> None:
    try:
        os.unlink(note)
    except OSError:
        pass


_LIMIT = resource.getrlimit(resource.RLIMIT_NOFILE)


def raise_descriptor_limit() -> None:
    """Each container takes a few descriptors while it is being made, and one while it runs."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (_LIMIT[1], _LIMIT[1]))
