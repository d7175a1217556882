"""Into a container that runs, by way of the launcher: a program in it, a socket of its network, a
look at a file. Each ends with its caller's scope, whatever the container does.
"""

from __future__ import annotations

import os
import select
import signal
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import trio

from hooks.tail import Tail
from runtime.cgroups import Cgroup
from runtime.cgroups.kill import kill_tree_v2
from runtime.cgroups.layout import UNIFIED
from runtime.channel import Channel, close_all, pair
from runtime.errors import CrecheError, InitError
from runtime.execute import cloned, namespaces
from runtime.launch import raise_limits
from runtime.launcher_exec import FOUND, MISSING
from runtime.lifecycle.container import init_error
from runtime.plan.process import compile_process
from runtime.seccomp import agent
from supervisor.container import Exit
from supervisor.exits import close_pidfd, process_exit
from supervisor.gate import Gate
from supervisor.launching import LauncherClient, Plan

SUB_CGROUP = "creche-probe"
"""Begins the name of a cgroup below the container's own, on version 2: what a program leaves
running is found there."""
SETTLE = 5.0
"""Seconds a killed process may take to be gone."""
_CHUNK = 64 * 1024
_PF_EXITING = 0x4
_DRAIN = 1024 * 1024  # a pipe cannot hold more: the rest was written after the program's end


class Unreachable(CrecheError):
    """The container cannot be entered now: it is paused, or ends."""


@dataclass(frozen=True, slots=True)
class Ran:
    """How a program ended; `output` are the last bytes of the `total` that it wrote."""

    exit: Exit
    output: bytes
    total: int


class Inside:
    """The inside of one container. config: its OCI configuration; init: pidfd of its first process,
    the container's; state: its state document for a seccomp agent; gate: to be in while anything is
    under way."""

    __slots__ = (
        "_cgroup",
        "_config",
        "_init",
        "_keyring",
        "_launcher",
        "_pid",
        "_state",
        "_sub",
        "gate",
    )

    def __init__(
        self,
        launcher: LauncherClient,
        pid: int,
        init: int,
        config: Mapping[str, Any],
        cgroup: Cgroup,
        keyring: str,
        state: dict[str, object],
        gate: Gate,
    ) -> None:
        self.gate = gate
        self._sub: str | None = None
        self._launcher = launcher
        self._pid = pid
        self._init = init
        self._config = config
        self._cgroup = cgroup
        self._keyring = keyring
        self._state = state

    def prepare(self, args: Sequence[str]) -> Plan:
        """What `run` runs: the container's own process with other arguments. Raises CrecheError."""
        process: Any = {**self._config["process"], "args": list(args), "terminal": False}
        return Plan(
            {
                "process": compile_process(process),
                "seccomp": self._config.get("linux", {}).get("seccomp"),
                "keyring": self._keyring,
            }
        )

    def alive(self) -> bool:
        """Whether its first process has not ended, and is not about to.

        The first process of a pid namespace takes all others along before it is a zombie itself, so
        that a program is killed a moment before the pidfd says why. PF_EXITING tells: the ninth
        field of proc_pid_stat(5), include/linux/sched.h.
        """
        poll = select.poll()
        poll.register(self._init, select.POLLIN)
        if poll.poll(0):
            return False
        try:
            with open(f"/proc/{self._pid}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
        except OSError:
            return False
        return not int(fields[6]) & _PF_EXITING

    async def run(self, plan: Plan, keep: int) -> Ran:
        """Run a program to its end; `keep`: how many bytes of its output.

        When it has ended, or the surrounding scope is cancelled, everything that it started is
        killed. Raises CrecheError if it could not be started.
        """
        self._check()
        sub = self._sub_cgroup()
        paths = self._cgroup.paths if sub is None else {**self._cgroup.paths, UNIFIED: sub}
        reader, writer = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(reader, False)
        program = _Program(sub)
        try:
            try:
                channel = await self._enter(plan, paths, writer, program)
            finally:
                os.close(writer)
            try:
                await self._let_go(channel, plan, program)
            finally:
                trio.lowlevel.notify_closing(channel.fileno())
                channel.close()
            tail = Tail(keep)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_read, reader, tail)
                end = await program.end()
                nursery.cancel_scope.cancel()
            left = _DRAIN
            while left > 0 and (count := _read_once(reader, tail)) > 0:
                left -= count
            return Ran(end, tail.value(), tail.total)
        finally:
            trio.lowlevel.notify_closing(reader)
            os.close(reader)
            if await program.close():
                self._sub = None

    async def socket(self, family: int) -> trio.socket.SocketType:
        """A TCP socket that belongs to the container's network. Raises CrecheError."""
        self._check()
        name = "inet6" if family == socket.AF_INET6 else "inet"
        _, fds = await self._launcher.ask({"type": "socket", "family": name}, [self._init])
        if len(fds) != 1:
            close_all(fds)
            raise CrecheError("the launcher sent no socket")
        return trio.socket.from_stdlib_socket(socket.socket(fileno=fds[0]))

    async def exists(self, path: str) -> bool:
        """Whether `path` leads anywhere in the container's root. Raises CrecheError."""
        self._check()
        order = {"type": "look", "pid": self._pid, "path": path}
        answer = await self._launcher.order(order, [self._init])
        program = _Program(None)
        try:
            program.adopt(answer["helper"])
            code = (await program.end()).code
        finally:
            await program.close()
        if code not in (FOUND, MISSING):
            raise Unreachable("the container's root cannot be looked at")
        return code == FOUND

    def _check(self) -> None:
        # What enters a frozen container cannot even be killed before that is thawed.
        if self._cgroup.frozen():
            raise Unreachable("the container is paused")

    def _sub_cgroup(self) -> str | None:
        """Its directory; None where none can be made, and then the program's session has to do."""
        own = self._cgroup.paths.get(UNIFIED)
        if own is None:
            return None
        if self._sub is None or not os.path.isdir(self._sub):
            self._sub = _make_sub_cgroup(own)
        return self._sub

    async def _enter(
        self, plan: Plan, paths: dict[str, str], writer: int, program: _Program
    ) -> Channel:
        """The channel to the process that waits in the container; `program` has adopted it."""
        ours, theirs = pair()
        null = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        try:
            answer = await self._launcher.order(
                {
                    "type": "exec",
                    "cgroup": paths,
                    "flags": namespaces(self._config),  # type: ignore[arg-type]
                    "pid": self._pid,
                },
                [theirs.fileno(), self._init, null, writer, writer],
                plan,
            )
            theirs.close()
            helper = _Program(None)
            try:
                helper.adopt(answer["helper"])
                await trio.lowlevel.wait_readable(ours.fileno())
            finally:
                await helper.close()
                # Cut short or not: what it has cloned is ours to look after.
                ours.sock.setblocking(False)
                if (received := _receive_now(ours)) is not None:
                    program.adopt(cloned(received))
            if received is None:
                raise InitError("the process that enters the container died")
        except BaseException:
            trio.lowlevel.notify_closing(ours.fileno())
            ours.close()
            raise
        finally:
            theirs.close()
            os.close(null)
        return ours

    async def _let_go(self, channel: Channel, plan: Plan, program: _Program) -> None:
        """Until its program runs."""
        raise_limits(program.pid, plan.plan["process"])
        channel.send({"type": "go"})
        while True:
            await trio.lowlevel.wait_readable(channel.fileno())
            received = channel.receive()
            if received is None:
                return
            message, fds = received
            close_all(fds)
            if message["type"] == "error":
                raise init_error(message)
            if message["type"] == "seccomp":
                profile = plan.plan["seccomp"]
                await trio.to_thread.run_sync(
                    agent.accept, message, channel, program.pidfd, profile, self._state
                )


def _make_sub_cgroup(own: str) -> str | None:
    """A new one: none that was killed before.

    In a cgroup that was killed, what is cloned into it from outside is killed too (seen on Linux
    6.18: copy_process takes kill_seq from the cgroup of the parent, and compares it with this one).
    """
    try:
        for name in os.listdir(own):
            if name.startswith(SUB_CGROUP):
                try:
                    os.rmdir(f"{own}/{name}")
                except OSError:
                    pass  # what was in it is about to end
        number = 0
        while os.path.exists(f"{own}/{SUB_CGROUP}-{number}"):
            number += 1
        os.mkdir(f"{own}/{SUB_CGROUP}-{number}")
    except OSError:
        return None
    return f"{own}/{SUB_CGROUP}-{number}"


def _kill_rest(cgroup: str) -> bool:
    """Kill what is in it; whether there was anything, or somebody cannot tell."""
    try:
        with open(f"{cgroup}/cgroup.events", encoding="ascii") as file:
            if "populated 0" in file.read():
                return False
        kill_tree_v2(cgroup)
    except OSError:
        pass  # it went with the container
    return True


def _receive_now(channel: Channel) -> tuple[dict[str, object], list[int]] | None:
    try:
        return channel.receive()
    except BlockingIOError:
        return None


class _Program:
    """A process that the launcher made: our child, perhaps in a cgroup of its own."""

    __slots__ = ("_cgroup", "_ended", "pid", "pidfd")

    def __init__(self, cgroup: str | None) -> None:
        self._cgroup = cgroup
        self._ended = False
        self.pid = 0
        self.pidfd = -1

    def adopt(self, pid: int) -> None:
        self.pid = pid
        self.pidfd = os.pidfd_open(pid)

    async def end(self) -> Exit:
        await trio.lowlevel.wait_readable(self.pidfd)
        self._kill_group()  # while it is not reaped, its number cannot mean anybody else's group
        end = await process_exit(self.pidfd)
        self._ended = True
        return end

    async def close(self) -> bool:
        """Kill what is left of it, reap it. Whether its cgroup was killed, which spoils that."""
        killed = self._cgroup is not None and _kill_rest(self._cgroup)
        if self.pidfd < 0:
            return killed
        if not self._ended:
            self._kill_group()
            try:
                signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
            except ProcessLookupError:
                pass
            with trio.move_on_after(SETTLE, shield=True):
                await process_exit(self.pidfd)
        close_pidfd(self.pidfd)
        self.pidfd = -1
        return killed

    def _kill_group(self) -> None:
        """For where it has no cgroup of its own; it leads a session, if it has come that far."""
        if self._cgroup is None and self.pid:
            try:
                os.killpg(self.pid, signal.SIGKILL)
            except OSError:
                pass


async def _read(fd: int, tail: Tail) -> None:
    while True:
        await trio.lowlevel.wait_readable(fd)
        if _read_once(fd, tail) == 0:
            return


def _read_once(fd: int, tail: Tail) -> int:
    """How many bytes came; 0 at the end, -1 if there are none now."""
    try:
        chunk = os.read(fd, _CHUNK)
    except BlockingIOError:
        return -1
    tail.feed(chunk)
    return len(chunk)
