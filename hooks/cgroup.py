"""A cgroup of its own for one hook, in the unified hierarchy, below the caller's.

A process leaves its session and its parent behind at will, but not its cgroup: this is the only
way to find everything a hook has started. Sources: Linux Documentation/admin-guide/cgroup-v2.rst,
cgroups(7). On a hybrid machine only membership in the unified hierarchy changes; the controllers
stay where they are.
"""

import errno
import os
import select

# Where the unified hierarchy is mounted: hybrid machines, then cgroup v2 ones.
MOUNTS = ("/sys/fs/cgroup/unified", "/sys/fs/cgroup")

# "@" cannot occur in a container's id, so the name is never that of a container's cgroup.
PREFIX = "creche-hook@"

# What epoll says of cgroup.events when it has changed since it was last read.
EVENT = select.EPOLLPRI

_ROUNDS = 50  # of moving or killing, against a process that forks all the time

_KILLED = 0.2  # seconds to wait for a killed process, up to _ROUNDS times

_counter = 0


def own_cgroup() -> "str | None":
    """The directory of this process's cgroup in the unified hierarchy, None if there is none that
    can be named from here."""
    try:
        lines = _read("/proc/self/cgroup").splitlines()
    except OSError:
        return None
    for mount in MOUNTS:
        # On a hybrid machine /sys/fs/cgroup is a tmpfs and has no such file.
        if os.path.exists(mount + "/cgroup.controllers"):
            break
    else:
        return None
    for line in lines:
        if line.startswith("0::/"):
            path = line[3:]
            # "/../x" is outside this cgroup namespace.
            return None if "/.." in path else (mount + path).rstrip("/")
    return None


class HookCgroup:
    """One hook's cgroup, from mkdir to rmdir.

    procs_fd: cgroup.procs, open for writing, for the new process to join by; -1 once `joined`.
    """

    __slots__ = ("_events_fd", "base", "path", "procs_fd")

    def __init__(self, base: str, path: str) -> None:
        self.base = base
        self.path = path
        self.procs_fd = os.open(path + "/cgroup.procs", os.O_WRONLY | os.O_CLOEXEC)
        self._events_fd = -1

    def joined(self) -> None:
        """The new process has what it needs: a descriptor less while it runs."""
        if self.procs_fd >= 0:
            os.close(self.procs_fd)
            self.procs_fd = -1

    def events_fd(self) -> int:
        """cgroup.events, opened when first asked for; see `EVENT`. It is this object's."""
        if self._events_fd < 0:
            self._events_fd = os.open(self.path + "/cgroup.events", os.O_RDONLY | os.O_CLOEXEC)
        return self._events_fd

    def populated(self) -> bool:
        """Whether any process is left in it or below. Reading arms the next EVENT."""
        return b"populated 1" in os.pread(self.events_fd(), 4096, 0)

    def kill(self) -> None:
        """SIGKILL to everything in it, at once (cgroup.kill: Linux 5.14)."""
        try:
            _write(self.path + "/cgroup.kill", "1")
        except OSError:
            self._kill_one_by_one()

    def _kill_one_by_one(self) -> None:
        try:
            _write(self.path + "/cgroup.freeze", "1")  # Linux 5.2; nothing forks any more
        except OSError:
            pass
        for _ in range(_ROUNDS):
            pids = self.pids()
            for pid in pids:
                try:
                    os.kill(pid, 9)
                except ProcessLookupError:
                    pass
            if not pids:
                break
        try:
            _write(self.path + "/cgroup.freeze", "0")
        except OSError:
            pass

    def evacuate(self) -> bool:
        """Move everything back into the caller's cgroup, where it would have been without this
        one. True if nothing alive is left here."""
        for _ in range(_ROUNDS):
            pids = self.pids()
            if not pids:
                return True
            for pid in pids:
                try:
                    _write(self.base + "/cgroup.procs", str(pid))
                except OSError as error:
                    if error.errno != errno.ESRCH:
                        return False
        return False

    def pids(self) -> "list[int]":
        """Every process in it and in the cgroups that the hook made below."""
        found: list[int] = []
        for directory in self._directories():
            try:
                found += [int(word) for word in _read(directory + "/cgroup.procs").split()]
            except OSError:
                pass  # gone, or threaded (EOPNOTSUPP): its processes are listed above it
        return found

    def remove(self) -> bool:
        """Close and remove it with all below it; False if something still lives there."""
        self.joined()
        if self._events_fd >= 0:
            os.close(self._events_fd)
            self._events_fd = -1
        for directory in reversed(self._directories()):
            try:
                os.rmdir(directory)
            except FileNotFoundError:
                pass
            except OSError:
                return False
        return True

    def _directories(self) -> "list[str]":
        """Its directory and all below, parents first."""
        found = [self.path]
        for directory in found:
            try:
                names = os.listdir(directory)
            except OSError:
                continue
            for name in names:
                below = f"{directory}/{name}"
                if os.path.isdir(below):
                    found.append(below)
        return found


def make() -> "HookCgroup | None":
    """A new cgroup below the caller's own, None where that is not possible: no unified hierarchy,
    no permission, mounted read-only, too many."""
    global _counter
    base = own_cgroup()
    if base is None:
        return None
    while True:
        _counter += 1
        path = f"{base}/{PREFIX}{os.getpid()}.{_counter}"
        try:
            os.mkdir(path, 0o755)
        except FileExistsError:
            continue  # left by a process of the same number, or of another pid namespace
        except OSError:
            return None
        try:
            return HookCgroup(base, path)
        except OSError:
            os.rmdir(path)
            return None


def sweep(base: str, runner: int) -> None:
    """End and remove the cgroups that a process with this number left below base.

    The caller knows that it is dead: it was killed while it ran a hook.
    """
    try:
        names = os.listdir(base)
    except OSError:
        return
    for name in names:
        if not name.startswith(f"{PREFIX}{runner}."):
            continue
        try:
            left = HookCgroup(base, f"{base}/{name}")
        except OSError:
            continue
        left.kill()
        with select.epoll() as poll:
            poll.register(left.events_fd(), EVENT)
            for _ in range(_ROUNDS):
                if not left.populated():
                    break
                poll.poll(_KILLED)
        left.remove()


def _read(path: str) -> str:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = b""
        while more := os.read(fd, 65536):
            data += more
        return data.decode("utf-8", "surrogateescape")
    finally:
        os.close(fd)


def _write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)
