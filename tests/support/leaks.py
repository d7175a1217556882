"""Compare the machine before and after a test: whatever is new has leaked."""

from __future__ import annotations

import gc
import os
import signal
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tests.support.isolation import Session, kill_and_reap
from tests.support.mountinfo import cgroup_mounts, mounts
from tests.support.reaper import exits
from tests.support.waiting import SLOWNESS, wait_pidfd

_GRACE = 5.0 * SLOWNESS  # seconds within which a process that is dying has to be gone


def children() -> set[int]:
    """Return the children of this process, and the orphans that the reaper has taken in.

    A zombie of ours counts, one of the reaper's does not: it is about to be collected.
    """
    own, reaper = os.getpid(), os.getppid() if exits.fd >= 0 else -1
    found = set()
    for entry in os.listdir("/proc"):
        if entry.isdecimal():
            try:
                stat = Path(f"/proc/{entry}/stat").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue
            # The name in parentheses may hold anything, so count from the last one: state, ppid.
            state, parent = stat.rpartition(")")[2].split()[:2]
            if int(parent) == own or (int(parent) == reaper and state != "Z" and int(entry) != own):
                found.add(int(entry))
    return found


def _command(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return "?"
    return b" ".join(words).decode(errors="replace").strip()


def descriptors() -> dict[int, str]:
    """Return the open descriptors of this process and what each leads to."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:  # the descriptor of the listing itself
            continue
    return found


def cgroups(session: Session) -> set[str]:
    """Return the control groups of the tests: the session's, and others with their prefix."""
    found: set[str] = set()
    for hierarchy, top in cgroup_mounts().items():
        own = session.cgroups.get(hierarchy)
        if own is not None:
            found.update(path for path, _, _ in os.walk(own))
        # Names from the fixture `cgroup_name`. Others belong to whoever else tests on this machine.
        for child in top.glob(f"{session.name}-*"):
            found.update(path for path, _, _ in os.walk(child))
    return found


def run_files() -> set[str]:
    """Return what lies in /run, two levels deep (it is the session's own tmpfs)."""
    return {str(path) for pattern in ("*", "*/*") for path in Path("/run").glob(pattern)}


def interfaces() -> set[str]:
    """Return the network interfaces of the session's network namespace."""
    lines = Path("/proc/net/dev").read_text().splitlines()[2:]
    return {line.partition(":")[0].strip() for line in lines}


def collect() -> None:
    """Collect garbage; a signal that comes meanwhile waits.

    In a finaliser what its handler raises would be lost: SIGTERM or a hanging test's alarm would
    not end anything, and the test that had just passed would fail by a warning about it.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        gc.collect()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@dataclass
class Snapshot:
    """Everything that a test could leave behind."""

    session: Session
    fds: dict[int, str]
    mounts: Counter[tuple[str, str, str]]
    cgroups: set[str]
    children: set[int]
    run: set[str]
    interfaces: set[str]

    @classmethod
    def take(cls, session: Session) -> Snapshot:
        """Look at the machine now."""
        collect()
        return cls(
            session=session,
            fds=descriptors(),
            mounts=Counter((m.target, m.root, m.fstype) for m in mounts()),
            cgroups=cgroups(session),
            children=children(),
            run=run_files(),
            interfaces=interfaces(),
        )

    def leaked(self) -> list[str]:
        """Say what is there now and was not when the snapshot was taken; end leaked processes."""
        leaks = []
        # Processes first: a dying one still holds control groups and mounts.
        for pid in sorted(children() - self.children):
            command = _command(pid)
            if not _gone(pid):
                kill_and_reap(pid)
                leaks.append(f"process {pid}: {command}")
        now = Snapshot.take(self.session)
        leaks += [
            f"descriptor {fd} -> {target}"
            for fd, target in sorted(now.fds.items())
            if self.fds.get(fd) != target
        ]
        leaks += [
            f"mount {target} ({fstype}, root {root})"
            for target, root, fstype in sorted((now.mounts - self.mounts).elements())
        ]
        leaks += [
            f"mount {target} ({fstype}, root {root}) is missing"
            for target, root, fstype in sorted((self.mounts - now.mounts).elements())
            # Who removes a directory outside takes away what is mounted on it here, too.
            if os.path.lexists(target)
        ]
        leaks += [f"control group {path}" for path in sorted(now.cgroups - self.cgroups)]
        leaks += [f"file {path}" for path in sorted(now.run - self.run)]
        leaks += [f"network interface {name}" for name in sorted(now.interfaces - self.interfaces)]
        return leaks


def _gone(pid: int) -> bool:
    """Wait for a child that may be dying already, and collect it. False: it lives on."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        if not wait_pidfd(pidfd, _GRACE):
            return False
    finally:
        os.close(pidfd)
    try:
        os.waitpid(pid, 0)
    except ChildProcessError:
        pass
    return True
