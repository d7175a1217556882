"""One hook from start to end, without waiting: what both runners drive.

The runners differ in how they start a process and in how they wait; everything else is here.
A runner makes a Run, starts the process with the child's ends of its pipes, calls `started`, and
then `turn` whenever `epoll` is readable, until `exited`; `expire` at the deadline; then `turn`
again until `settled`; `close` in every case; and `result` last.

The end is the end of the hook's process, not the end of its output: a child that keeps the pipes
open delays nothing. What is in the pipes by then is read, what comes later gets EPIPE.
"""

from __future__ import annotations

import fcntl
import os
import select
import time

from hooks import shim
from hooks.command import Command, seconds
from hooks.errors import HookError, shown_path, strerror
from hooks.result import HookResult
from hooks.tail import Tail
from hooks.tree import Tree

# Seconds to wait for killed processes. They die at once unless the kernel holds them (a dead NFS
# server, a broken disk), and then nobody can say for how long.
SETTLE = 10.0

_STDIN, _STDOUT, _STDERR, _REPORT = range(4)
_CHUNK = 64 * 1024
_DRAIN = 1024 * 1024  # a pipe cannot hold more (fs.pipe-max-size), so the rest was written later


class Run:
    """command: what runs. payload: for its standard input. isolate: see hooks.tree.Tree.

    epoll: readable when `turn` has something to do. child: the ends of the pipes that become the
    process's 0, 1 and 2, and the one on which it reports that it could not be executed.
    """

    __slots__ = (
        "_begun",
        "_duration",
        "_expired",
        "_info",
        "_killed",
        "_parent",
        "_payload",
        "_report",
        "_tails",
        "_unkillable",
        "child",
        "command",
        "epoll",
        "pid",
        "pidfd",
        "tree",
    )

    def __init__(self, command: Command, isolate: bool) -> None:
        self.command = command
        self.child: list[int] = []
        self.pid = 0
        self.pidfd = -1
        self._parent: list[int] = []  # stdin, stdout, stderr, report; -1 once closed
        self._payload = memoryview(b"")
        self._report = b""
        self._tails = (Tail(), Tail())  # standard output and error
        self._info: tuple[int, int] | None = None  # si_code, si_status
        self._expired = False
        self._killed = False
        self._unkillable = False
        self._begun = time.monotonic()
        self._duration = 0.0
        self.epoll = select.epoll()
        try:
            self.tree = Tree(isolate, self.epoll)
        except BaseException:
            self.epoll.close()
            raise
        try:
            self._open_pipes()
        except BaseException:
            self.close()
            raise

    def _open_pipes(self) -> None:
        for to_child in (True, False, False, False):
            read, write = os.pipe2(os.O_CLOEXEC)
            mine, theirs = (write, read) if to_child else (read, write)
            self._parent.append(mine)
            self.child.append(theirs)
            os.set_blocking(mine, False)
            if theirs < 3:
                # Standard descriptors were closed when this process was started. The child must
                # be able to put its own there without overwriting one it still needs.
                self.child[-1] = fcntl.fcntl(theirs, fcntl.F_DUPFD_CLOEXEC, 3)
                os.close(theirs)
        for fd in self._parent[1:]:
            self.epoll.register(fd, select.EPOLLIN)

    def started(self, pid: int, payload: bytes) -> None:
        """The process exists. payload: what it reads; not all of it needs to fit into the pipe."""
        self.pid = pid
        self._close_child_ends()
        self.tree.started()
        self._payload = memoryview(payload)
        self.epoll.register(self._parent[0], select.EPOLLOUT)
        try:
            self.pidfd = os.pidfd_open(pid)
        except OSError:
            os.kill(pid, 9)  # certainly still ours, since only we can reap it
            os.waitpid(pid, 0)
            self.pid = 0
            raise
        self.epoll.register(self.pidfd, select.EPOLLIN)

    @property
    def exited(self) -> bool:
        """Whether the hook's own process has ended."""
        return self._info is not None

    def settled(self) -> bool:
        """Whether nothing is left to wait for."""
        return self.pid == 0 or (self.exited and self.tree.gone())

    def turn(self, timeout: float | None) -> None:
        """Do what can be done; wait at most `timeout` seconds (None: for ever) for the first."""
        events = self.epoll.poll(-1 if timeout is None else timeout)
        for fd, _ in events:
            which = self._parent.index(fd) if fd in self._parent else -1
            if which == _STDIN:
                self._feed()
            elif which == _REPORT:
                self._read_report()
            elif which >= 0:
                self._read(which)
            elif fd != self.pidfd:
                self.tree.woken(fd)
        # Last, as it closes descriptors whose numbers may be in the list.
        if self.pidfd in [fd for fd, _ in events]:
            self._ended()

    def expire(self) -> None:
        """The deadline has passed."""
        self._expired = True
        self.kill()

    def kill(self) -> None:
        """Kill the whole tree, unless that was done or there is none."""
        if self.pid and not self._killed:
            self._killed = True
            self.tree.kill(self.pid, self.pidfd)

    def _feed(self) -> None:
        try:
            written = os.write(self._parent[_STDIN], self._payload[:_CHUNK])
        except BlockingIOError:
            return
        except BrokenPipeError:
            written = len(self._payload)  # it does not want to know: its right
        self._payload = self._payload[written:]
        if not self._payload:
            self._close(_STDIN)

    def _read(self, which: int) -> int:
        """Read once; how many bytes came, 0 if there are none now or will be no more."""
        try:
            chunk = os.read(self._parent[which], _CHUNK)
        except BlockingIOError:
            return 0
        if chunk:
            self._tails[which - _STDOUT].feed(chunk)
        else:
            self._close(which)
        return len(chunk)

    def _read_report(self) -> None:
        try:
            chunk = os.read(self._parent[_REPORT], 4096)
        except BlockingIOError:
            return
        self._report = (self._report + chunk)[:4096]
        if not chunk:
            self._close(_REPORT)
        if self._report.startswith(shim.CGROUP):
            self.tree.joined = False

    def _ended(self) -> None:
        """The process is a zombie; its number stays its own until `close` reaps it."""
        info = os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED | os.WNOWAIT | os.WNOHANG)
        if info is None:
            return
        self._info = (info.si_code, info.si_status)
        self._duration = time.monotonic() - self._begun
        self.epoll.unregister(self.pidfd)
        if self._parent[_REPORT] >= 0:
            self._read_report()
        for which in (_STDOUT, _STDERR):
            left = _DRAIN
            while left > 0 and self._parent[which] >= 0:
                count = self._read(which)
                if not count:
                    break
                left -= count
        for which in range(len(self._parent)):
            self._close(which)
        if self._info == (os.CLD_EXITED, 0) and not self._killed:
            self.tree.release()
        else:
            # A hook that failed did not happen: with the container restarted again and again,
            # whatever its failures leave running would pile up.
            self.kill()

    def _close(self, which: int) -> None:
        fd = self._parent[which]
        if fd < 0:
            return
        self._parent[which] = -1
        try:
            self.epoll.unregister(fd)
        except FileNotFoundError:
            pass
        os.close(fd)

    def _close_child_ends(self) -> None:
        for fd in self.child:
            os.close(fd)
        self.child.clear()

    def close(self) -> None:
        """Reap the process, remove the cgroup, close everything. Never waits."""
        self._close_child_ends()
        for which in range(len(self._parent)):
            self._close(which)
        if self.pidfd >= 0:
            try:
                os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED | os.WNOHANG)
            except ChildProcessError:
                pass
            os.close(self.pidfd)
            self.pidfd = -1
        clean = self.tree.close()
        self._unkillable = self._killed and not (clean and self.exited)
        self.epoll.close()
        self.pid = 0

    def result(self) -> HookResult:
        """How it ended. Raises HookError if that was not well."""
        stdout, stderr = self._tails
        code, status = self._info or (0, 0)
        exited = code == os.CLD_EXITED
        result = HookResult(
            status if exited else None,
            status if code in (os.CLD_KILLED, os.CLD_DUMPED) else None,
            code == os.CLD_DUMPED,
            self._duration or time.monotonic() - self._begun,
            stdout.value(),
            stderr.value(),
            stdout.total,
            stderr.total,
        )
        reason = self._start_failure()
        if self._expired:
            reason = f"timed out after {seconds(self.command.timeout or 0)}"
        elif reason is None and (not exited or status != 0):
            reason = result.describe()
        if reason is None:
            return result
        if self._unkillable:
            reason += " and could not be killed"
        raise self.error(reason, result)

    def error(self, reason: str, result: HookResult | None = None) -> HookError:
        """A HookError of this hook."""
        command = self.command
        return HookError(command.stage, command.index, command.path, reason, result)

    def _start_failure(self) -> str | None:
        """What the process said about not being executed, in Go's words where Go has any."""
        for line in self._report.split(b"\n"):
            step, (number, _, text) = line[:1], line[1:].partition(b" ")
            why = strerror(int(number)) if number.isdigit() and int(number) else ""
            why = why or text.decode("utf-8", "replace")
            path = shown_path(self.command.path)
            if step == shim.EXEC:
                return f"fork/exec {path}: {why}"
            if step == shim.INTERPRETER:
                return f"fork/exec {path}: {why} (the file exists, its interpreter does not)"
            if step == shim.CHDIR:
                return f"chdir {shown_path(self.command.cwd or '')}: {why}"
            if step == shim.PREPARE:
                return f"prepare: {why}"
        return None
