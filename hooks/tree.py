"""The process tree of one hook: how all of it is killed, or let live, and known to be gone.

With a cgroup this is exact. Without one, it is what the process group, the session and the
parents in /proc show: a grandchild that began a session of its own and whose parent has already
ended is then not found. Inside a container's init neither cgroup nor /proc is touched (what is
mounted at /proc is the image's business there); if that init leads its own pid namespace,
kill(-1) reaches everything there is.
"""

from __future__ import annotations

import os
import select

from hooks import cgroup

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Set
else:
    import _signal

_ROUNDS = 10  # of looking for processes that were forked while the others were being killed
_WATCHED = 64  # killed processes whose end is waited for, without a cgroup
_SIGKILL = 9
_SIGSTOP = 19


class Tree:
    """isolate: try to make a cgroup, and use /proc. epoll: told of what is worth waking up for;
    pass each descriptor it reports that is not the caller's own to `woken`."""

    __slots__ = ("_armed", "_cgroup", "_dying", "_epoll", "_isolate", "_unmovable", "joined")

    def __init__(self, isolate: bool, epoll: select.epoll) -> None:
        self._isolate = isolate
        self._epoll = epoll
        self._cgroup = cgroup.make() if isolate else None
        self._armed = False
        self._unmovable = False
        self._dying: set[int] = set()  # pidfds
        self.joined = self._cgroup is not None  # set to False if the hook could not join

    def procs_fd(self) -> int:
        """What the hook's process joins the cgroup by, or -1."""
        return -1 if self._cgroup is None else self._cgroup.procs_fd

    def started(self) -> None:
        """The hook's process has its own copy of `procs_fd`."""
        if self._cgroup is not None:
            self._cgroup.joined()

    def kill(self, pid: int, pidfd: int) -> None:
        """SIGKILL to the whole tree. The hook's process must not have been reaped: until then its
        number cannot mean anything else, neither as a process nor as a group or session."""
        if self._cgroup is not None:
            self._cgroup.kill()
        if self._isolate and not self.joined:
            self._kill_found(pid, pidfd)
        try:
            os.killpg(pid, _SIGKILL)
        except OSError:
            pass  # it ended before it led a group
        if not self._isolate and os.getpid() == 1:
            try:
                os.kill(-1, _SIGKILL)
            except OSError:
                pass  # there is nothing else
        _send(pidfd, _SIGKILL)

    def _kill_found(self, leader: int, leader_pidfd: int) -> None:
        # Stopped first: a process with a signal pending cannot fork, and while parents live their
        # children can be told. So the rounds come to an end, and then nothing has slipped away.
        _send(leader_pidfd, _SIGSTOP)
        found: dict[int, int] = {}
        for _ in range(_ROUNDS):
            new = descendants(leader) - found.keys()
            for pid in new:
                pidfd = self._stop_one(pid, leader, found.keys() | new)
                if pidfd >= 0:
                    found[pid] = pidfd
            if not new & found.keys():
                break
        for pidfd in found.values():
            _send(pidfd, _SIGKILL)
            if len(self._dying) < _WATCHED:
                self._dying.add(pidfd)
                self._epoll.register(pidfd, select.EPOLLIN)
            else:
                os.close(pidfd)

    def _stop_one(self, pid: int, leader: int, known: Set[int]) -> int:
        """Stop a process; its pidfd, -1 if it is gone."""
        try:
            pidfd = os.pidfd_open(pid)
        except OSError:
            return -1
        # Only now is it certain that the number still means the process that was found.
        parent, session = _relations(pid) or (0, 0)
        if session == leader or parent in known or parent == leader:
            _send(pidfd, _SIGSTOP)
            return pidfd
        os.close(pidfd)
        return -1

    def release(self) -> None:
        """Let live what the hook left running: daemons are a legitimate use of hooks (runc lets
        them live too), but they are not to keep the cgroup."""
        if self._cgroup is not None and not self._cgroup.evacuate():
            self._unmovable = True

    def gone(self) -> bool:
        """Whether nothing is left to wait for (after kill or release)."""
        if self._dying:
            return False
        if self._cgroup is None or self._unmovable or not self._cgroup.populated():
            return True
        if not self._armed:
            self._armed = True
            self._epoll.register(self._cgroup.events_fd(), cgroup.EVENT)
            return not self._cgroup.populated()
        return False

    def woken(self, fd: int) -> None:
        """The epoll reported this descriptor."""
        if fd in self._dying:
            self._dying.discard(fd)
            self._epoll.unregister(fd)
            os.close(fd)

    def close(self) -> bool:
        """Remove the cgroup and close every descriptor. False if something could not be killed
        or moved, and the cgroup had to stay."""
        clean = not self._dying
        for fd in self._dying:
            os.close(fd)
        self._dying.clear()
        if self._cgroup is not None:
            clean = self._cgroup.remove() and clean
            self._cgroup = None
        return clean


def descendants(leader: int) -> set[int]:
    """Members of the session and children's children of `leader` as far as /proc shows them,
    without itself; empty if /proc is not that of this process's pid namespace."""
    try:
        if os.readlink("/proc/self") != str(os.getpid()):
            return set()
        pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return set()
    found = {leader}
    parents: dict[int, int] = {}
    for pid in pids:
        relations = _relations(pid)
        if relations is not None:
            parents[pid] = relations[0]
            if relations[1] == leader:
                found.add(pid)
    grown = True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in found} - found
        found |= more
        grown = bool(more)
    return found - {leader, os.getpid()}


def _relations(pid: int) -> tuple[int, int] | None:
    """Parent and session, from /proc/PID/stat (proc_pid_stat(5)); None if it is gone."""
    try:
        fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        data = os.read(fd, 4096)
    except OSError:
        return None
    finally:
        os.close(fd)
    # The name, in parentheses, may contain anything, parentheses too.
    fields = data.rpartition(b")")[2].split()
    return (int(fields[1]), int(fields[3])) if len(fields) > 3 else None


def _send(pidfd: int, number: int) -> None:
    """Send a signal, unless there is no one to get it."""
    try:
        _signal.pidfd_send_signal(pidfd, number)
    except ProcessLookupError:
        pass
